"""Pictures of the orientation search: for every candidate the hologram put together, and its short reconstruction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from stream_service.ptycho.image.object_image import flattened_phase
from stream_service.ptycho.optics.scan_holograms import ScanHolograms
from stream_service.ptycho.orientation.orient import Candidate, mosaic
from stream_service.ptycho.orientation.orient_trials import Trial
from stream_service.qc.pictures import save_picture


def draw_candidates(
    candidates: Sequence[Candidate], seen: ScanHolograms, trials: Sequence[Trial], names: Sequence[str], folder: Path
) -> Path:
    """Write a picture of each candidate, and one of all; the path of the latter. `names` are their profile lines."""
    tried = {trial.candidate.orientation: trial for trial in trials}
    for number, (candidate, name) in enumerate(zip(candidates, names, strict=True), start=1):
        figure = Figure(figsize=(9 if trials else 5, 5), layout="constrained")
        panels = np.atleast_1d(figure.subplots(1, 2 if trials else 1))
        _draw(panels, candidate, seen, tried.get(candidate.orientation), name)
        save_picture(figure, folder / f"candidate{number}.png", dpi=90)
    columns = len(candidates)
    figure = Figure(figsize=(2.6 * columns, 6.4 if trials else 3.4), layout="constrained")
    sheet = np.atleast_2d(figure.subplots(2 if trials else 1, columns))
    for column, (candidate, name) in enumerate(zip(candidates, names, strict=True)):
        _draw(sheet[:, column], candidate, seen, tried.get(candidate.orientation), name)
    path = folder / "orientations.png"
    save_picture(figure, path, dpi=90)
    return path


def _draw(panels: npt.NDArray[Any], candidate: Candidate, seen: ScanHolograms, trial: Trial | None, name: str) -> None:
    hologram = mosaic(seen, candidate)
    limit = float(np.nanpercentile(np.abs(hologram), 98))
    panels[0].imshow(hologram, origin="lower", cmap="gray", vmin=-limit, vmax=limit)
    panels[0].set_title(f"{name}\ncross-correlation {candidate.correlation:.2f}", fontsize="small")
    if trial is not None:
        middle = _middle(trial)
        phase = flattened_phase(middle, np.ones(middle.shape, bool))
        lowest, highest = np.percentile(phase, (2, 98))
        panels[1].imshow(phase, origin="lower", cmap="gray", vmin=lowest, vmax=highest)
        panels[1].set_title(f"photon error {trial.photon_error:.3g}", fontsize="small")
    for axes in panels:
        axes.set_axis_off()


def _middle(trial: Trial) -> npt.NDArray[np.complex64]:
    """The part of the object that the scan covers: all but the probe's margin."""
    ny, nx = trial.ptyr.object.shape
    edge_y, edge_x = (min(n // 3, p // 3) for n, p in zip((ny, nx), trial.ptyr.probe.shape[-2:], strict=True))
    return trial.ptyr.object[edge_y : ny - edge_y, edge_x : nx - edge_x]
