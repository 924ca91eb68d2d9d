"""The page of one viewer: its panels, and what it shows twice a second of what is new."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from bokeh.document import Document

from stream_service.web.chosen_row import ChosenRow
from stream_service.web.file_reader import FileReader, WatchedAnswer
from stream_service.web.frame_panel import LatestFramePanel
from stream_service.web.html_panel import HtmlPanel
from stream_service.web.look import TEMPLATES, style, style_sheet
from stream_service.web.map_panel import MAPS, MapPanel
from stream_service.web.reconstruction_panel import ReconstructionPanel
from stream_service.web.service_view import ServiceView
from stream_service.web.table_facts import readback_facts, run_list_facts, verdict_facts
from stream_service.web.timeline import Timeline
from stream_service.web.words import ledger_tiles, rate_tiles, run_facts

PERIOD_MS = 500


class Sources(NamedTuple):
    """What all viewers look at."""

    view: ServiceView
    reader: FileReader
    series: WatchedAnswer
    """Intensity and score of the run."""
    runs: WatchedAnswer
    """Past runs."""
    queue_MiB: float
    """Budget of the frames that wait."""


class Page:
    """All panels in one document."""

    def __init__(self, document: Document, sources: Sources, title: str, is_behind: Callable[[Document], bool]) -> None:
        """`is_behind` says of a viewer that what was sent has not left yet: more is not heaped on it."""
        self._document, self._is_behind = document, is_behind
        view, sheet = sources.view, style_sheet()
        chosen = ChosenRow(document, view, sources.reader, sheet)
        self._panels = (
            HtmlPanel("run", lambda: run_facts(view), sheet),
            HtmlPanel("tiles", lambda: {"tiles": [*rate_tiles(view, sources.queue_MiB), *ledger_tiles(view)]}, sheet),
            *(MapPanel(kind, view, chosen.place, chosen.choose) for kind in MAPS),
            LatestFramePanel(view, sheet),
            Timeline(sources.series),
            chosen,
            HtmlPanel("verdicts", lambda: verdict_facts(view), sheet),
            HtmlPanel("readbacks", lambda: readback_facts(view), sheet),
            ReconstructionPanel(view, sheet),
            HtmlPanel("runs", lambda: run_list_facts(sources.runs), sheet),
        )
        for panel in self._panels:
            for root in panel.roots:
                document.add_root(root)
        document.title = title
        document.config.notify_connection_status = False  # the page loads itself anew
        document.template = TEMPLATES.get_template("page.html")
        document.template_variables.update(style=style(), maps=MAPS)
        document.add_periodic_callback(self.show, PERIOD_MS)
        self.show()

    def show(self) -> None:
        """Show what is new, unless the viewer does not keep up."""
        if self._is_behind(self._document):
            return
        for panel in self._panels:
            panel.show()
