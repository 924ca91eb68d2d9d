"""One map of a scan in a figure: a value of each row where the beam was on the sample, rejected rows marked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

from stream_service.qc.maps import scan_map

UM = 1e6
BAR_SHARE = 0.25
"""Of the width of a map, what a scale bar takes at the most."""
RING = {"linestyle": "none", "marker": "o", "markerfacecolor": "none"}
RED_RINGS: tuple[Mapping[str, Any], ...] = ({"markeredgecolor": "red", "markeredgewidth": 1.2},)
LIGHT_AND_DARK_RINGS: tuple[Mapping[str, Any], ...] = (
    {"markeredgecolor": "white", "markeredgewidth": 3.2},
    {"markeredgecolor": "black", "markeredgewidth": 1.4},
)
"""Seen on every colour, and by everybody."""
SIGNED = "RdBu_r"
"""Colours of values on both sides of 0."""


@dataclass(frozen=True, slots=True, eq=False)
class MappedRows:
    """Rows (n,) of a scan, as its maps show them."""

    x_m: npt.NDArray[np.float64]
    y_m: npt.NDArray[np.float64]
    shown: npt.NDArray[np.bool_]
    """(n,) True for those that are drawn, if their position is known."""
    rejected: npt.NDArray[np.bool_]

    @property
    def has_position(self) -> npt.NDArray[np.bool_]:
        return np.isfinite(self.x_m) & np.isfinite(self.y_m)


def draw_map(
    figure: Figure,
    axes: Axes,
    rows: MappedRows,
    values: npt.NDArray[np.float64],
    unit: str,
    colours: str,
    rings: Sequence[Mapping[str, Any]] = RED_RINGS,
) -> None:
    """Values (n,) of the rows; of a score, which goes from 0 to 1, `unit` begins with that word."""
    shown = np.flatnonzero(rows.shown & rows.has_position & np.isfinite(values))
    drawn = scan_map(rows.x_m[shown], rows.y_m[shown], values[shown])
    left, right, bottom, top = (edge * UM for edge in drawn.extent_m)
    lowest, highest = (0.0, 1.0) if unit.startswith("score") else _limits(values, rows, is_signed=colours == SIGNED)
    image = axes.imshow(
        drawn.image,
        origin="lower",
        extent=(left, right, bottom, top),
        cmap=colours,
        vmin=lowest,
        vmax=highest,
        interpolation="nearest",
    )
    axes.set_facecolor("0.85")
    figure.colorbar(image, ax=axes, label=unit, shrink=0.85)
    marked, size = rows.rejected & rows.has_position, _ring_size(len(shown))
    for ring in rings:
        axes.plot(rows.x_m[marked] * UM, rows.y_m[marked] * UM, markersize=size, **RING, **ring)
    axes.set(xlabel="x of the beam on the sample (µm)", ylabel="y (µm)")
    _add_scale_bar(axes, right - left)


def _limits(values: npt.NDArray[np.float64], rows: MappedRows, *, is_signed: bool) -> tuple[float, float]:
    """Colours follow the rows that are kept, so that a beam dump does not take them all."""
    kept = values[rows.shown & ~rows.rejected & np.isfinite(values)]
    if not len(kept):
        return 0.0, 1.0
    lowest, highest = (float(edge) for edge in np.percentile(kept, (1, 99)))
    if is_signed:
        highest = max(abs(lowest), abs(highest))
        lowest = -highest
    return (lowest, highest) if highest > lowest else (lowest - 0.5, highest + 0.5)


def _ring_size(n_rows: int) -> float:
    """Diameter of a mark in points: a circle about a pixel of the map, which are smaller where there are more."""
    return float(np.sqrt(np.clip(2e4 / max(n_rows, 1), 12, 120)))


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
