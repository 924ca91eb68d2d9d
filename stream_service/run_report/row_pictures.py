"""Pictures of the run row by row: intensity, score, energy where it changed, and the rate of the rows over time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from stream_service.run_report.picture import KEPT, REJECTED, Picture, new_figure, picture_of
from stream_service.run_report.stored_run import StoredRun
from stream_service.run_report.thinned_line import MOST_POINTS, draw_points

SAME_ENERGY = 1e-4
"""Relative: less is noise of a readback."""
RATE_PARTS = 60
MANY = 200
"""Rejected rows of which each is marked where it is."""


def row_pictures(run: StoredRun) -> Iterator[Picture]:
    """The pictures of a run that has rows."""
    rows = run.rows
    yield _over_rows(run, rows["intensity"], "intensity (counts)", "Light in each row")
    if rows.is_judged.any():
        yield _over_rows(run, rows["score"], "score, 0 to 1", "Score of each row", top=1.05)
    energies_eV = rows["energy_eV"][np.isfinite(rows["energy_eV"])]
    if len(energies_eV) and np.ptp(energies_eV) > SAME_ENERGY * abs(float(energies_eV[0])):
        yield _over_rows(run, rows["energy_eV"], "photon energy (eV)", "Energy of each row")
    stamps_ns = np.sort(rows["timestamp_ns"][rows["timestamp_ns"] > 0])
    if len(stamps_ns) > 1 and stamps_ns[-1] > stamps_ns[0]:
        yield _rate(stamps_ns)


def _over_rows(
    run: StoredRun, values: npt.NDArray[np.float64], unit: str, title: str, top: float | None = None
) -> Picture:
    figure, axes = new_figure()
    at = np.arange(len(values), dtype=np.float64)
    draw_points(axes, at, np.where(run.rows.rejected, np.nan, values))
    mark_rejected(axes, at[run.rows.rejected], values[run.rows.rejected])
    axes.set(xlabel="row", ylabel=unit)
    if top is None:
        lowest, highest = axes.get_ylim()
        if lowest > 0 and lowest < 0.5 * highest:
            axes.set_ylim(bottom=0)
    else:
        axes.set_ylim(-0.03, top)
    axes.grid(alpha=0.3)
    return picture_of(figure, f"{title}, by row", title)


def mark_rejected(axes: Axes, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> None:
    """Crosses at rejected rows: smaller ones where they are many, and at most so many that they can be seen."""
    step = -(-len(x) // MOST_POINTS) or 1
    size = 6.0 if len(x) <= MANY else 2.5
    axes.plot(x[::step], y[::step], "x", color=REJECTED, markersize=size, markeredgewidth=size / 4)


def _rate(stamps_ns: npt.NDArray[np.int64]) -> Picture:
    """Rows per second, by the detector's stamps (n,) in order."""
    since_s = (stamps_ns - stamps_ns[0]) / 1e9
    n_parts = int(min(RATE_PARTS, max(1, len(since_s) // 5)))
    counts, edges = np.histogram(since_s, bins=n_parts, range=(0, float(since_s[-1])))
    figure, axes = new_figure()
    axes.stairs(counts / np.diff(edges), edges, color=KEPT, linewidth=1.5)
    axes.set(xlabel="time since the first frame (s)", ylabel="rows per second", xlim=(0, since_s[-1]))
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    return picture_of(figure, "Rows per second over the run", "Rate")
