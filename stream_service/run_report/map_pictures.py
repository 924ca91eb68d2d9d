"""The maps of a run: STXM, DPC-X, DPC-Y and score where the beam was, with the rejected rows marked."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from stream_service.quality_report.map_panel import LIGHT_AND_DARK_RINGS, SIGNED, MappedRows, draw_map
from stream_service.run_report.picture import MAP_HEIGHT_IN, Picture, new_figure, picture_of
from stream_service.run_report.row_pictures import MANY
from stream_service.run_report.stored_run import StoredRun

BAR_IN = 0.35


def map_pictures(run: StoredRun) -> Iterator[Picture]:
    """The maps; none of a run without positions, and no map of what no row has."""
    rows, values = run.rows, run.rows.values(run.axis_signs)
    mapped = MappedRows(values.x_m, values.y_m, ~rows.replaced, rows.rejected)
    rings = LIGHT_AND_DARK_RINGS if are_marked(run) else ()
    for title, of_rows, unit, colours in (
        ("STXM: transmitted light", values.stxm.values, "ln(counts)", "gray"),
        ("Score: how unlike its neighbours a row is", rows["score"], "score, 0 to 1", "cividis"),
        ("DPC-X: shift of the light along x", values.dpc_x.values, "shift along x (pixel)", SIGNED),
        ("DPC-Y: shift of the light along y", values.dpc_y.values, "shift along y (pixel)", SIGNED),
    ):
        if not (mapped.shown & mapped.has_position & np.isfinite(of_rows)).any():
            continue
        figure, axes = new_figure(MAP_HEIGHT_IN, BAR_IN)
        draw_map(figure, axes, mapped, of_rows, unit, colours, rings)
        yield picture_of(figure, f"Map over the sample: {title}", title)


def are_marked(run: StoredRun) -> bool:
    """True if rejected rows are few enough to be marked each: many rings would hide what is below."""
    return int(np.count_nonzero(run.rows.rejected)) <= MANY
