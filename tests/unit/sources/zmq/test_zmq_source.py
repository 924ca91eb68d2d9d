"""A run begins: what came from before it is passed over, and what comes then is its own."""

from __future__ import annotations

import threading
import time
from contextlib import closing, suppress

import pytest
import zmq
from waiting import wait_until
from zmq_sender import BUDGET_BYTES, Bytes, Sender, receiver_of, take

from stream_service.cancellation import Cancellation, CancelledError
from stream_service.core.stream import Begin
from stream_service.errors import SourceError
from stream_service.sources.live.zmq.dialect import Received
from stream_service.sources.live.zmq.frames import ZmqSource


class Counting(Bytes):
    """A sender that counts series by itself."""

    def begin(self) -> Begin:
        return Begin(first_unique_id=1)


@pytest.mark.parametrize("dialect", [Bytes(), Counting()])
def test_series_of_the_next_run_is_not_given_to_the_one_that_still_waits(push: Sender, dialect: Bytes) -> None:
    with closing(receiver_of(push.address)) as receiver:
        one, next_one = (ZmqSource(receiver, dialect, BUDGET_BYTES) for _ in range(2))
        one.start()
        push.send(b"last")
        wait_until(lambda: len(one.queue) == 1)
        next_one.start()
        next_one.begin()
        push.send(b"first")
        assert take(next_one.queue, 1) == [b"first"]
        assert take(one.queue, 1) == [b"last", *[b"first"] * (type(dialect) is Bytes)]


class Reminding(Bytes):
    """A sender sends the next message when one was read, 20 in all, as one does that has kept more than a socket
    holds."""

    def __init__(self, peer: Sender) -> None:
        self._peer = peer
        self.n_read = 0

    def decode(self, message: Received) -> None:
        self.n_read += 1
        if self.n_read < 20:
            self._peer.send(b"kept")


def test_what_a_sender_has_kept_from_before_the_run_is_passed_over(push: Sender, monkeypatch) -> None:
    monkeypatch.setattr("stream_service.sources.live.zmq.frames.QUIET_S", 0.5)
    dialect = Reminding(push)
    with closing(receiver_of(push.address)) as receiver:
        source = ZmqSource(receiver, dialect, BUDGET_BYTES)
        sending = threading.Thread(target=push.send, args=[b"kept"])
        sending.start()
        source.start()
        sending.join()
        source.begin()
        assert dialect.n_read == 20
        push.send(b"new")
        assert take(source.queue, 1) == [b"new"]


def test_sender_that_does_not_stop_before_the_run_is_said_in_words(push: Sender, monkeypatch) -> None:
    monkeypatch.setattr("stream_service.sources.live.zmq.frames.KEPT_S", 0.0)
    refused = pytest.raises(SourceError, match=f"{push.address} goes on sending for 0 s before the run has begun")
    with closing(receiver_of(push.address)) as receiver, refused:
        ZmqSource(receiver, Bytes(), BUDGET_BYTES).start()


class Flood(Sender):
    """A sender that goes on sending as fast as it can."""

    def __init__(self, kind: int) -> None:
        super().__init__(kind)
        self._has_ended = threading.Event()
        self._thread = threading.Thread(target=self._go_on)
        self._thread.start()

    def _go_on(self) -> None:
        while not self._has_ended.is_set():
            with suppress(zmq.Again):
                self._socket.send(b"x", zmq.NOBLOCK)

    def close(self) -> None:
        self._has_ended.set()
        self._thread.join()
        super().close()


class Slow(Bytes):
    """One who reads more slowly than messages come."""

    def decode(self, message: Received) -> None:
        time.sleep(0.01)


def test_run_begins_although_a_publisher_goes_on_but_not_if_it_is_too_fast() -> None:
    with closing(Flood(zmq.PUB)) as peer, closing(receiver_of(peer.address, socket="sub")) as receiver:
        source = ZmqSource(receiver, Slow(), BUDGET_BYTES)
        source.start()
        with pytest.raises(SourceError, match="goes on sending faster than its frames are read before the run"):
            source.begin()


def test_passing_over_what_was_kept_can_be_cancelled() -> None:
    cancellation = Cancellation()
    with closing(Flood(zmq.PUSH)) as peer, closing(receiver_of(peer.address)) as receiver:
        timer = threading.Timer(0.2, cancellation.cancel)
        timer.start()
        with pytest.raises(CancelledError):
            ZmqSource(receiver, Slow(), BUDGET_BYTES).start(cancellation)
        timer.join()
