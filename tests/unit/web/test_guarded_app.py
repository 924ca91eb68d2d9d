"""The door of the web page: how many viewers there may be at a time."""

from __future__ import annotations

import asyncio
import secrets

import pytest
from limits import HANG_S

pytest.importorskip("bokeh")

from bokeh.document import Document
from bokeh.server.server import BaseServer
from tornado.httpclient import AsyncHTTPClient, HTTPResponse
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.netutil import bind_sockets

from stream_service.web.access import Access
from stream_service.web.guarded_app import MOST_VIEWERS, GuardedApp

UNUSED_MS = 100
"""After which a page that nobody has open is forgotten."""


def a_page(document: Document) -> None:
    document.title = "a page"


async def viewers() -> list[int]:
    """Status of each answer: one viewer after the other, one too many, and one when the others have gone."""
    app = GuardedApp(
        {"/": a_page},
        Access(),
        cookie="test",
        sign_sessions=True,
        secret_key=secrets.token_bytes(32),
        unused_session_lifetime_milliseconds=UNUSED_MS,
        check_unused_sessions_milliseconds=3_600_000,
    )
    http, (listening,) = HTTPServer(app), bind_sockets(0, "127.0.0.1")
    http.add_sockets([listening])
    server = BaseServer(IOLoop.current(), app, http)
    server.start()
    client, url = AsyncHTTPClient(), f"http://127.0.0.1:{listening.getsockname()[1]}"

    async def ask(path: str) -> HTTPResponse:
        return await client.fetch(url + path, raise_error=False, request_timeout=HANG_S)

    try:
        found = [(await ask("/")).code for _ in range(MOST_VIEWERS)]
        refused = await ask("/")
        assert f"{MOST_VIEWERS} pages are open already" in refused.body.decode()
        assert (await ask("/static/js/bokeh.min.js")).code == 200, "those who have a page open get all that is on it"
        while app.get_sessions("/"):
            await app._cleanup_sessions()  # as it does by itself from time to time
        return [*found, refused.code, (await ask("/")).code]
    finally:
        server.stop()
        await http.close_all_connections()


def test_viewer_beyond_the_bound_is_told_so_until_another_has_gone() -> None:
    assert asyncio.run(viewers()) == [*[200] * MOST_VIEWERS, 503, 200]
