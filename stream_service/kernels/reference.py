"""The mathematics of a row in plain numpy: the definition, which the fused kernel must equal bit for bit.

Written to be read, not to be fast. Per frame, in raw axes and float32:

1. value = float32(raw) - dark, times 1/flat; below 0 it becomes 0 unless negatives are kept; divided by the gain
2. saturated = raw >= level, judged on the raw value as the detector sent it
3. bad pixels, if asked, become the mean (float64, row-major order) of their neighbours' values, see `neighbours.py`;
   else gaps, which hold a marker and no measurement, become 0

then in float64, which adds without loss what a detector can count:

4. ROI; bin: sum of the pixels that count, row-major, times bin²/number of them; 0 where there is none. A pixel counts
   when it is good, or was interpolated. With bin 1 nothing is summed and a bad pixel keeps its value
5. the group, in order of time: sum, mean, one exposure, or by exposure time (`reduction.py`); one cast to float32
6. rotate, flip

A raw NaN in a pixel that is no gap stays NaN: what becomes of that row is not decided here. A stored pixel is bad
when no good raw pixel is in it: interpolation makes a value, not a measurement.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_service.core.row import CELLS_SIDE, blank_features
from stream_service.kernels.correction import Calibration, Corrections
from stream_service.kernels.geometry import Geometry
from stream_service.kernels.reduction import (
    FrameSummary,
    Grouping,
    best_score,
    combines_by_exposure,
    row_exposure_s,
)


class ReferenceRow(NamedTuple):
    """A row as the reference computes it."""

    out: NDArray[np.float32]
    """(ny, nx) stored frame."""
    summary: FrameSummary
    saturated: NDArray[np.uint32]
    """(ny, nx) in how many of the row's frames each stored pixel saturated."""


class BinnedFrame(NamedTuple):
    """One corrected exposure after ROI and bin, in raw axes."""

    value: NDArray[np.float64]
    is_saturated: NDArray[np.bool_]
    """A good raw pixel in it saturated, or one that an interpolated pixel was made from."""
    n_saturated: NDArray[np.int64]
    """Good raw pixels in it that saturated."""


@np.errstate(over="ignore", invalid="ignore")  # infinities of float detectors pass through, as in the kernel
def reduce_frames(
    frames: NDArray[Any],
    exposures_s: Sequence[float],
    geometry: Geometry,
    corrections: Corrections,
    grouping: Grouping,
) -> ReferenceRow:
    """Reduce the exposures (k, y, x) of one position to one row."""
    calibration = corrections.calibrate(geometry.raw_shape)
    mask = stored_mask(geometry, calibration)
    chosen = -1
    if grouping is Grouping.FIRST:
        chosen = 0
    elif grouping is Grouping.BEST:
        chosen = best_exposure(frames, geometry, corrections, calibration)
    used = frames if chosen < 0 else frames[chosen : chosen + 1]
    binned = [binned_frame(raw, geometry, corrections, calibration) for raw in used]
    exposure_s = row_exposure_s(grouping, exposures_s, chosen)
    if combines_by_exposure(grouping, exposures_s):
        value, saturated, n_saturated = _by_exposure(binned, exposures_s, exposure_s)
    else:
        value = binned[0].value.copy()
        for later in binned[1:]:
            value += later.value
        if grouping is Grouping.MEAN:
            value /= len(binned)
        saturated = np.sum([frame.is_saturated for frame in binned], axis=0)
        n_saturated = sum(int(frame.n_saturated.sum()) for frame in binned)
    out = np.ascontiguousarray(geometry.orient(value.astype(np.float32)))
    features = measured(out, mask)
    features["n_saturated"] = n_saturated
    return ReferenceRow(
        out,
        FrameSummary(features, chosen, exposure_s),
        geometry.orient(saturated).astype(np.uint32),
    )


def is_saturated(raw: NDArray[Any], level: float | None) -> NDArray[np.bool_]:
    """raw >= level, exactly, for every raw dtype."""
    if level is None:
        return np.zeros(raw.shape, bool)
    if raw.dtype.kind in "iu":
        return raw >= math.ceil(level)
    return raw.astype(np.float64) >= level


def corrected_frame(
    raw: NDArray[Any], corrections: Corrections, calibration: Calibration, cap: float
) -> NDArray[np.float32]:
    """Steps 1 and 3 on one raw frame (y, x); raw values above `cap` are taken as `cap`."""
    value = raw.astype(np.float32)
    value = np.where(value > np.float32(cap), np.float32(cap), value)
    value = (value - calibration.dark) * calibration.inverse_flat
    if corrections.negatives == "clip":
        value = np.where(value < 0, np.float32(0), value)
    value = value / np.float32(corrections.gain)
    if corrections.bad_pixels == "interpolate":
        measured = value.copy()
        for row, column in np.argwhere(~calibration.good):
            rows, columns = neighbours_of(row, column, calibration.good)
            total = 0.0
            for neighbour in measured[rows, columns]:
                total += float(neighbour)
            value[row, column] = np.float32(total / len(rows))
    elif corrections.gaps is not None:
        value[corrections.gaps] = 0
    return value


def neighbours_of(row: int, column: int, good: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the good pixels on the smallest ring around a bad pixel that has any, row-major."""
    ny, nx = good.shape
    for radius in range(1, max(ny, nx)):
        top, left = max(row - radius, 0), max(column - radius, 0)
        rows, columns = np.nonzero(good[top : row + radius + 1, left : column + radius + 1])
        if rows.size:
            return rows + top, columns + left
    raise ValueError("no good pixel anywhere")


def binned_frame(
    raw: NDArray[Any],
    geometry: Geometry,
    corrections: Corrections,
    calibration: Calibration,
    cap: float = math.inf,
) -> BinnedFrame:
    """Steps 1 to 4 on one raw frame (y, x); raw values above `cap` are taken as `cap`."""
    value = corrected_frame(raw, corrections, calibration, cap)
    saturated = is_saturated(raw, corrections.saturation_level)
    good_saturated = saturated & calibration.good
    touched = good_saturated.copy()
    counts = calibration.good.copy()
    if corrections.bad_pixels == "interpolate":
        counts[:] = True
        for row, column in np.argwhere(~calibration.good):
            touched[row, column] = saturated[neighbours_of(row, column, calibration.good)].any()
    value, counts, touched = geometry.crop(value), geometry.crop(counts), geometry.crop(touched)
    n_saturated = _bin_sum(geometry.crop(good_saturated).astype(np.int64), geometry.bin)
    if geometry.bin == 1:
        return BinnedFrame(value.astype(np.float64), touched, n_saturated)
    n_counting = _bin_sum(counts.astype(np.int64), geometry.bin)
    scale = np.where(n_counting > 0, geometry.bin**2 / np.maximum(n_counting, 1), 0.0)
    total = _bin_sum(np.where(counts, value, 0.0).astype(np.float64), geometry.bin)
    return BinnedFrame(total * scale, _bin_sum(touched.astype(np.int64), geometry.bin) > 0, n_saturated)


def _bin_sum(image: NDArray[Any], bin: int) -> NDArray[Any]:
    total = np.zeros_like(image[::bin, ::bin])
    for dy in range(bin):
        for dx in range(bin):
            total += image[dy::bin, dx::bin]
    return total


def best_exposure(frames: NDArray[Any], geometry: Geometry, corrections: Corrections, calibration: Calibration) -> int:
    """Index of the exposure that `Grouping.BEST` keeps."""
    level = corrections.saturation_level
    cap = math.inf if level is None else level
    is_good = stored_mask(geometry, calibration) == 0
    scores = []
    for raw in frames:
        value = binned_frame(raw, geometry, corrections, calibration, cap).value
        scores.append(best_score(geometry.orient(value.astype(np.float32)), is_good))
    return scores.index(max(scores))


def stored_mask(geometry: Geometry, calibration: Calibration) -> NDArray[np.uint8]:
    """(ny, nx) 1 where no good raw pixel is in the stored pixel, else 0."""
    n_good = _bin_sum(geometry.crop(calibration.good).astype(np.int64), geometry.bin)
    return np.ascontiguousarray(geometry.orient(n_good == 0)).astype(np.uint8)


def measured(stored: NDArray[np.float32], mask: NDArray[np.uint8]) -> np.void:
    """What the pixels of a stored frame tell; `FEATURES` says what that is. Blank what they do not."""
    good = mask == 0
    value = np.where(good, stored, 0.0).astype(np.float64)
    features = blank_features()
    features["intensity"], features["com_y"], features["com_x"] = moments(stored, mask)
    features["square_sum"] = (value * value).sum()
    features["neighbour_sum"] = (value[:, 1:] * value[:, :-1]).sum() + (value[1:] * value[:-1]).sum()
    most = np.fmax.reduce(stored[good], initial=-np.inf)
    features["max_counts"] = most + 0.0 if most > -np.inf else math.nan
    features["n_zero"] = np.count_nonzero(stored[good] <= 0)
    features["cells"] = cell_means(stored, mask, CELLS_SIDE)
    return features


def cell_means(stored: NDArray[np.float32], mask: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """(side, side) mean of the good pixels of each cell of a stored frame; NaN where there are none."""
    cells = np.full((side, side), math.nan, np.float32)
    if min(stored.shape) < side:
        return cells
    of_row, of_column = (np.arange(n) * side // n for n in stored.shape)
    for y, x in np.ndindex(side, side):
        inside = np.ix_(of_row == y, of_column == x)
        good = stored[inside][mask[inside] == 0].astype(np.float64)
        if good.size:
            cells[y, x] = good.sum() / good.size
    return cells


def moments(stored: NDArray[np.float32], mask: NDArray[np.uint8]) -> tuple[float, float, float]:
    """Intensity and centre of mass (row, column) of a stored frame over its good pixels."""
    value = np.where(mask == 0, stored, 0.0).astype(np.float64)
    intensity = float(value.sum())
    if intensity == 0:
        return 0.0, math.nan, math.nan
    row, column = np.indices(stored.shape)
    return intensity, float((row * value).sum()) / intensity, float((column * value).sum()) / intensity


def _by_exposure(
    binned: Sequence[BinnedFrame], exposures_s: Sequence[float], exposure_s: float
) -> tuple[NDArray[np.float64], NDArray[np.int64], int]:
    """Value, saturated count and saturated raw pixels of exposures of unequal time."""
    total = np.zeros_like(binned[0].value)
    time_s = np.zeros_like(total)
    for frame, frame_exposure_s in zip(binned, exposures_s, strict=True):
        total += np.where(frame.is_saturated, 0.0, frame.value)
        time_s += np.where(frame.is_saturated, 0.0, frame_exposure_s)
    shortest = int(np.argmin(exposures_s))
    spoiled = time_s == 0
    rate = np.where(spoiled, binned[shortest].value / exposures_s[shortest], total / np.where(spoiled, 1.0, time_s))
    n_saturated = int(binned[shortest].n_saturated[spoiled].sum())
    return rate * exposure_s, spoiled * len(binned), n_saturated
