"""The present image of a reconstruction that follows the scan (`reconstruct --follow`): phase of the object."""

from __future__ import annotations

from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, InlineStyleSheet, LinearColorMapper
from bokeh.palettes import Greys256

from stream_service.web.html_panel import HtmlPanel
from stream_service.web.look import NOTHING, add_colour_bar, dark_figure
from stream_service.web.map_panel import NO_IMAGE
from stream_service.web.picture import Picture
from stream_service.web.service_view import RECONSTRUCTION, ServiceView


class ReconstructionPanel:
    """Its picture, or the words that there is none."""

    def __init__(self, view: ServiceView, sheet: InlineStyleSheet) -> None:
        self._view = view
        self._shown: Picture | None = None
        self._source = ColumnDataSource(NO_IMAGE)
        self._mapper = LinearColorMapper(palette=Greys256, low=-1, high=1, nan_color=NOTHING)
        self._figure = dark_figure("reconstruction", "x (pixel)", "y (pixel)", match_aspect=True, visible=False)
        shown: Any = {"source": self._source, "color_mapper": self._mapper}  # stubs of Bokeh do not know the latter
        self._figure.image("image", "x", "y", "dw", "dh", **shown)
        add_colour_bar(self._figure, self._mapper, "rad")
        self._text = HtmlPanel("reconstruction_text", lambda: {"picture": self._shown}, sheet)
        self.roots = (self._figure, *self._text.roots)

    def show(self) -> None:
        """Show the latest image, if it is another one."""
        picture = self._view.picture(RECONSTRUCTION)
        picture = None if picture is None or picture.is_empty else picture
        if picture is not self._shown:
            self._shown = picture
            self._figure.visible = picture is not None
            if picture is not None:
                self._draw(picture)
        self._text.show()

    def _draw(self, picture: Picture) -> None:
        ny, nx = (n * picture.step for n in picture.pixels.shape)
        self._source.data = {"image": [picture.pixels], "x": [0], "y": [0], "dw": [nx], "dh": [ny]}
        known = picture.pixels[np.isfinite(picture.pixels)]
        if known.size:
            low, high = (float(value) for value in np.percentile(known, (1, 99)))
            self._mapper.update(low=low, high=max(high, low + 1e-6))
