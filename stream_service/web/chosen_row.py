"""The row that a viewer has clicked: its frame, its score and reason, its values and readbacks, from the file."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

from bokeh.document import Document
from bokeh.models import ColumnDataSource, InlineStyleSheet

from stream_service.errors import SourceError
from stream_service.processes.messages import Message
from stream_service.settings.status_table import ServicePV
from stream_service.web.file_reader import FileReader
from stream_service.web.frame_panel import FrameFigure
from stream_service.web.html_panel import HtmlPanel
from stream_service.web.picture import Picture
from stream_service.web.service_view import ServiceView
from stream_service.web.table_facts import row_facts


class ChosenRow:
    """One viewer's; of clicks that come while the file is read only the last one counts."""

    def __init__(self, document: Document, view: ServiceView, reader: FileReader, sheet: InlineStyleSheet) -> None:
        self._document, self._view, self._reader = document, view, reader
        self._asked: Future[Message] | None = None
        self._wanted: tuple[float, float] | None = None
        self._facts: Mapping[str, Any] | None = None
        self._problem = self._file = ""
        self._figure = FrameFigure("chosen_frame")
        self._text = HtmlPanel("chosen", self._shown, sheet)
        self.place = ColumnDataSource({"x": [], "y": []})
        """Where it is on the maps."""
        self.roots = self._figure.root, *self._text.roots

    def choose(self, x_um: float, y_um: float) -> None:
        """Ask for the row that is nearest to a place on the sample."""
        self._wanted = x_um, y_um
        self._ask()

    def show(self) -> None:
        """Show how it is now; a row of another file than that of now is put away."""
        if self._file and self._view.text(ServicePV.FILE) != self._file:
            self._forget()
        self._text.show()

    def _ask(self) -> None:
        if self._wanted is None or self._asked is not None:
            return
        x_um, y_um = self._wanted
        self._wanted, self._file = None, self._view.text(ServicePV.FILE)
        self._asked = self._reader.row_at(self._file, 1e-6 * x_um, 1e-6 * y_um)
        self._asked.add_done_callback(lambda _: self._document.add_next_tick_callback(self._take))
        self._text.show()

    def _take(self) -> None:
        assert self._asked is not None
        try:
            facts, arrays = self._asked.result()
        except SourceError as error:
            self._forget()
            self._problem = str(error)
        else:
            self._facts, self._problem = facts, ""
            self._figure.show(Picture.binned_before(arrays["pixels"], facts["step"]))
            place = facts["x_m"], facts["y_m"]
            is_known = None not in place
            self.place.data = {"x": [1e6 * place[0]], "y": [1e6 * place[1]]} if is_known else {"x": [], "y": []}
        self._asked = None
        self._text.show()
        self._ask()

    def _forget(self) -> None:
        self._facts, self._file, self._problem = None, "", ""
        self._figure.show(None)
        self.place.data = {"x": [], "y": []}

    def _shown(self) -> Mapping[str, Any]:
        row = row_facts(self._facts) if self._facts is not None else None
        return {"row": row, "problem": self._problem, "is_reading": self._asked is not None}
