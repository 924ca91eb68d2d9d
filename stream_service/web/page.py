"""The page of one viewer: its panels, and what it shows twice a second of what is new."""

from __future__ import annotations

from bokeh.document import Document
from bokeh.models import ColumnDataSource

from stream_service.web.html_panel import HtmlPanel
from stream_service.web.look import TEMPLATES, style, style_sheet
from stream_service.web.map_panel import MAPS, MapPanel
from stream_service.web.service_view import ServiceView
from stream_service.web.words import ledger_tiles, rate_tiles, run_facts

PERIOD_MS = 500


class Page:
    """All panels in one document."""

    def __init__(self, document: Document, view: ServiceView, title: str, queue_MiB: float) -> None:
        sheet = style_sheet()
        self._chosen = ColumnDataSource({"x": [], "y": []})
        self._panels = (
            HtmlPanel("run", lambda: run_facts(view), sheet),
            HtmlPanel("tiles", lambda: {"tiles": [*rate_tiles(view, queue_MiB), *ledger_tiles(view)]}, sheet),
            *(MapPanel(kind, view, self._chosen, self._choose) for kind in MAPS),
        )
        for panel in self._panels:
            document.add_root(panel.root)
        document.title = title
        document.template = TEMPLATES.get_template("page.html")
        document.template_variables.update(style=style(), maps=MAPS)
        document.add_periodic_callback(self.show, PERIOD_MS)
        self.show()

    def show(self) -> None:
        """Show what is new."""
        for panel in self._panels:
            panel.show()

    def _choose(self, x_um: float, y_um: float) -> None:
        self._chosen.data = {"x": [x_um], "y": [y_um]}
