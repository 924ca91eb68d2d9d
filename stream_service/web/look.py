"""Look of the page: colours that people with any colour vision tell apart, on dark ground; figures in them.

Colour never says anything alone: states and alarms are words with a mark.
"""

from __future__ import annotations

import importlib.resources
from typing import Any

from bokeh.models import ColorBar, ColorMapper, InlineStyleSheet
from bokeh.palettes import PuOr11, Viridis256, cividis, interp_palette
from bokeh.plotting import figure
from jinja2 import Environment, PackageLoader

GROUND, PANEL, LINE, TEXT, DIM = "#0d1218", "#161e27", "#2b3846", "#e9eff5", "#9fb0c0"
BLUE, YELLOW, ORANGE, GREEN = "#56b4e9", "#f0e442", "#ff9f40", "#2ec4a0"
"""After Okabe and Ito, lightened for dark ground."""
SEQUENTIAL = Viridis256
DIVERGING = tuple(interp_palette(PuOr11, 256))
SCORES = tuple(cividis(256))
NOTHING = "rgba(0, 0, 0, 0)"
"""Colour of what is not known."""

TEMPLATES = Environment(
    loader=PackageLoader("stream_service.web"), autoescape=True, trim_blocks=True, lstrip_blocks=True
)
FONT = "system-ui, 'DejaVu Sans', sans-serif"


def style() -> str:
    """CSS of the whole page and of each piece of text in it."""
    return (importlib.resources.files("stream_service.web") / "templates" / "page.css").read_text(encoding="utf-8")


def style_sheet() -> InlineStyleSheet:
    """The same, for a model of Bokeh, which sees no other."""
    return InlineStyleSheet(css=style())


def dark_figure(name: str, x_label: str, y_label: str, **options: Any) -> figure:
    """An empty figure on dark ground that fills its place; the page scrolls under a finger on it."""
    tools = options.pop("tools", "pan,box_zoom,wheel_zoom,reset,save")
    plot = figure(
        name=name,
        sizing_mode="stretch_both",
        background_fill_color=GROUND,
        border_fill_color=PANEL,
        outline_line_color=LINE,
        tools=tools,
        active_drag=None,
        active_scroll=None,
        toolbar_location="above",
        min_border=4,
        **options,
    )
    plot.toolbar.logo = None
    plot.toolbar.autohide = True
    for axis, label in ((plot.xaxis[0], x_label), (plot.yaxis[0], y_label)):
        axis.axis_label = label
        axis.axis_label_text_color = axis.major_label_text_color = TEXT
        axis.axis_label_text_font = axis.major_label_text_font = FONT
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font_size = axis.major_label_text_font_size = "14px"
        axis.axis_line_color = axis.major_tick_line_color = LINE
        axis.minor_tick_line_color = None
        axis.axis_label_standoff = 4
        axis.ticker.desired_num_ticks = 4  # type: ignore[union-attr]
    for grid in (plot.xgrid[0], plot.ygrid[0]):
        grid.grid_line_color = LINE
        grid.grid_line_alpha = 0.5
    return plot


def add_colour_bar(plot: figure, mapper: ColorMapper, label: str, **options: Any) -> None:
    """A bar on the right of a figure, with the unit."""
    bar = ColorBar(
        color_mapper=mapper,
        title=label,
        width=12,
        padding=6,
        background_fill_color=None,
        title_text_color=TEXT,
        title_text_font=FONT,
        title_text_font_style="normal",
        title_text_font_size="14px",
        major_label_text_color=TEXT,
        major_label_text_font=FONT,
        major_label_text_font_size="13px",
        major_tick_line_color=LINE,
        bar_line_color=LINE,
        **options,
    )
    plot.add_layout(bar, "right")
