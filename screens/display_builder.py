"""Widgets of a Phoebus screen: the elements of a Display Builder file (.bob), version 2.

Types and names of properties are those of Phoebus' widget classes (app/display/model). Texts of the service are char
waveforms, which a text update shows as a string by its format. An image widget draws the first line of an image at
the top, whatever its axes say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from xml.etree import ElementTree as ET

from stream_service.settings.alarms import NEVER
from stream_service.settings.pv_type import Kind
from stream_service.settings.status_table import ServiceImage, ServicePV, ServiceTable

FONT = "Liberation Sans"
SMALL, BODY, LARGE = 14.0, 16.0, 22.0
AS_STRING = 6
"""Ordinal of the format STRING of a text update."""
MIDDLE = 1
"""Ordinal of the vertical alignment."""

Colour = tuple[int, int, int]
GREY, PALE, DARK = (218, 218, 218), (240, 240, 240), (20, 20, 20)
GREEN, BLUE, WHITE = (90, 200, 160), (120, 190, 240), (250, 250, 250)
YELLOW, ORANGE, RED = (240, 228, 66), (240, 160, 60), (245, 110, 90)
"""Lighter shades of a palette that colour-blind people tell apart; words in DARK are readable on each."""


class Place(NamedTuple):
    """A rectangle on the screen, in pixels from its upper left corner."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Screen:
    """A display with macros; widgets are added to it."""

    display: ET.Element

    @classmethod
    def named(cls, title: str, width: int, height: int, macros: Mapping[str, str]) -> Screen:
        """An empty one."""
        display = ET.Element("display", version="2.0.0")
        _add(display, name=title, width=width, height=height)
        defined = ET.SubElement(display, "macros")
        _add(defined, **macros)
        _add(display, background_color=GREY, grid_visible=False)
        return cls(display)

    def as_xml(self) -> str:
        """The text of the file."""
        ET.indent(self.display)
        return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(self.display, encoding="unicode") + "\n"

    def label(self, text: str, place: Place, size: float = SMALL, bold: bool = False) -> None:
        """A text that stays."""
        widget = self._widget("label", f"label {text}", place)
        _add(widget, text=text, foreground_color=DARK, vertical_alignment=MIDDLE)
        _font(widget, size, bold)

    def value(self, pv: ServicePV, place: Place, size: float = SMALL, bold: bool = False) -> None:
        """The value of a PV with its unit; its border shows its alarm."""
        widget = self._widget("textupdate", pv, place, pv_name=over_ca(pv), tooltip=_tooltip(pv))
        _add(widget, foreground_color=DARK, background_color=PALE, vertical_alignment=MIDDLE)
        if pv.type.kind is Kind.CHAR:
            _add(widget, format=AS_STRING)
        _font(widget, size, bold)

    def state(self, pv: ServicePV, colours: Mapping[str, Colour], place: Place, size: float = LARGE) -> None:
        """The word of an enum on its colour."""
        widget = self._widget("multi_state_led", pv, place, pv_name=over_ca(pv), tooltip=_tooltip(pv))
        states = ET.SubElement(widget, "states")
        for number, word in enumerate(pv.type.choices):
            _add(ET.SubElement(states, "state"), value=number, label=word, color=colours[word])
        _add(widget, fallback_label="unknown", foreground_color=DARK, square=True)
        _font(widget, size, bold=True)

    def progress(self, pv: ServicePV, place: Place) -> None:
        """A bar between the limits of the PV."""
        widget = self._widget("progressbar", pv, place, pv_name=over_ca(pv), tooltip=_tooltip(pv))
        assert pv.type.limits is not None, f"{pv} has no limits"
        low, high = pv.type.limits
        _add(widget, fill_color=BLUE, background_color=WHITE, limits_from_pv=False, minimum=low, maximum=high)

    def image(self, image: ServiceImage, place: Place, *, axes: tuple[str, str], log_scale: bool = False) -> None:
        """An image over PVA, scaled to its values, with axes in its pixels."""
        widget = self._widget("image", image, place, pv_name=over_pva(image), tooltip=_tooltip(image))
        _add(widget, foreground_color=DARK, background_color=GREY, log_scale=log_scale, limits_from_pv=True)
        _font(ET.SubElement(widget, "color_bar"), SMALL, tag="scale_font")
        for tag, title in zip(("x_axis", "y_axis"), axes, strict=True):
            axis = ET.SubElement(widget, tag)
            _add(axis, title=title)
            _font(axis, SMALL, bold=True, tag="title_font")
            _font(axis, SMALL, tag="scale_font")

    def table(self, table: ServiceTable, place: Place, columns: Iterable[tuple[str, int]]) -> None:
        """A table over PVA; columns by name and width."""
        widget = self._widget("table", table, place, pv_name=over_pva(table), tooltip=_tooltip(table))
        shown = ET.SubElement(widget, "columns")
        for name, width in columns:
            _add(ET.SubElement(shown, "column"), name=name, width=width, editable=False)
        _add(widget, editable=False)
        _font(widget, SMALL)

    def put_button(self, pv: ServicePV, text: str, question: str, colour: Colour, place: Place) -> None:
        """A button that puts 1 when the question has been answered."""
        widget = self._button(text, colour, place, pv_name=over_ca(pv), tooltip=_tooltip(pv))
        _add(widget, show_confirm_dialog=True, confirm_message=question)
        action = ET.SubElement(ET.SubElement(widget, "actions"), "action", type="write_pv")
        _add(action, pv_name=over_ca(pv), value=1, description=text)

    def screen_button(self, file: str, text: str, place: Place) -> None:
        """A button that opens another screen, in a tab."""
        widget = self._button(text, PALE, place, tooltip=f"open {file}")
        action = ET.SubElement(ET.SubElement(widget, "actions"), "action", type="open_display")
        _add(ET.SubElement(action, "macros"), P="$(P)")
        _add(action, file=file, target="tab", description=text)

    def _button(self, text: str, colour: Colour, place: Place, **properties: object) -> ET.Element:
        widget = self._widget("action_button", f"button {text}", place, version="3.0.0", **properties)
        _add(widget, text=text, foreground_color=DARK, background_color=colour)
        _font(widget, BODY, bold=True)
        return widget

    def _widget(self, kind: str, name: str, place: Place, version: str = "2.0.0", **properties: object) -> ET.Element:
        widget = ET.SubElement(self.display, "widget", type=kind, version=version)
        _add(widget, name=str(name), **place._asdict(), **properties)
        return widget


def over_ca(pv: ServicePV) -> str:
    """Name of a PV for Phoebus."""
    return f"ca://$(P){pv}"


def over_pva(shown: ServiceImage | ServiceTable) -> str:
    """Name of an image or a table for Phoebus."""
    return f"pva://$(P){shown}"


def _tooltip(pv: ServicePV | ServiceImage | ServiceTable) -> str:
    about = f"\nalarm: {pv.alarm.about}" if isinstance(pv, ServicePV) and pv.alarm is not NEVER else ""
    return f"{pv.meaning}{about}\n$(pv_name)"


def _add(parent: ET.Element, **properties: object) -> None:
    for name, value in properties.items():
        element = ET.SubElement(parent, name)
        match value:
            case (int(red), int(green), int(blue)):
                ET.SubElement(element, "color", red=str(red), green=str(green), blue=str(blue))
            case bool():
                element.text = str(value).lower()
            case _:
                element.text = str(value)


def _font(parent: ET.Element, size: float, bold: bool = False, tag: str = "font") -> None:
    style = "BOLD" if bold else "REGULAR"
    ET.SubElement(ET.SubElement(parent, tag), "font", family=FONT, style=style, size=str(size))
