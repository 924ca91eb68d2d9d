"""The kernels of the judgement: their codes are those of the rest, and rows in any number compile nothing anew."""

from __future__ import annotations

import numpy as np
from made_rows import SHAPE, raster, rows_at

from stream_service.core.reason import Reason, Side
from stream_service.qc import Evaluator
from stream_service.qc.kernels import codes, neighbours, rows, verdicts
from stream_service.qc.row_table import FEATURE_VALUES
from stream_service.run.rows.row_quality import warm_up
from stream_service.settings.quality import QualitySettings

KERNELS = (
    rows.describe,
    rows.fingerprint,
    rows.principal,
    rows.project,
    neighbours.nearest,
    neighbours.compare,
    neighbours.scatter_around,
    neighbours.in_units,
    verdicts.gate,
    verdicts.explain,
)


def test_codes_are_those_of_reasons_sides_and_columns():
    assert all(getattr(codes, reason.name) == reason for reason in Reason if reason)
    assert all(getattr(codes, f"{side.name}_SIDE") == side for side in Side)
    names = [value.name for value in FEATURE_VALUES if not value.name.startswith("ring")]
    assert [getattr(codes, name.upper()) for name in names] == list(range(len(names)))


def test_what_was_warmed_up_is_all_that_rows_need():
    warm_up()
    before = [len(kernel.signatures) for kernel in KERNELS]
    evaluator = Evaluator(QualitySettings(), SHAPE, energy_eV=710.0)
    for some in np.split(rows_at(*raster(700, 30)), [1, 3, 50, 600]):
        evaluator.add(some, some["energy_eV"], some["keep"] != 0)
        evaluator.latest()
        evaluator.step()
    evaluator.last()
    assert [len(kernel.signatures) for kernel in KERNELS] == before
    assert all(before)
