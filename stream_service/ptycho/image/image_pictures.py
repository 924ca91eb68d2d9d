"""Pictures of a reconstruction: amplitude and phase of the object, probe, errors. One PNG each, y upwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure

from stream_service.ptycho.image.image_file import Reconstruction
from stream_service.ptycho.image.object_image import flattened_phase
from stream_service.qc.pictures import save_picture
from stream_service.text.printable import printable

UM = 1e6
Complex = npt.NDArray[np.complexfloating[Any, Any]]


def draw_reconstruction(found: Reconstruction, stem: Path) -> list[Path]:
    """Write `<stem>_amplitude.png`, `_phase`, `_probe` and `_error`; their paths. Needs no display."""
    drawn = {
        "amplitude": _image_figure(found, "amplitude"),
        "phase": _image_figure(found, "phase"),
        "probe": _probe_figure(found.ptyr.probe, found.ptyr.pixel_yx_m),
        "error": _error_figure(found),
    }
    paths = []
    for name, figure in drawn.items():
        paths.append(stem.with_name(f"{stem.name}_{name}.png"))
        save_picture(figure, paths[-1], dpi=110)
    return paths


def _image_figure(found: Reconstruction, quantity: str) -> Figure:
    figure, axes = _figure()
    covered, ptyr = found.covered, found.ptyr
    if quantity == "phase":
        values, label = flattened_phase(ptyr.object, covered), "phase (rad)"
    else:
        values, label = np.where(covered, np.abs(ptyr.object), np.nan), "amplitude"
    values, extent = _cut(values, covered, ptyr.origin_yx_m, ptyr.pixel_yx_m)
    lowest, highest = np.nanpercentile(values, (1, 99)) if np.isfinite(values).any() else (0, 1)
    shown = axes.imshow(values, origin="lower", extent=extent, cmap="gray", vmin=lowest, vmax=highest)
    figure.colorbar(shown, ax=axes, label=label)
    pixel_nm = ptyr.pixel_yx_m[0] * 1e9
    _set_title(axes, found, f"{quantity}, {pixel_nm:.3g} nm per pixel")
    axes.set(xlabel="x (µm)", ylabel="y (µm)")
    return figure


def draw_probe(probe: Complex, pixel_yx_m: tuple[float, float], picture: Path) -> None:
    """Write the picture of a probe, (y, x) or (modes, y, x)."""
    figure = _probe_figure(probe.reshape(-1, *probe.shape[-2:]), pixel_yx_m)
    save_picture(figure, picture, dpi=110)


def _probe_figure(probe: Complex, pixel_yx_m: tuple[float, float]) -> Figure:
    figure = Figure(figsize=(4.2 * len(probe), 4.4), layout="constrained")
    power = (np.abs(probe) ** 2).sum(axis=(1, 2))
    for number, (axes, mode) in enumerate(zip(np.atleast_1d(figure.subplots(1, len(probe))), probe, strict=True)):
        half_y, half_x = (n / 2 * pixel * UM for n, pixel in zip(mode.shape, pixel_yx_m, strict=True))
        axes.imshow(complex_colours(mode), origin="lower", extent=(-half_x, half_x, -half_y, half_y))
        axes.set(title=f"probe mode {number + 1}: {power[number] / power.sum():.1%}", xlabel="x (µm)", ylabel="y (µm)")
    return figure


def complex_colours(wave: Complex) -> npt.NDArray[np.float64]:
    """(y, x, 3) red, green, blue: brightness is the amplitude, colour the phase."""
    amplitude = np.abs(wave)
    hue = (np.angle(wave) / (2 * np.pi)) % 1
    return hsv_to_rgb(np.stack([hue, np.full_like(amplitude, 0.85), amplitude / max(amplitude.max(), 1e-30)], axis=-1))


def _error_figure(found: Reconstruction) -> Figure:
    figure, axes = _figure()
    errors = found.ptyr.errors
    numbers = np.arange(1, len(errors) + 1)
    for column, label in ((0, "Fourier error"), (1, "photon error")):
        known = errors[:, column] > 0
        if known.any():
            axes.semilogy(numbers[known], errors[known, column], label=label)
    for at in np.flatnonzero(np.array(found.ptyr.engines[1:]) != np.array(found.ptyr.engines[:-1])):
        axes.axvline(at + 1.5, color="0.7", label=f"from here {found.ptyr.engines[at + 1]}")
    _set_title(axes, found, "errors")
    axes.set(xlabel="iteration", ylabel="PtyPy's error")
    axes.legend(loc="upper right")
    return figure


def _set_title(axes: Axes, found: Reconstruction, what: str) -> None:
    axes.set_title(f"{printable(found.scan.scan_id)}: {what}", parse_math=False)  # a $ in a name is a $


def _figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7, 6), layout="constrained")
    return figure, figure.subplots()


def _cut(
    values: npt.NDArray[np.float64],
    covered: npt.NDArray[np.bool_],
    origin_yx_m: tuple[float, float],
    pixel_yx_m: tuple[float, float],
) -> tuple[npt.NDArray[np.float64], tuple[float, float, float, float]]:
    """The covered part, and its left, right, bottom, top edge in micrometres."""
    rows, columns = np.flatnonzero(covered.any(axis=1)), np.flatnonzero(covered.any(axis=0))
    if not len(rows):
        rows, columns = np.arange(values.shape[0]), np.arange(values.shape[1])
    top, bottom = (origin_yx_m[0] + (row - 0.5) * pixel_yx_m[0] for row in (rows[-1] + 1, rows[0]))
    left, right = (origin_yx_m[1] + (column - 0.5) * pixel_yx_m[1] for column in (columns[0], columns[-1] + 1))
    part = values[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return part, (left * UM, right * UM, bottom * UM, top * UM)
