"""Pictures of a standard file, for people who would rather look than read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from stream_service.errors import WriteError
from stream_service.hdf5.opening import open_hdf5
from stream_service.output_file import whole_file
from stream_service.qc.maps import scan_map
from stream_service.qc.scan_values import log_counts
from stream_service.standard_file.read.announced_rows import standard_rows
from stream_service.standard_file.schema import paths
from stream_service.text.printable import printable

UM = 1e6


def draw_overview(file: Path, picture: Path) -> None:
    """Positions, STXM map and the brightest frame of a standard file, side by side in one PNG. Needs no display."""
    with open_hdf5(file).file as opened:
        n_rows = standard_rows(opened).n_rows
        columns = (paths.POS_X, paths.POS_Y, paths.INTENSITY)
        x_m, y_m, intensity = (np.asarray(opened[path])[:n_rows] for path in columns)
        planned = [np.asarray(opened[path]) for path in (paths.PLANNED_X, paths.PLANNED_Y)]
        brightest = int(np.nanargmax(intensity))
        frame = np.asarray(opened[paths.DATA][brightest])  # type: ignore[index]  (a dataset in every standard file)
        bad = np.asarray(opened[paths.MASK]) != 0
    figure = Figure(figsize=(15, 4.8), layout="constrained")
    positions, stxm, pattern = figure.subplots(1, 3)

    if len(planned[0]):
        positions.plot(planned[0] * UM, planned[1] * UM, "o", mfc="none", mec="0.7", ms=7, label="planned")
    drawn = positions.scatter(x_m * UM, y_m * UM, c=np.arange(len(x_m)), s=12, cmap="viridis", label="measured")
    figure.colorbar(drawn, ax=positions, label="row")
    positions.set(
        title=f"{len(x_m)} positions of the beam on the sample", xlabel="x (µm)", ylabel="y (µm)", aspect="equal"
    )
    positions.legend(loc="upper right", fontsize="small")

    shown = _draw_stxm(stxm, x_m, y_m, log_counts(intensity))
    figure.colorbar(shown, ax=stxm, label="ln(counts)")
    stxm.set(title="STXM: transmitted light", xlabel="x (µm)", ylabel="y (µm)", aspect="equal")

    pixels = np.ma.masked_array(frame, bad)
    shown = pattern.imshow(pixels, norm=LogNorm(1, max(float(pixels.max()), 2.0), clip=True), cmap="inferno")
    figure.colorbar(shown, ax=pattern, label="counts")
    pattern.set(title=f"frame of row {brightest} (log)", xlabel="column", ylabel="row")
    pattern.set_facecolor("0.5")
    figure.suptitle(printable(file.name), parse_math=False)  # a $ is a $
    save_picture(figure, picture, dpi=110)


def save_picture(figure: Figure, picture: Path, dpi: int) -> None:
    """Write a figure as a PNG, whole or not at all. Needs no display. Raises `WriteError`."""
    FigureCanvasAgg(figure)
    try:
        with whole_file(picture) as unfinished, unfinished.open("xb") as file:
            figure.savefig(file, format="png", dpi=dpi)
    except OSError as error:
        raise WriteError(f"{picture}: could not write the picture: {error.strerror or error}.") from error


def _draw_stxm(axes: Axes, x_m: npt.NDArray[Any], y_m: npt.NDArray[Any], values: npt.NDArray[Any]) -> ScalarMappable:
    """Smooth between the rows where they span an area, as a map of pixels where they do not."""
    known = np.isfinite(x_m) & np.isfinite(y_m)
    x_m, y_m, values = x_m[known], y_m[known], values[known]
    spans_an_area = len(x_m) > 3 and np.linalg.matrix_rank(np.column_stack([x_m - x_m[0], y_m - y_m[0]])) == 2
    if spans_an_area:
        return axes.tripcolor(x_m * UM, y_m * UM, values, shading="gouraud", cmap="gray")
    drawn = scan_map(x_m, y_m, values)
    left, right, bottom, top = (edge * UM for edge in drawn.extent_m)
    return axes.imshow(drawn.image, origin="lower", extent=(left, right, bottom, top), cmap="gray")
