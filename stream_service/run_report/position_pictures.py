"""Pictures of where the beam was to be, where it was, and how far the two are apart."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from stream_service.run_report.picture import KEPT, MAP_HEIGHT_IN, PLANNED, Picture, new_figure, picture_of
from stream_service.run_report.row_pictures import mark_rejected
from stream_service.run_report.stored_run import StoredRun

UM, NM = 1e6, 1e9
PARTS = 40


def position_pictures(run: StoredRun) -> Iterator[Picture]:
    """The pictures of a run in which a position is known."""
    rows, planned_um = run.rows, run.planned_m * UM
    if not rows.has_position.any():
        return
    size = float(np.clip(60 / np.sqrt(len(rows)), 1.0, 5.0))
    figure, axes = new_figure(MAP_HEIGHT_IN)
    if len(planned_um):
        axes.plot(*planned_um.T, "o", mfc="none", mec=PLANNED, ms=1.8 * size, mew=0.8, label="planned")
    kept = rows.used & rows.has_position
    axes.plot(rows["x_m"][kept] * UM, rows["y_m"][kept] * UM, ".", color=KEPT, ms=1.4 * size, label="measured")
    mark_rejected(axes, rows["x_m"][rows.rejected] * UM, rows["y_m"][rows.rejected] * UM)
    axes.set(xlabel="x of the beam on the sample (µm)", ylabel="y (µm)")
    axes.set_aspect("equal", adjustable="datalim")
    axes.legend(loc="upper right", fontsize="small", framealpha=0.8)
    yield picture_of(figure, "Positions of the beam on the sample, planned and measured", "Positions")
    off_m = off_plan_m(run)
    known_nm = off_m[np.isfinite(off_m) & rows.used] * NM
    if len(known_nm):
        figure, axes = new_figure(MAP_HEIGHT_IN)
        axes.hist(known_nm, bins=PARTS, color=KEPT)
        axes.set(xlabel="from the planned to the measured position (nm)", ylabel="rows")
        axes.grid(alpha=0.3)
        yield picture_of(figure, "Distances between planned and measured positions", "How far from the plan")


def off_plan_m(run: StoredRun) -> npt.NDArray[np.float64]:
    """(n,) distance of each row from its planned position; NaN where one of them is not known."""
    places = run.rows["planned"]
    known = (places >= 0) & (places < len(run.planned_m))
    off_m = np.full(len(places), np.nan)
    x_m, y_m = run.planned_m[places[known]].T
    off_m[known] = np.hypot(run.rows["x_m"][known] - x_m, run.rows["y_m"][known] - y_m)
    return off_m
