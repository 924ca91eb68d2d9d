"""Lines of any number of points, drawn by a bounded number of them: what was lowest and highest stays to be seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from stream_service.run_report.picture import KEPT

MOST_POINTS = 2000
"""More than there are pixels side by side."""
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Spans:
    """Points in parts, in their order: (m,) each."""

    at: Numbers
    """Where a part begins."""
    low: Numbers
    high: Numbers
    """NaN where a part has no number."""


def spans(at: Numbers, values: Numbers, n_parts: int = MOST_POINTS // 2) -> Spans:
    """Points (n,) of which there may be millions, in at most so many parts; n is 1 or more."""
    firsts = np.unique(np.linspace(0, len(values), n_parts + 1).astype(np.intp)[:-1])
    values = np.where(np.isfinite(values), values, np.nan)
    return Spans(at[firsts], np.fmin.reduceat(values, firsts), np.fmax.reduceat(values, firsts))


def draw_points(axes: Axes, at: Numbers, values: Numbers, colour: str = KEPT) -> None:
    """Points (n,), or the spans between their lowest and highest where they are too many."""
    if len(values) <= MOST_POINTS:
        axes.plot(at, values, ".", color=colour, markersize=3.5)
    elif len(values):
        parts = spans(at, values)
        axes.vlines(parts.at, parts.low, parts.high, color=colour, linewidth=0.8)
