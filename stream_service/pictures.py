"""Pictures of a standard file, for people who would rather look than read."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from stream_service.qc.maps import scan_map

UM = 1e6


def draw_overview(file: Path, picture: Path) -> None:
    """Positions, STXM map and the brightest frame of a standard file, side by side in one PNG. Needs no display."""
    with h5py.File(file, "r") as opened:
        x_m, y_m = np.asarray(opened["/entry/posx_m"]), np.asarray(opened["/entry/posy_m"])
        intensity = np.asarray(opened["/entry/qc/features/intensity"])
        planned = [np.asarray(opened[f"/entry/planned/{axis}_m"]) for axis in "xy"]
        brightest = int(np.nanargmax(intensity))
        frame = np.asarray(opened["/entry/data"][brightest])  # type: ignore[index]  (a dataset in every standard file)
        bad = np.asarray(opened["/entry/mask"]) != 0
    figure = Figure(figsize=(15, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    positions, stxm, pattern = figure.subplots(1, 3)

    if len(planned[0]):
        positions.plot(planned[0] * UM, planned[1] * UM, "o", mfc="none", mec="0.7", ms=7, label="planned")
    drawn = positions.scatter(x_m * UM, y_m * UM, c=np.arange(len(x_m)), s=12, cmap="viridis", label="measured")
    figure.colorbar(drawn, ax=positions, label="row")
    positions.set(
        title=f"{len(x_m)} positions of the beam on the sample", xlabel="x (µm)", ylabel="y (µm)", aspect="equal"
    )
    positions.legend(loc="upper right", fontsize="small")

    known = np.isfinite(x_m) & np.isfinite(y_m)
    drawn_map = scan_map(x_m[known], y_m[known], intensity[known])
    extent_um = tuple(edge * UM for edge in drawn_map.extent_m)
    shown = stxm.imshow(drawn_map.image, origin="lower", extent=extent_um, cmap="gray", interpolation="nearest")
    figure.colorbar(shown, ax=stxm, label="counts in the frame")
    stxm.set(title="STXM: transmitted intensity", xlabel="x (µm)", ylabel="y (µm)")

    pixels = np.ma.masked_array(frame, bad)
    shown = pattern.imshow(pixels, norm=LogNorm(1, max(float(pixels.max()), 2.0), clip=True), cmap="inferno")
    figure.colorbar(shown, ax=pattern, label="counts")
    pattern.set(title=f"frame of row {brightest} (log)", xlabel="column", ylabel="row")
    pattern.set_facecolor("0.5")
    figure.suptitle(file.name)
    figure.savefig(picture, dpi=110)
