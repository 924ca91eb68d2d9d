"""The picture `qc_maps.png`: deviation score, STXM and the two DPC maps of a scan, with its rejected rows marked."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

from stream_service.qc.maps import scan_map
from stream_service.qc.pictures import save_picture
from stream_service.quality_report.evaluation import Evaluation
from stream_service.text.counted import counted
from stream_service.text.printable import printable

UM = 1e6
BAR_SHARE = 0.25
"""Of the width of a map, what a scale bar takes at the most."""
MARK = {"marker": "o", "facecolors": "none", "edgecolors": "red", "linewidths": 1.2}


def draw_maps(picture: Path, name: str, evaluation: Evaluation) -> None:
    """Write the four maps as one PNG. Needs no display."""
    figure = Figure(figsize=(11.5, 10), layout="constrained")
    panels = (
        ("Deviation score", evaluation.score, "score, 0 to 1", "magma"),
        ("STXM", evaluation.stxm, "ln(counts)", "gray"),
        ("DPC-X", evaluation.dpc_x, "shift along x (pixel)", "RdBu_r"),
        ("DPC-Y", evaluation.dpc_y, "shift along y (pixel)", "RdBu_r"),
    )
    for axes, (title, values, unit, colours) in zip(figure.subplots(2, 2).flat, panels, strict=True):
        axes.set_title(title, loc="left")
        if evaluation.numbers.has_position.any():
            _draw_map(figure, axes, evaluation, values, unit, colours)
        else:
            _draw_line(axes, evaluation, values, unit)
    n_rejected = int(np.count_nonzero(evaluation.rejected))
    rejected = f"{n_rejected} of {counted(len(evaluation.mask_indices), 'row')} rejected"
    figure.suptitle(f"{printable(name)}: {rejected} (red circles): {evaluation.rule}", parse_math=False)
    save_picture(figure, picture, dpi=110)


def _draw_map(
    figure: Figure, axes: Axes, evaluation: Evaluation, values: npt.NDArray[np.float64], unit: str, colours: str
) -> None:
    table = evaluation.numbers
    shown = np.flatnonzero(evaluation.evaluated & table.has_position & np.isfinite(values))
    drawn = scan_map(table["x_m"][shown], table["y_m"][shown], values[shown])
    left, right, bottom, top = (edge * UM for edge in drawn.extent_m)
    lowest, highest = _limits(values, evaluation, is_signed=colours == "RdBu_r")
    image = axes.imshow(
        drawn.image,
        origin="lower",
        extent=(left, right, bottom, top),
        cmap=colours,
        vmin=0 if unit.startswith("score") else lowest,
        vmax=1 if unit.startswith("score") else highest,
        interpolation="nearest",
    )
    axes.set_facecolor("0.85")
    figure.colorbar(image, ax=axes, label=unit, shrink=0.85)
    marked = np.flatnonzero(evaluation.rejected & table.has_position)
    axes.scatter(table["x_m"][marked] * UM, table["y_m"][marked] * UM, s=_mark_size(len(shown)), **MARK)
    axes.set(xlabel="x of the beam on the sample (µm)", ylabel="y (µm)")
    _add_scale_bar(axes, right - left)


def _limits(values: npt.NDArray[np.float64], evaluation: Evaluation, *, is_signed: bool) -> tuple[float, float]:
    """Colours follow the rows that are kept, so that a beam dump does not take them all."""
    kept = values[evaluation.evaluated & ~evaluation.rejected & np.isfinite(values)]
    if not len(kept):
        return 0.0, 1.0
    lowest, highest = (float(edge) for edge in np.percentile(kept, (1, 99)))
    if is_signed:
        highest = max(abs(lowest), abs(highest))
        lowest = -highest
    return (lowest, highest) if highest > lowest else (lowest - 0.5, highest + 0.5)


def _mark_size(n_rows: int) -> float:
    """Area of a mark in points: a circle about a pixel of the map, which are smaller where there are more."""
    return float(np.clip(2e4 / max(n_rows, 1), 12, 120))


def _add_scale_bar(axes: Axes, width_um: float) -> None:
    length_um = round_length(BAR_SHARE * width_um)
    said = f"{length_um:g} µm" if length_um >= 1 else f"{1e3 * length_um:g} nm"
    bar = AnchoredSizeBar(
        axes.transData,
        length_um,
        said,
        "lower right",
        pad=0.3,
        borderpad=0,
        sep=3,
        frameon=False,
        size_vertical=width_um / 120,  # pyright: ignore[reportArgumentType]  (in the units of the axes)
        bbox_to_anchor=(1, 1),
        bbox_transform=axes.transAxes,
    )
    axes.add_artist(bar)  # above the map, of which it covers nothing


def round_length(longest: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is not longer."""
    power = 10.0 ** math.floor(math.log10(longest))
    return max(step * power for step in (1, 2, 5) if step * power <= longest * (1 + 1e-9))


def _draw_line(axes: Axes, evaluation: Evaluation, values: npt.NDArray[np.float64], unit: str) -> None:
    """Without positions there is no map: the values by the order of the rows."""
    axes.plot(values, ".", color="0.3", ms=3)
    marked = evaluation.reject_indices
    axes.scatter(marked, values[marked], s=40, **MARK)
    axes.set(xlabel="row", ylabel=unit)
