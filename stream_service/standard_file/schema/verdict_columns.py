"""The verdicts on the rows, as they stand in `/entry/qc`: revised while the run goes on, and once more at its end."""

from __future__ import annotations

import numpy as np

from stream_service.core.reason import VERDICT_COLUMNS
from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.codes import codes_as_text, names_of
from stream_service.standard_file.schema.spec import DatasetSpec

VERDICTS_DTYPE = np.dtype([(column.name, column.dtype) for column in VERDICT_COLUMNS])
"""A verdict, by the names of its datasets."""


def verdict_specs() -> tuple[DatasetSpec, ...]:
    """The datasets with a verdict for each row; they may end before the last row while the run goes on."""
    return tuple(
        DatasetSpec(
            f"{paths.QC}/{column.name}",
            column.about,
            np.dtype(column.dtype),
            attributes={"codes": codes_as_text(names_of(column.codes))} if column.codes is not None else {},
            fill=column.blank,
        )
        for column in VERDICT_COLUMNS
    )
