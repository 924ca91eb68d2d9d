"""The picture `qc_maps.png`: deviation score, STXM and the two DPC maps of a scan, with its rejected rows marked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stream_service.qc.pictures import save_picture
from stream_service.quality_report.evaluation import Evaluation
from stream_service.quality_report.map_panel import SIGNED, MappedRows, draw_map
from stream_service.text.counted import counted
from stream_service.text.printable import printable

PLACES = {"left": 0.07, "right": 0.96, "bottom": 0.06, "top": 0.91, "wspace": 0.2, "hspace": 0.22}
"""Of the four maps in the picture: a layout that is computed takes as long as all the drawing."""
MARK = {"marker": "o", "facecolors": "none", "edgecolors": "red", "linewidths": 1.2}


def draw_maps(picture: Path, name: str, evaluation: Evaluation) -> None:
    """Write the four maps as one PNG. Needs no display."""
    figure = Figure(figsize=(11.5, 10))
    panels = (
        ("Deviation score", evaluation.score, "score, 0 to 1", "magma"),
        ("STXM", evaluation.stxm, "ln(counts)", "gray"),
        ("DPC-X", evaluation.dpc_x, "shift along x (pixel)", SIGNED),
        ("DPC-Y", evaluation.dpc_y, "shift along y (pixel)", SIGNED),
    )
    table = evaluation.numbers
    x_m, y_m = (np.where(table.is_trusted, table[name], np.nan) for name in ("x_m", "y_m"))
    rows = MappedRows(x_m, y_m, evaluation.evaluated, evaluation.rejected)
    places = figure.subplots(2, 2, gridspec_kw=PLACES).flat
    for axes, (title, values, unit, colours) in zip(places, panels, strict=True):
        axes.set_title(title, loc="left")
        if rows.has_position.any():
            draw_map(figure, axes, rows, values, unit, colours)
        else:
            _draw_line(axes, evaluation, values, unit)
    n_rejected = int(np.count_nonzero(evaluation.rejected))
    rejected = f"{n_rejected} of {counted(len(evaluation.mask_indices), 'row')} rejected"
    figure.suptitle(f"{printable(name)}: {rejected} (red circles): {evaluation.rule}", parse_math=False)
    save_picture(figure, picture, dpi=110)


def _draw_line(axes: Axes, evaluation: Evaluation, values: npt.NDArray[np.float64], unit: str) -> None:
    """Without positions there is no map: the values by the order of the rows."""
    axes.plot(values, ".", color="0.3", ms=3)
    marked = evaluation.reject_indices
    axes.scatter(marked, values[marked], s=40, **MARK)
    axes.set(xlabel="row", ylabel=unit)
