"""The Phoebus screens are fresh, whole and readable: no widget covers another, none is cut off, none is too small."""

from __future__ import annotations

import importlib.util
from itertools import combinations
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree as ET

import pytest
from display_builder import over_ca, over_pva

from stream_service.settings.status_table import ServiceImage, ServicePV, ServiceTable

SCREENS = Path(__file__).resolve().parents[3] / "screens"
SMALLEST_FONT, LOWEST_LINE = 14.0, 24
"""Below these nobody reads a screen at arm's length."""

with_each_screen = pytest.mark.parametrize("name", ["ptychostream.bob", "engineering.bob"])


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("screens_generate", SCREENS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(name: str) -> ET.Element:
    return ET.fromstring((SCREENS / name).read_text(encoding="utf-8"))


def number(element: ET.Element, tag: str) -> int:
    return int(element.findtext(tag, "-1"))


def edges(widget: ET.Element) -> tuple[int, int, int, int]:
    """Left, top, right, bottom."""
    x, y, width, height = (number(widget, tag) for tag in ("x", "y", "width", "height"))
    return x, y, x + width, y + height


def test_screens_are_fresh() -> None:
    stale = [path.name for path, text in generator().files().items() if path.read_text(encoding="utf-8") != text]
    assert stale == [], "run `make docs`"


def test_there_are_no_other_screens() -> None:
    assert set(SCREENS.glob("*.bob")) == set(generator().files())


@with_each_screen
def test_widgets_are_within_the_screen(name: str) -> None:
    screen = read(name)
    for widget in screen.findall("widget"):
        left, top, right, bottom = edges(widget)
        inside = 0 <= left < right <= number(screen, "width") and 0 <= top < bottom <= number(screen, "height")
        assert inside, widget.findtext("name")


@with_each_screen
def test_widgets_do_not_overlap(name: str) -> None:
    for one, other in combinations(read(name).findall("widget"), 2):
        a, b = edges(one), edges(other)
        apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
        assert apart, f"{one.findtext('name')} and {other.findtext('name')}"


@with_each_screen
def test_words_can_be_read(name: str) -> None:
    screen = read(name)
    assert min(float(font.attrib["size"]) for font in screen.iter("font") if font.attrib) >= SMALLEST_FONT
    assert min(number(widget, "height") for widget in screen.findall("widget")) >= LOWEST_LINE


def test_engineering_shows_every_pv_and_what_it_means() -> None:
    shown = {widget.findtext("pv_name"): widget.findtext("tooltip", "") for widget in read("engineering.bob")}
    for pv in ServicePV:
        assert pv.meaning in shown[over_ca(pv)]


def test_operators_see_every_image_and_the_verdicts() -> None:
    shown = {widget.findtext("pv_name") for widget in read("ptychostream.bob")}
    assert {over_pva(image) for image in ServiceImage} | {over_pva(ServiceTable.VERDICTS)} <= shown


@with_each_screen
def test_every_put_is_asked_for_first(name: str) -> None:
    putting = [widget for widget in read(name) if widget.find("actions/action[@type='write_pv']") is not None]
    assert len(putting) >= 2
    assert {widget.findtext("show_confirm_dialog") for widget in putting} == {"true"}


@with_each_screen
def test_screens_open_each_other(name: str) -> None:
    opened = [
        action.findtext("file", "") for action in read(name).iter("action") if action.get("type") == "open_display"
    ]
    assert opened
    assert all((SCREENS / file).is_file() for file in opened)


@with_each_screen
def test_the_prefix_is_the_launchers(name: str) -> None:
    """A macro that a display defines wins over the launcher's, unless it refers to it."""
    assert read(name).findtext("macros/P") == "$(P=PTYCHO:)"
