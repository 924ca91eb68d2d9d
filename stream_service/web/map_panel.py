"""A map of the scan on the page: a value where the beam was on the sample. A click on it asks for the nearest row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from bokeh.events import DoubleTap, Tap
from bokeh.models import ColumnDataSource, HoverTool, LinearColorMapper

from stream_service.settings.status_table import ServiceImage
from stream_service.web.look import DIVERGING, NOTHING, SCORES, SEQUENTIAL, add_colour_bar, dark_figure
from stream_service.web.picture import Picture
from stream_service.web.service_view import ServiceView


@dataclass(frozen=True, slots=True)
class MapKind:
    """How a map is shown."""

    image: ServiceImage
    title: str
    unit: str
    palette: tuple[str, ...]
    is_around_zero: bool = False
    limits: tuple[float, float] | None = None
    """None: those of the values."""


MAPS = (
    MapKind(ServiceImage.STXM, "STXM: transmitted light", "ln(counts)", SEQUENTIAL),
    MapKind(ServiceImage.DPC_X, "DPC x: beam shift", "pixel", DIVERGING, is_around_zero=True),
    MapKind(ServiceImage.DPC_Y, "DPC y: beam shift", "pixel", DIVERGING, is_around_zero=True),
    MapKind(ServiceImage.SCORE, "Score: 0 good, 1 rejected", "", SCORES, limits=(0.0, 1.0)),
)

NO_IMAGE: dict[str, Any] = {"image": [], "x": [], "y": [], "dw": [], "dh": []}


class MapPanel:
    """One map; `chosen` is the place of the row that was clicked, shared by all maps."""

    def __init__(
        self,
        kind: MapKind,
        view: ServiceView,
        chosen: ColumnDataSource,
        choose: Callable[[float, float], None],
    ) -> None:
        self._kind, self._view = kind, view
        self._serial = 0
        self._source = ColumnDataSource(NO_IMAGE)
        self._mapper = LinearColorMapper(palette=kind.palette, low=0, high=1, nan_color=NOTHING)
        if kind.is_around_zero:
            self._mapper.update(low=-1, high=1)
        plot = dark_figure(f"map_{kind.image}", "x (µm)", "y (µm)", match_aspect=True, title=None)
        plot.x_range.range_padding = plot.y_range.range_padding = 0.02  # type: ignore[union-attr]
        shown: Any = {"source": self._source, "color_mapper": self._mapper}  # stubs of Bokeh do not know the latter
        drawn = plot.image("image", "x", "y", "dw", "dh", **shown)
        hover = HoverTool(renderers=[drawn], tooltips=[("x, y", "$x{0.000} µm, $y{0.000} µm"), (kind.title, "@image")])
        plot.add_tools(hover)
        for colour, width in (("black", 5), ("white", 2)):
            plot.scatter(
                "x", "y", source=chosen, marker="circle", size=18, fill_color=None, line_color=colour, line_width=width
            )
        add_colour_bar(plot, self._mapper, kind.unit)
        for event in (Tap, DoubleTap):  # two clicks soon after each other are no two of the former
            plot.on_event(event, self._tapped)
        self._choose = choose
        self.roots = (plot,)

    def _tapped(self, event: Any) -> None:
        self._choose(event.x, event.y)

    def show(self) -> None:
        """Show the latest map, if it is another one."""
        picture = self._view.picture(self._kind.image)
        if picture is None or picture.serial == self._serial:
            return
        self._serial = picture.serial
        if picture.is_empty:
            self._source.data = NO_IMAGE
            return
        left, bottom, width, height = picture.extent_um()
        self._source.data = {"image": [picture.pixels], "x": [left], "y": [bottom], "dw": [width], "dh": [height]}
        low, high = self._limits(picture)
        self._mapper.update(low=low, high=high)

    def _limits(self, picture: Picture) -> tuple[float, float]:
        """Of the colours: a few wrong rows do not hide the others."""
        if self._kind.limits is not None:
            return self._kind.limits
        known = picture.pixels[np.isfinite(picture.pixels)]
        if not known.size:
            return 0.0, 1.0
        low, high = (float(value) for value in np.percentile(known, (1, 99)))
        if self._kind.is_around_zero:
            high = max(abs(low), abs(high), 1e-6)
            return -high, high
        return low, high if high > low else low + 1e-6
