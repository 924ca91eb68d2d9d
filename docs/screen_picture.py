"""A picture of a Phoebus screen with the values of a service that runs: `python docs/screen_picture.py PREFIX`.

Phoebus is not asked: widgets are drawn where the file has them, with what the service shows over PVA now. It made
docs/images/operator-screen.png.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
from matplotlib import colors
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from p4p.client.thread import Context

CHECKOUT = Path(__file__).resolve().parents[1]
SCREEN = CHECKOUT / "screens" / "ptychostream.bob"
PICTURE = CHECKOUT / "docs" / "images" / "operator-screen.png"
DPI = 100
POINT = 72 / DPI
PRIMARIES = ("red", "green", "blue")
LINES = 9
"""Of a table that are drawn."""
CHARACTER = 8
"""Its width in a table, in pixels."""

Value = Any
"""A value of p4p: NTScalar, NTEnum, NTNDArray or NTTable."""


def colour(widget: ET.Element, path: str = "background_color/color") -> str:
    """A colour of a widget for matplotlib."""
    found = widget.find(path)
    return "none" if found is None else "#" + "".join(f"{int(found.attrib[part]):02x}" for part in PRIMARIES)


class Picture:
    """The screen as it is drawn."""

    def __init__(self, screen: ET.Element, prefix: str, value_of: Callable[[str], Value]) -> None:
        self._prefix, self._value_of = prefix, value_of
        self._width, self._height = (int(screen.findtext(tag, "0")) for tag in ("width", "height"))
        self.figure = Figure((self._width / DPI, self._height / DPI), dpi=DPI, facecolor=colour(screen))
        self._page = self._axes(0, 0, self._width, self._height)
        self._page.set(xlim=(0, self._width), ylim=(self._height, 0))
        self._page.axis("off")
        for widget in screen.findall("widget"):
            place = tuple(float(widget.findtext(tag, "0")) for tag in ("x", "y", "width", "height"))
            getattr(self, widget.attrib["type"])(widget, *place)

    def label(self, widget: ET.Element, x: float, y: float, width: float, height: float) -> None:
        self._text(widget, widget.findtext("text", "").replace("$(P)", self._prefix), x + 2, y + height / 2)

    def action_button(self, widget: ET.Element, x: float, y: float, width: float, height: float) -> None:
        self._box(x, y, width, height, colour(widget), "0.5")
        self._text(widget, widget.findtext("text", ""), x + width / 2, y + height / 2, ha="center")

    def textupdate(self, widget: ET.Element, x: float, y: float, width: float, height: float) -> None:
        value = self._value(widget)
        alarm = ("none", "gold", "red", "purple")[value.alarm.severity]
        box = self._box(x, y, width, height, colour(widget), alarm)
        self._text(widget, shown(value), x + 4, y + height / 2).set_clip_path(box)

    def multi_state_led(self, widget: ET.Element, x: float, y: float, width: float, height: float) -> None:
        state = widget.findall("states/state")[self._value(widget).value.index]
        self._box(x, y, width, height, colour(state, "color/color"), "0.3")
        self._text(widget, state.findtext("label", ""), x + width / 2, y + height / 2, ha="center")

    def progressbar(self, widget: ET.Element, x: float, y: float, width: float, height: float) -> None:
        share = float(np.nan_to_num(self._value(widget).value)) / float(widget.findtext("maximum", "1"))
        self._box(x, y, width, height, colour(widget), "0.5")
        self._box(x, y, share * width, height, colour(widget, "fill_color/color"))

    def image(self, widget: ET.Element, x: float, y: float, width: float, height: float) -> None:
        value = self._value(widget)
        sizes = [dimension.size for dimension in reversed(value.dimension)]
        pixels = np.asarray(value.value).reshape(sizes)
        scale = colors.LogNorm(vmin=1) if widget.findtext("log_scale") == "true" else None
        axes = self._axes(x + 46, y + 6, width - 66, height - 50)
        drawn = axes.imshow(pixels, norm=scale, cmap="viridis", aspect="auto")
        axes.set(xlabel=widget.findtext("x_axis/title"), ylabel=widget.findtext("y_axis/title"))
        axes.yaxis.labelpad = 0
        self.figure.colorbar(drawn, ax=axes)

    def table(self, widget: ET.Element, x: float, y: float, width: float, height: float) -> None:
        value = self._value(widget)
        columns = {name: list(value.value[name])[-LINES:] for name in value.labels}
        self._box(x, y, width, height, "white", "0.5")
        left = x + 4
        for column in widget.findall("columns/column"):
            name, wide = column.findtext("name", ""), int(column.findtext("width", "0"))
            n_shown = wide // CHARACTER
            cells = [f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in columns[name]]
            for line, text in enumerate([name, *cells]):
                self._page.text(left, y + 14 + line * 24, text[:n_shown], size=14 * POINT, va="center")
            left += wide

    def _value(self, widget: ET.Element) -> Value:
        return self._value_of(widget.findtext("pv_name", "").partition("$(P)")[2])

    def _axes(self, x: float, y: float, width: float, height: float) -> Axes:
        left, bottom = x / self._width, 1 - (y + height) / self._height
        return self.figure.add_axes((left, bottom, width / self._width, height / self._height))

    def _box(
        self, x: float, y: float, width: float, height: float, fill: Any = "none", edge: str = "none"
    ) -> Rectangle:
        box = Rectangle((x, y), width, height, facecolor=fill, edgecolor=edge, linewidth=1.5)
        self._page.add_patch(box)
        return box

    def _text(self, widget: ET.Element, text: str, x: float, y: float, **how: Any) -> Any:
        found = widget.find("font/font")
        size, style = (14.0, "") if found is None else (float(found.attrib["size"]), found.attrib["style"])
        weight = "bold" if style == "BOLD" else "normal"
        return self._page.text(x, y, text, size=size * POINT, weight=weight, va="center", clip_on=True, **how)


def shown(value: Value) -> str:
    """A number as Phoebus writes it, by its precision, with its unit."""
    number, display = value.value, value.display
    if isinstance(number, str):
        return number
    digits = f"{number:.{display.precision}f}" if isinstance(number, float) else str(number)
    return f"{digits} {display.units}".strip()


def main() -> None:
    """Draw the operator's screen of the service with this prefix."""
    (prefix,) = sys.argv[1:]
    with Context("pva", nt=False) as context:
        screen = ET.parse(SCREEN).getroot()
        Picture(screen, prefix, lambda name: context.get(prefix + name)).figure.savefig(PICTURE, dpi=DPI)


if __name__ == "__main__":
    main()
