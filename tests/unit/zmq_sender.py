"""A sender of ZMQ for tests, in this process, on a free port of the loopback; and a receiver for it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import zmq
from limits import HANG_S

from stream_service.core.stream import Begin, StreamEvent
from stream_service.settings.frames import ZmqFrames
from stream_service.sources.live.zmq.dialect import Received
from stream_service.sources.live.zmq.queue import ZmqQueue
from stream_service.sources.live.zmq.receiver import ZmqReceiver

LARGEST_BYTES = 10_000
"""Of a part that is let in."""
BUDGET_BYTES = 1 << 20


class Sender:
    """A socket that binds; after `leave` it may be opened again."""

    def __init__(self, kind: int = zmq.PUSH, address: str = "tcp://127.0.0.1:*") -> None:
        self._kind = kind
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.address = ""
        self._socket = self.open(address)

    def open(self, address: str) -> zmq.Socket[bytes]:
        """Bind; the port of the one before may take a moment to be free."""
        self._socket = self._context.socket(self._kind)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.SNDTIMEO, int(HANG_S * 1e3))
        deadline_s = time.monotonic() + HANG_S
        while True:
            try:
                self._socket.bind(address)
                break
            except zmq.ZMQError:
                assert time.monotonic() < deadline_s, "the port does not get free"
        self.address = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        return self._socket

    def send(self, *messages: bytes) -> None:
        """Send each; waits for a peer, and for room, if it pushes."""
        for message in messages:
            self._socket.send(message)

    def send_parts(self, parts: list[bytes]) -> None:
        """Send them as one message."""
        self._socket.send_multipart(parts)

    def leave(self) -> None:
        """Close the socket."""
        self._socket.close(0)

    def close(self) -> None:
        """End all."""
        self._context.destroy(linger=0)


class Bytes:
    """A dialect of which each message is nothing that a run must know."""

    name = "test"
    sending = "send"

    def decode(self, message: Received) -> StreamEvent | None:
        return None

    def begin(self) -> Begin:
        return Begin()


def take(queue: ZmqQueue, n: int) -> list[bytes]:
    """The next `n` messages, of one part each."""
    taken: list[bytes] = []
    deadline_s = time.monotonic() + HANG_S
    while len(taken) < n:
        assert time.monotonic() < deadline_s, f"{len(taken)} of {n} messages came"
        taken += [bytes(message.parts[0]) for message in queue.take(0.05)]
    return taken


@contextmanager
def sender(kind: int = zmq.PUSH) -> Iterator[Sender]:
    """One that is closed at the end."""
    opened = Sender(kind)
    try:
        yield opened
    finally:
        opened.close()


def free_address() -> str:
    """At which nobody is."""
    with sender() as free:
        return free.address


def receiver_of(*addresses: str, budget_bytes: int = BUDGET_BYTES, **others) -> ZmqReceiver:
    """A receiver that connects to these addresses; `others` are settings of its socket."""
    return ZmqReceiver(ZmqFrames(connect=addresses, **others), budget_bytes, 100, LARGEST_BYTES)
