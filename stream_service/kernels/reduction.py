"""Reduction of the exposures of one position to one row, and the summary of that row.

Exposures of equal time (or of unknown time) are combined plainly. Exposures of unequal time (HDR) are combined by time
for `sum` and `mean`: each stored pixel is its count rate, from the exposures in which it is not saturated, times the
exposure time of the row. Where all saturate, the shortest exposure gives the rate, and the pixel counts as saturated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Grouping(StrEnum):
    """Reduction of the exposures of one position."""

    SUM = "sum"
    """Added up."""
    MEAN = "mean"
    """Averaged."""
    FIRST = "first"
    """The earliest is kept."""
    BEST = "best"
    """The one with the highest median over good stored pixels is kept, raw values above the saturation level taken as
    that level; ties by the larger sum, then the earliest."""
    NONE = "none"
    """Every exposure is a row of its own."""


class FrameSummary(NamedTuple):
    """Summary of one pass over the pixels of a row."""

    features: np.void
    """A record of `core.row.FEATURES`, over the good stored pixels: the intensity in the unit of the data (ADU, or
    photons with a gain), the centre of mass (NaN when the intensity is 0), saturated readings of good raw pixels inside
    the ROI that went into the row."""
    best_index: int
    """The exposure that was kept (`first`, `best`), counted from 0; -1 when all were combined."""
    exposure_s: float
    """Exposure time of the row in seconds: summed (`sum`), averaged (`mean`), or that of the exposure kept."""


class ReducedRows(NamedTuple):
    """What is known of a block of rows beside their pixels and features."""

    chosen: NDArray[np.int64]
    """(n,) the exposure of each row that was kept (`first`, `best`), counted from 0; -1 when all were combined."""
    exposure_s: NDArray[np.float64]
    """(n,) exposure time of each row, see `FrameSummary`."""


def combines_by_exposure(grouping: Grouping, exposures_s: Sequence[float]) -> bool:
    """True for `sum` and `mean` of exposures whose times are all known (above 0 and finite) and not all equal."""
    if grouping not in (Grouping.SUM, Grouping.MEAN):
        return False
    first = exposures_s[0]
    if all(exposure_s == first for exposure_s in exposures_s):
        return False
    return all(math.isfinite(exposure_s) and exposure_s > 0 for exposure_s in exposures_s)


def row_exposure_s(grouping: Grouping, exposures_s: Sequence[float], chosen: int) -> float:
    """Exposure time of a row in seconds; NaN when it depends on a time that is not known."""
    if chosen >= 0:
        return exposures_s[chosen]
    if len(exposures_s) == 1:
        return exposures_s[0]
    total_s = math.fsum(exposures_s) if all(map(math.isfinite, exposures_s)) else math.nan
    return total_s / len(exposures_s) if grouping is Grouping.MEAN else total_s


def rows_by_exposure(grouping: Grouping, exposures_s: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(n,) `combines_by_exposure` of the rows of a block, whose exposures are (n, k)."""
    n, k = exposures_s.shape
    if k == 1:
        return np.zeros(n, np.bool_)
    return np.array([combines_by_exposure(grouping, of_row) for of_row in exposures_s.tolist()], np.bool_)


def row_exposures_s(
    grouping: Grouping, exposures_s: NDArray[np.float64], chosen: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(n,) `row_exposure_s` of the rows of a block, whose exposures are (n, k)."""
    if exposures_s.shape[1] == 1:
        return exposures_s[:, 0].copy()
    rows = zip(exposures_s.tolist(), chosen.tolist(), strict=True)
    return np.array([row_exposure_s(grouping, of_row, kept) for of_row, kept in rows])


def best_score(stored: NDArray[np.float32], is_good: NDArray[np.bool_]) -> tuple[float, float]:
    """Score that `best` compares, the larger the better: median and sum over the good pixels of a stored frame.

    A frame that has a NaN there, or no good pixel, scores below every other.
    """
    values = stored[is_good]
    if values.size == 0 or np.isnan(values).any():
        return -math.inf, -math.inf
    with np.errstate(over="ignore", invalid="ignore"):  # an absurd flat makes values that float32 cannot add up
        return float(np.median(values)), float(values.sum(dtype=np.float64))
