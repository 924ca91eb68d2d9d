"""Is the mask what it should be? Advice on pixels that are masked without need, and on those that should be.

Nothing here makes a file wrong: a beam stop may cover most of a detector. It says what is worth a look.
"""

from __future__ import annotations

from collections.abc import Iterator

import h5py
import numpy as np

from stream_service.standard_file.rules.finding import Finding, warning
from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.codes import PixelFlag
from stream_service.standard_file.schema.contents import RowExtent, dataset_at, number_in
from stream_service.text.counted import counted

LARGE_SHARE = 0.5
"""Of bad pixels: an inverted mask has more."""
LARGE_SATURATED_SHARE = 0.01
"""Of masked pixels: more is a beam that is too bright, or a level that is wrong."""
FIRST_ROWS = 5
"""As many as decide when a run begins (`kernels.gaps`)."""
LEAST_MARKER = 65534
"""The smallest value above 0 that is a marker on any detector."""


def pixel_findings(file: h5py.File, extent: RowExtent) -> Iterator[Finding]:
    """Findings in mask and frames of a file whose shapes are right."""
    data, mask = dataset_at(file, paths.DATA), dataset_at(file, paths.MASK)
    if data is None or data.ndim != 3 or not extent.n_rows or data.dtype.kind not in "iuf":
        return
    is_bad = np.zeros(data.shape[1:], bool)
    if mask is not None and mask.shape == is_bad.shape:
        is_bad = np.asarray(mask[()]) != 0
    share = np.count_nonzero(is_bad) / is_bad.size
    flags = dataset_at(file, paths.PIXEL_MASK)
    saturated = 0.0
    if flags is not None and flags.shape == is_bad.shape and flags.dtype.kind in "iu":
        saturated = float(np.count_nonzero(np.asarray(flags[()]) & PixelFlag.SATURATED) / is_bad.size)
    if saturated > LARGE_SATURATED_SHARE:
        yield warning(paths.MASK, f"calls {_percent(saturated)} of the pixels saturated{_rows_and_level(file, extent)}")
    elif LARGE_SHARE < share < 1:
        yield warning(paths.MASK, f"calls {_percent(share)} of the pixels bad (1 = bad, 0 = good); is it inverted?")
    yield from _marker_findings(data, is_bad, extent)


def _rows_and_level(file: h5py.File, extent: RowExtent) -> str:
    counts, level = dataset_at(file, paths.N_SATURATED), number_in(dataset_at(file, paths.SATURATION_VALUE))
    said = ""
    if counts is not None and extent.fits(counts):
        said += f", in {np.count_nonzero(counts[: extent.n_rows])} of {counted(extent.n_rows, 'row')}"
    return said + (f"; is the level {level:g} right?" if level is not None else "; is the level right?")


def _marker_findings(data: h5py.Dataset, is_bad: np.ndarray, extent: RowExtent) -> Iterator[Finding]:
    """Gaps and dead pixels whose marker stands in the frames for a measurement."""
    rows = np.asarray(data[: min(extent.n_rows, FIRST_ROWS)])
    good = rows[:, ~is_bad]
    if not good.size or (np.fmax.reduce(good, axis=None) < LEAST_MARKER and np.fmin.reduce(good, axis=None) >= 0):
        return
    from stream_service.kernels.gaps import find_gaps  # with numba, which takes a second

    found = find_gaps(rows)
    if n := int(np.count_nonzero(found.is_gap & ~is_bad & np.isfinite(rows[0]))):
        pixels = f"{counted(n, 'pixel')} of each of the first {len(found.told_by)} rows"
        yield warning(
            paths.DATA,
            f"holds {' or '.join(found.values)} in {pixels}, which are good by the mask; gaps and dead "
            "pixels are masked by 'ptychostream ingest'.",
        )


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
