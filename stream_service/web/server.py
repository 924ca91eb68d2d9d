"""The web server of the page: one view of the service and one reader of its files for all viewers."""

from __future__ import annotations

import logging
import secrets
import signal
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bokeh.document import Document
from bokeh.server.server import BaseServer
from bokeh.util import logconfig
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop, PeriodicCallback

from stream_service.errors import ConfigError
from stream_service.settings.profile import Profile
from stream_service.settings.status_table import ServicePV
from stream_service.web.access import Access
from stream_service.web.file_reader import FileReader, WatchedAnswer
from stream_service.web.guarded_app import Alive, GuardedApp
from stream_service.web.page import Page, Sources
from stream_service.web.report_handler import ReportHandler
from stream_service.web.service_view import ServiceView

LOOK_MS = 1000
"""Between two looks at what files say, for all viewers."""
RUNS_S = 15
"""Between two looks for past runs, if no run has begun or ended."""
MOST_SAID_BYTES = 1 << 20
"""By a viewer at once: a click is a few hundred."""
UNUSED_MS = 15_000
"""A page that nobody has open any more is forgotten after this time."""


class WebServer:
    """Serves the page until a signal comes. Raises `ConfigError` if the port is taken."""

    def __init__(self, profile: Profile, address: str, port: int, access: Access) -> None:
        self._profile = profile
        self._loop = IOLoop.current()
        self._app = GuardedApp(
            {"/": self._page},
            access,
            cookie=f"ptychostream_{port}",
            extra_websocket_origins=["*"],  # the door has compared it with the name by which we were asked
            extra_patterns=[
                (r"/report/(.*)", ReportHandler, {"root": self._data_root}),
                (r"/alive", Alive),
            ],
            sign_sessions=True,
            secret_key=secrets.token_bytes(32),
            unused_session_lifetime_milliseconds=UNUSED_MS,
            check_unused_sessions_milliseconds=UNUSED_MS,
            websocket_max_message_size_bytes=MOST_SAID_BYTES,
        )
        http = HTTPServer(self._app)
        try:
            http.listen(port, address)
        except OSError as error:
            raise ConfigError(
                f"the page cannot be served at port {port} of {address}: {error.strerror}; give another --port"
            ) from error
        self._server = BaseServer(self._loop, self._app, http)
        self._view = ServiceView(profile.service.prefix)
        self._rows, self._lists = FileReader(), FileReader()
        self._series, self._runs = WatchedAnswer(self._rows), WatchedAnswer(self._lists)
        self._n_looks = 0

    def _data_root(self) -> Path:
        """That which the service says, or else its profile."""
        return Path(self._view.text(ServicePV.DATA_ROOT) or self._profile.service.data_root)

    def _page(self, document: Document) -> None:
        sources = Sources(self._view, self._rows, self._series, self._runs, self._profile.service.frame_queue_MiB)
        Page(document, sources, f"{self._profile.beamline}: ptychostream", self._app.is_behind)

    def _look(self) -> None:
        """Ask for what has changed, as long as somebody looks."""
        self._view.look()
        if not self._app.get_sessions("/"):
            return
        view = self._view
        file, state = view.text(ServicePV.FILE), view.text(ServicePV.STATE)
        counts = tuple(view.number(pv) for pv in (ServicePV.ROWS, ServicePV.ROWS_JUDGED, ServicePV.ROWS_REJECTED))
        self._series.look({"what": "series", "path": file}, (file, state, counts))
        self._n_looks += 1
        root = str(self._data_root())
        now = self._n_looks * LOOK_MS // (1000 * RUNS_S)
        self._runs.look({"what": "runs", "path": root}, (root, file, state, view.text(ServicePV.REPORT), now))

    def run(self, on_ready: Callable[[], Any]) -> None:
        """Serve until SIGINT or SIGTERM."""
        with ExitStack() as closing:
            for opened in (self._view, self._rows, self._lists):
                closing.callback(opened.close)
            self._server.start()
            closing.callback(self._server.stop)
            looking = PeriodicCallback(self._look, LOOK_MS)
            looking.start()
            closing.callback(looking.stop)
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: self._loop.add_callback_from_signal(self._loop.stop))
            on_ready()
            self._loop.start()


logconfig.basicConfig()  # not past our handler, which has a bound on what a viewer can have us log
logging.getLogger("bokeh.server.util").setLevel(logging.ERROR)  # it warns of "*", see extra_websocket_origins
