"""One page over HTTP, for whoever asks: a thread of its own, and a bound on everything.

A client that says or takes nothing is let go after `CLIENT_S`, and earlier where `MOST_CLIENTS` are there: the one that
came first goes. So a prompt client is always served, however many others hang.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

from stream_service.errors import ConfigError

log = logging.getLogger(__name__)

CLIENT_S = 5.0
"""For a client to ask, and to take the answer."""
MOST_CLIENTS = 16
"""At a time: each has a file descriptor."""
MOST_ASKED_BYTES = 8192
END_S = 2.0

Page = Callable[[str], tuple[str, bytes]]
"""Type and text of the page, for what a client accepts (its header `Accept`)."""


class ScrapeServer:
    """A running server. `page` is called in its thread, at each request for `path`."""

    def __init__(self, address: str, port: int, path: str, page: Page, what_for: str) -> None:
        """Listen. Raises `ConfigError` where that cannot be; `what_for` says whose port it is, in a sentence."""
        self._path, self._page = path, page
        self._socket = listening_socket(address, port, what_for)
        self.port: int = self._socket.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._clients: dict[asyncio.Task[None], None] = {}
        """Those there are, the one that came first first."""
        self._thread = threading.Thread(target=self._work, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End; what clients have not taken is not sent any more."""
        with suppress(RuntimeError):  # its loop has ended by itself
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(END_S)

    def _work(self) -> None:
        try:
            server = asyncio.start_server(self._came, sock=self._socket, limit=MOST_ASKED_BYTES)
            listening = self._loop.run_until_complete(server)
            self._loop.run_forever()
            listening.close()
            clients = asyncio.all_tasks(self._loop)  # with those that have to go and have not yet
            for client in clients:
                client.cancel()
            if clients:
                self._loop.run_until_complete(asyncio.wait(clients))
            self._loop.run_until_complete(asyncio.sleep(0))  # in which their connections are closed
        except Exception:
            log.exception("no more metrics are served, on a defect of the service")
        finally:
            self._socket.close()
            self._loop.close()

    async def _came(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "it is called in a task"
        if len(self._clients) >= MOST_CLIENTS:
            oldest = next(iter(self._clients))
            del self._clients[oldest]
            oldest.cancel()
        self._clients[task] = None
        try:
            async with asyncio.timeout(CLIENT_S):
                asked = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._answer(asked.decode("latin-1")))
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass  # it has gone, or has to go
        finally:
            writer.transport.abort()
            self._clients.pop(task, None)

    def _answer(self, asked: str) -> bytes:
        first, *headers = asked.split("\r\n")
        method, _, rest = first.partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        if method not in ("GET", "HEAD"):
            return _response("405 Method Not Allowed", "text/plain", b"only GET\n")
        if path != self._path:
            return _response("404 Not Found", "text/plain", f"see {self._path}\n".encode())
        accepted = [value.strip() for name, _, value in (h.partition(":") for h in headers) if name.lower() == "accept"]
        try:
            kind, text = self._page(", ".join(accepted))
        except Exception:
            log.exception("metrics cannot be made, on a defect of the service")
            return _response("500 Internal Server Error", "text/plain", b"a defect of the service, see its log\n")
        return _response("200 OK", kind, text, with_text=method == "GET")


def listening_socket(address: str, port: int, what_for: str) -> socket.socket:
    """A socket that listens there; 0 is any port. Raises `ConfigError` with what to do."""
    try:
        if not address:
            raise ConfigError(f"{what_for}: the address is empty; give one of this machine, or 0.0.0.0 for all")
        family, _, _, _, place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(place[:2], family=family, dualstack_ipv6=address == "::")
    except socket.gaierror as error:
        raise ConfigError(f"{what_for}: {address} is not an address ({error.strerror})") from error
    except OSError as error:
        is_taken = error.errno == errno.EADDRINUSE
        way_out = (
            "choose another port, or end the program that has it" if is_taken else "give an address of this machine"
        )
        if error.errno == errno.EACCES:
            way_out = "choose a port from 1024 on"
        raise ConfigError(f"{what_for} at {address}, port {port}: {_words(error)}; {way_out}") from error


def _words(error: OSError) -> str:
    return (error.strerror or str(error)).partition(" (while")[0]


def _response(status: str, kind: str, text: bytes, *, with_text: bool = True) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n"
    return head.encode() + (text if with_text else b"")
