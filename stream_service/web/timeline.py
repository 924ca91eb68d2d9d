"""Intensity and score over the rows of the run, binned so that a scan of any length is a thousand points."""

from __future__ import annotations

from typing import Any

import numpy as np
from bokeh.layouts import column
from bokeh.models import ColumnDataSource, HoverTool, PrintfTickFormatter, Range1d, Span

from stream_service.processes.messages import Message
from stream_service.web.file_reader import WatchedAnswer
from stream_service.web.look import BLUE, GREEN, GROUND, ORANGE, TEXT, dark_figure

SERIES = ("row", "time_s", "low", "mean", "high", "score")
REJECTED = ("rejected_row", "rejected_score")


class Timeline:
    """Two figures above each other, with the same rows."""

    def __init__(self, watched: WatchedAnswer) -> None:
        self._watched = watched
        self._shown: Message | None = None
        self._series = ColumnDataSource({name: [] for name in SERIES})
        self._rejected = ColumnDataSource({name: [] for name in REJECTED})
        intensity = dark_figure("intensity", "", "counts")
        intensity.varea("row", "low", "high", source=self._series, fill_color=BLUE, fill_alpha=0.35)
        intensity.yaxis[0].formatter = PrintfTickFormatter(format="%.1e")
        line = intensity.line("row", "mean", source=self._series, line_color=BLUE, line_width=2)
        score = dark_figure("score", "row", "score", x_range=intensity.x_range, y_range=Range1d(start=-0.05, end=1.1))
        dots = score.line("row", "score", source=self._series, line_color=GREEN, line_width=2)
        marker: Any = {"marker": "x", "size": 11, "color": ORANGE, "line_width": 3}
        score.scatter(*REJECTED, source=self._rejected, legend_label="rejected", **marker)
        self._limit = Span(location=0.5, dimension="width", line_color=ORANGE, line_dash="dashed")
        score.add_layout(self._limit)
        score.legend.update(
            location="top_left",
            background_fill_alpha=0.6,
            background_fill_color=GROUND,
            label_text_color=TEXT,
            border_line_color=None,
        )
        when = [("row", "@row{0}"), ("since the first row", "@time_s{0.0} s")]
        intensity.add_tools(HoverTool(renderers=[line], mode="vline", tooltips=[*when, ("counts", "@mean")]))
        score.add_tools(HoverTool(renderers=[dots], mode="vline", tooltips=[*when, ("score", "@score{0.00}")]))
        self.roots = (column(intensity, score, name="timeline", sizing_mode="stretch_both"),)

    def show(self) -> None:
        """Show what is new."""
        latest = self._watched.latest
        if latest is None or latest is self._shown:
            return
        self._shown = latest
        self._series.data = {name: np.asarray(latest.arrays[name]) for name in SERIES}
        self._limit.location = latest.facts["threshold"]
        self._rejected.data = {name: np.asarray(latest.arrays[name]) for name in REJECTED}
