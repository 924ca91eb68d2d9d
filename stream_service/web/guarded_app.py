"""The web application: Bokeh's, behind one door that every request passes, websockets and reports as well."""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import urlencode

from bokeh.document import Document
from bokeh.server.tornado import BokehTornado
from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.web import OutputTransform, RequestHandler

from stream_service.web.access import Access
from stream_service.web.look import TEMPLATES

MOST_VIEWERS = 32
"""Each is sent a few hundred kB a second at most."""
COOKIE_S = 30 * 24 * 3600
EMBEDDING = "/autoload.js"
"""Bokeh's way into pages of others: a session each time, past the bound on viewers."""
TOKEN = "token"
"""In a link."""


class GuardedApp(BokehTornado):
    """Answers nothing but what `access` lets through."""

    def __init__(self, applications: Any, access: Access, cookie: str, **options: Any) -> None:
        """`cookie` is the name under which a browser keeps the token: cookies are not told apart by port."""
        self._access, self._cookie = access, cookie
        super().__init__(applications, transforms=[SafeHeaders], **options)

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        """What answers a request."""
        in_link = request.query_arguments.get(TOKEN, [b""])[-1].decode("utf-8", "replace")
        if TOKEN in request.query_arguments:
            request.uri = request.path  # which logs tell of, whatever becomes of the request
        kept = request.cookies.get(self._cookie)
        given = in_link or (kept.value if kept is not None else "")
        host, origin = request.headers.get("Host", ""), request.headers.get("Origin")
        if sentence := self._access.refusal(host, origin, given):
            return self._answer(request, Sentence, status=403, sentence=sentence)
        if request.path.startswith(EMBEDDING):
            return self._answer(request, Sentence, status=404, sentence="This page is not part of other pages.")
        if request.method not in ("GET", "HEAD"):
            return self._answer(request, Sentence, status=405, sentence="This page is only for reading.")
        if in_link and self._access.needs_token:
            return self._answer(request, KeepToken, cookie=self._cookie, value=in_link)
        if request.path in ("", "/") and len(self.get_sessions("/")) >= MOST_VIEWERS:
            sentence = (
                f"{MOST_VIEWERS} pages are open already, which is the most: close one, and try again in a minute."
            )
            return self._answer(request, Sentence, status=503, sentence=sentence)
        return super().find_handler(request, **kwargs)

    def is_behind(self, document: Document) -> bool:
        """True if something that was sent to the viewer of a document waits for its network."""
        for connection in self._clients:
            if connection.session.document is document:
                socket: Any = connection._socket
                if socket.ws_connection is not None and socket.ws_connection.stream.writing():
                    return True
        return False

    def _answer(self, request: HTTPServerRequest, handler: type[RequestHandler], **facts: Any) -> Any:
        return self.get_handler_delegate(request, handler, target_kwargs=facts)


class Sentence(RequestHandler):
    """A refusal, as a page."""

    def initialize(self, status: int, sentence: str) -> None:
        """What to say."""
        self._status, self._sentence = status, sentence

    async def prepare(self) -> None:
        """Say it, whatever was asked."""
        self.set_status(self._status)
        await self.finish(TEMPLATES.get_template("sentence.html").render(sentence=self._sentence))


class KeepToken(RequestHandler):
    """The first look by a link with the token: it goes into a cookie, and out of the address."""

    def initialize(self, cookie: str, value: str) -> None:
        """The token that was right."""
        self._cookie, self._value = cookie, value

    def get(self) -> None:
        """Lead to the same page without it."""
        is_secure = self.request.protocol == "https"
        self.set_cookie(self._cookie, self._value, max_age=COOKIE_S, httponly=True, samesite="Lax", secure=is_secure)
        others = [(name, value) for name, values in self.request.query_arguments.items() for value in values]
        query = urlencode([(name, value) for name, value in others if name != TOKEN])
        # a path that begins with // would be another server
        self.redirect("/" + self.request.path.lstrip("/") + (f"?{query}" if query else ""))


class SafeHeaders(OutputTransform):
    """Headers of every answer: the browser loads nothing from elsewhere, whatever a page says."""

    def __init__(self, request: HTTPServerRequest) -> None:
        host = request.headers.get("Host", "")
        self._policy = (
            "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
            f"img-src 'self' data: blob:; connect-src 'self' ws://{host} wss://{host}; frame-ancestors 'self'; "
            "base-uri 'none'; form-action 'none'"
        )

    def transform_first_chunk(
        self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, HTTPHeaders, bytes]:
        """Add them; an answer that has a stricter policy keeps it."""
        headers.setdefault("Content-Security-Policy", self._policy)
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "no-referrer"
        return status_code, headers, chunk


class Alive(RequestHandler):
    """Which start of the server this is: a page that was cut off knows when to load itself anew."""

    start = secrets.token_hex(8)

    def get(self) -> None:
        """Say it."""
        self.set_header("Cache-Control", "no-store")
        self.write(self.start)
