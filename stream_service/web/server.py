"""The web server of the page: Bokeh's, with one view of the service for all its viewers."""

from __future__ import annotations

import signal
from typing import Any

from bokeh.document import Document
from bokeh.server.server import Server

from stream_service.errors import ConfigError
from stream_service.settings.profile import Profile
from stream_service.web.page import Page
from stream_service.web.service_view import ServiceView


class WebServer:
    """Serves the page until `end`. Raises `ConfigError` if the port is taken."""

    def __init__(self, profile: Profile, address: str, port: int) -> None:
        self._view = ServiceView(profile.service.prefix)
        self._profile = profile
        try:
            self._server = Server(
                {"/": self._page},
                port=port,
                address=address,
                allow_websocket_origin=[f"{name}:{port}" for name in ("localhost", "127.0.0.1")],
            )
        except OSError as error:
            raise ConfigError(
                f"port {port} of {address} cannot be served: {error.strerror}; give another --port"
            ) from error

    def _page(self, document: Document) -> None:
        Page(document, self._view, f"{self._profile.beamline}: ptychostream", self._profile.service.frame_queue_MiB)

    def run(self, on_ready: Any) -> None:
        """Serve until a signal comes."""
        self._server.start()
        loop = self._server.io_loop
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: loop.add_callback_from_signal(loop.stop))
        on_ready()
        loop.start()
        self._server.stop()
        self._view.close()
