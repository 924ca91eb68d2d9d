"""A picture in the page itself: a PNG as a `data:` address, so that the report is one file."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imsave

WIDTH_IN, MAP_HEIGHT_IN, LINE_HEIGHT_IN = 4.6, 3.9, 2.7
"""Of all pictures, so that two stand side by side on a screen, and one has readable words on a phone."""
MARGINS_IN = 0.8, 0.12, 0.5, 0.22
"""Left, right, bottom, top: for labels, and for a factor such as 1e7 above the axis."""
DPI = 130
KEPT, REJECTED, PLANNED = "#0072b2", "#d55e00", "0.55"
"""Colours that everybody tells apart (Okabe and Ito)."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG and what to say of it; all texts may hold anything."""

    address: str
    width: int
    height: int
    about: str
    """For who cannot see it."""
    title: str = ""
    lines: tuple[str, ...] = ()
    """Below it."""
    is_rejected: bool = False


def new_figure(height_in: float = LINE_HEIGHT_IN, bar_in: float = 0.0) -> tuple[Figure, Axes]:
    """A figure of the usual width, with one pair of axes at the usual place. Needs no display.

    `bar_in` is the room beside the axes for the words of a colour bar, which itself takes its room from the axes.
    """
    figure = Figure(figsize=(WIDTH_IN, height_in))  # a layout that is computed takes as long as all the drawing
    FigureCanvasAgg(figure)
    left, right, bottom, top = MARGINS_IN
    width, height = WIDTH_IN - left - right - bar_in, height_in - bottom - top
    return figure, figure.add_axes((left / WIDTH_IN, bottom / height_in, width / WIDTH_IN, height / height_in))


def picture_of(figure: Figure, about: str, title: str = "", *lines: str) -> Picture:
    """The picture of a figure."""
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=DPI)
    width, height = (round(inches * DPI) for inches in figure.get_size_inches())
    return Picture(_address(png), width, height, about, title, lines)


def picture_of_pixels(shown: npt.NDArray[np.uint8], about: str, title: str, *lines: str, **more: Any) -> Picture:
    """The picture of (y, x, 3) pixels, as they are."""
    png = io.BytesIO()
    imsave(png, shown, format="png")
    height, width = shown.shape[:2]
    return Picture(_address(png), width, height, about, title, lines, **more)


def _address(png: io.BytesIO) -> str:
    return f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}"
