"""Rules of the verdicts on rows: what CXI's `score` and `tags` say agrees with `/entry/keep`."""

from __future__ import annotations

from collections.abc import Iterator

import h5py
import numpy as np

from stream_service.standard_file.rules.finding import Finding, error
from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.contents import as_text, dataset_at, is_numeric
from stream_service.text.counted import agrees, counted

REJECTED = "rejected"
"""The tag of a row that is left out for its quality."""


def verdict_findings(file: h5py.File) -> Iterator[Finding]:
    """Findings where the verdicts of a closed file contradict each other, or are none."""
    keep, score, tags = (dataset_at(file, path) for path in (paths.KEEP, paths.SCORE, paths.TAGS))
    if score is not None and is_numeric(score):
        values = np.asarray(score[()], np.float64)
        if n := int(np.count_nonzero((values < 0) | (values > 1))):
            yield error(paths.SCORE, f"is outside of 0 to 1 in {counted(n, 'row')}; evaluate the file again.")
    if keep is None or tags is None or tags.shape != keep.shape or heading_of(tags) != REJECTED:
        return
    both = np.flatnonzero((tags[()] != 0) & (keep[()] != 0))
    if both.size:
        yield error(
            paths.TAGS,
            f"{counted(both.size, 'row')} {agrees(both.size, 'is')} tagged as rejected and kept by {paths.KEEP} (the "
            f"first is row {both[0]}): `ptychostream evaluate --apply` puts both in order.",
        )


def heading_of(dataset: h5py.Dataset) -> str | None:
    """The name of the one score or tag that a dataset of them has; None if there are more, or it has none."""
    found = np.asarray(dataset.attrs.get("headings", ())).reshape(-1)
    return as_text(found[0]) if found.size == 1 else None
