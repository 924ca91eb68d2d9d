"""A frame on the page, on a logarithmic scale of counts, drawn as it is stored: its first row on top."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from bokeh.models import ColumnDataSource, DataRange1d, HoverTool, InlineStyleSheet, LogColorMapper
from bokeh.palettes import Magma256

from stream_service.settings.status_table import ServiceImage
from stream_service.web.html_panel import HtmlPanel
from stream_service.web.look import NOTHING, add_colour_bar, dark_figure
from stream_service.web.map_panel import NO_IMAGE
from stream_service.web.picture import Picture
from stream_service.web.service_view import ServiceView

DECADES = 1e5
"""Of the scale at most."""


class FrameFigure:
    """An empty one, until it is given a picture."""

    def __init__(self, name: str) -> None:
        self._source = ColumnDataSource(NO_IMAGE)
        self._mapper = LogColorMapper(palette=Magma256, low=1, high=10, low_color=Magma256[0], nan_color=NOTHING)
        self.root = dark_figure(name, "column (pixel)", "row (pixel)", match_aspect=True)
        self.root.y_range = DataRange1d(flipped=True)
        self.root.x_range.range_padding = self.root.y_range.range_padding = 0.0  # type: ignore[union-attr]
        shown: Any = {"source": self._source, "color_mapper": self._mapper}  # stubs of Bokeh do not know the latter
        drawn = self.root.image("image", "x", "y", "dw", "dh", **shown)
        self.root.add_tools(
            HoverTool(renderers=[drawn], tooltips=[("row, column", "$y{0}, $x{0}"), ("counts", "@image")])
        )
        add_colour_bar(self.root, self._mapper, "counts")

    def show(self, picture: Picture | None) -> None:
        """Show a frame, or none."""
        if picture is None or picture.is_empty:
            self._source.data = NO_IMAGE
            return
        ny, nx = (n * picture.step for n in picture.pixels.shape)
        self._source.data = {"image": [picture.pixels], "x": [0], "y": [0], "dw": [nx], "dh": [ny]}
        low, high = log_range(picture.pixels)
        self._mapper.update(low=low, high=high)


class LatestFramePanel:
    """The latest stored frame."""

    def __init__(self, view: ServiceView, sheet: InlineStyleSheet) -> None:
        self._view = view
        self._shown: Picture | None = None
        self._figure = FrameFigure("frame")
        self._caption = HtmlPanel("frame_caption", lambda: {"picture": self._shown}, sheet)
        self.roots = (self._figure.root, *self._caption.roots)

    def show(self) -> None:
        """Show it, if it is another one."""
        picture = self._view.picture(ServiceImage.FRAME)
        if picture is not None and picture is not self._shown:
            self._shown = picture
            self._figure.show(picture)
            self._caption.show()


def log_range(pixels: npt.NDArray[np.float32]) -> tuple[float, float]:
    """Lowest and highest counts of a logarithmic scale, from the faintest light on."""
    known = pixels[np.isfinite(pixels) & (pixels > 0)]
    if not known.size:
        return 1.0, 10.0
    highest = float(known.max())
    lowest = max(float(known.min()), highest / DECADES)
    return lowest, max(highest, 10 * lowest)
