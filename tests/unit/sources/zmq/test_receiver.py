"""One socket for all runs: each gets every message, in order; what is full waits; who is cut off comes back."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import pytest
import zmq
from limits import HANG_S
from zmq_sender import Bytes, Sender, sender, take, wait_until

from stream_service.cancellation import Cancellation, CancelledError
from stream_service.core.stream import Begin
from stream_service.errors import ConfigError, SourceError
from stream_service.settings.frames import ZmqFrames
from stream_service.sources.live.zmq.dialect import Received
from stream_service.sources.live.zmq.frames import ZmqSource
from stream_service.sources.live.zmq.queue import PART_BYTES
from stream_service.sources.live.zmq.receiver import MOST_MESSAGES, ZmqReceiver, high_water_mark

LARGEST_BYTES = 10_000
BUDGET_BYTES = 1 << 20


@pytest.fixture
def push() -> Iterator[Sender]:
    with sender() as opened:
        yield opened


def receiver_of(*addresses: str, budget_bytes: int = BUDGET_BYTES, **others) -> ZmqReceiver:
    return ZmqReceiver(ZmqFrames(connect=addresses, **others), budget_bytes, 100, LARGEST_BYTES)


def numbers(n: int, first: int = 0) -> list[bytes]:
    return [b"%d" % i for i in range(first, first + n)]


@pytest.mark.parametrize(("kind", "own"), [(zmq.PUSH, "pull"), (zmq.PUB, "sub")])
def test_every_run_that_listens_gets_every_message_in_order(kind, own) -> None:
    with sender(kind) as peer, closing(receiver_of(peer.address, socket=own)) as receiver:
        one, other = (ZmqSource(receiver, Bytes(), BUDGET_BYTES) for _ in range(2))
        one.start()
        peer.send(*numbers(3))
        assert take(one.queue, 3) == numbers(3)
        other.start()
        peer.send(*numbers(100, 3))
        assert take(one.queue, 100) == take(other.queue, 100) == numbers(100, 3)
        one.close()
        peer.send(*numbers(3))
        assert take(other.queue, 3) == numbers(3)


def test_what_is_full_waits_where_it_is_and_nothing_is_lost(push: Sender) -> None:
    with closing(receiver_of(push.address)) as receiver:
        source = ZmqSource(receiver, Bytes(), 4 * 10 * (PART_BYTES + 100))
        source.start()
        thread = threading.Thread(target=push.send, args=[bytes([n % 256]) * 100 for n in range(5000)])
        thread.start()
        wait_until(lambda: len(source.queue) >= 10)
        assert len(source.queue) == 10 and source.queue.is_full
        assert [message[0] for message in take(source.queue, 5000)] == [n % 256 for n in range(5000)]
        thread.join()
        assert source.queue.held_bytes == 0


def test_receipts_tell_what_may_have_waited(push: Sender, monkeypatch) -> None:
    with closing(receiver_of(push.address)) as receiver:
        source = ZmqSource(receiver, Bytes(), BUDGET_BYTES)
        source.start()
        monkeypatch.setattr("stream_service.sources.live.zmq.receiver.PROMPT_S", 0.0)
        wait = receiver._wait

        def send_and_wait(*given: Any) -> bool:
            push.send(b"awaited")
            return wait(*given)

        monkeypatch.setattr(receiver, "_wait", send_and_wait)
        awaited = source.queue.take(HANG_S)
        push.send(b"late")
        wait_until(lambda: len(source.queue) == 1)
        (late,) = source.queue.take(0.0)
        assert [message.has_waited for message in awaited] == [False] and awaited[0].at_s is not None
        assert late.has_waited and late.at_s is not None


def test_sender_of_what_is_too_large_is_cut_off_and_told_and_its_next_frames_come(push: Sender) -> None:
    with closing(receiver_of(push.address)) as receiver:
        source = ZmqSource(receiver, Bytes(), BUDGET_BYTES)
        source.start()
        push.send(b"good", bytes(LARGEST_BYTES + 1))
        assert take(source.queue, 1) == [b"good"]
        wait_until(lambda: bool(source.problem))
        assert "was cut off 1 time: it sends parts of more than 0.00954 MiB" in source.problem
        wait_until(lambda: source.is_connected)
        push.send(b"good again")
        assert take(source.queue, 1) == [b"good again"]


def test_sender_that_is_away_is_told_and_comes_back(push: Sender) -> None:
    with closing(receiver_of(push.address)) as receiver:
        source = ZmqSource(receiver, Bytes(), BUDGET_BYTES)
        source.start()
        assert source.is_connected and source.silent() == [] and source.problem == ""
        push.leave()
        wait_until(lambda: not source.is_connected)
        assert source.silent() == [f"{push.address} (test)"]
        push.open(push.address)
        wait_until(lambda: source.is_connected)
        push.send(b"here")
        assert take(source.queue, 1) == [b"here"]


def test_one_of_two_senders_that_is_away_is_named_and_the_other_goes_on(push: Sender) -> None:
    with sender() as other, closing(receiver_of(push.address, other.address)) as receiver:
        source = ZmqSource(receiver, Bytes(), BUDGET_BYTES)
        source.start()
        other.leave()
        wait_until(lambda: source.silent() == [f"{other.address} (test)"])
        assert source.is_connected
        push.send(b"here")
        assert take(source.queue, 1) == [b"here"]


@pytest.mark.parametrize("host", ["127.0.0.1", "*", "lo"])
def test_senders_may_connect_to_the_service(host: str) -> None:
    address = free_address()
    bound = address.replace("127.0.0.1", host)
    receiver = ZmqReceiver(ZmqFrames(bind=(bound,)), BUDGET_BYTES, 100, LARGEST_BYTES)
    context: zmq.Context = zmq.Context()
    with closing(receiver), context, context.socket(zmq.PUSH) as pushing:
        source = ZmqSource(receiver, Bytes(), BUDGET_BYTES)
        pushing.connect(address)
        source.start()
        pushing.send(b"here")
        assert take(source.queue, 1) == [b"here"]
        pushing.close(0)
        wait_until(lambda: not source.is_connected)


def test_who_takes_is_woken_while_it_waits_for_messages_and_for_room(push: Sender) -> None:
    with closing(receiver_of(push.address)) as receiver:
        one, other = (ZmqSource(receiver, Bytes(), BUDGET_BYTES) for _ in range(2))
        one.start()
        other.start()
        taken = [threading.Thread(target=source.queue.take, args=[HANG_S]) for source in (one, other)]
        for thread in taken:
            thread.start()
        while any(thread.is_alive() for thread in taken):
            one.queue.wake()
            other.queue.wake()


def test_who_waits_for_room_does_not_hold_up_who_leaves(push: Sender, monkeypatch) -> None:
    with closing(receiver_of(push.address)) as receiver:
        one, other = ZmqSource(receiver, Bytes(), BUDGET_BYTES), ZmqSource(receiver, Bytes(), 4)
        one.start()
        other.start()
        push.send(b"fills the other one")
        assert len(take(one.queue, 1)) == 1 and other.queue.is_full
        left: list[bool] = []

        def leave(_: float) -> None:
            leaving = threading.Thread(target=other.close)
            leaving.start()
            leaving.join(HANG_S)
            left.append(not leaving.is_alive())

        monkeypatch.setattr(one.queue, "wait", leave)
        assert one.queue.take(HANG_S) == [] and left == [True]


def test_who_takes_after_the_end_waits_and_is_woken_all_the_same(push: Sender, monkeypatch) -> None:
    with closing(receiver_of(push.address)) as receiver:
        source = ZmqSource(receiver, Bytes(), BUDGET_BYTES)
        source.start()
        source.close()
        waited_s: list[float] = []
        monkeypatch.setattr(source.queue, "wait", waited_s.append)
        assert source.queue.take(HANG_S) == [] and waited_s == [HANG_S]
    monkeypatch.undo()
    source.queue.wake()
    source.queue.wait(HANG_S)
    assert source.queue.take(0.0) == []


@pytest.mark.parametrize(
    ("budget_bytes", "frame_bytes", "n_senders", "n_messages"),
    [(4000, 100, 1, 30), (4000, 100, 2, 15), (4000, 10_000, 1, 4), (1 << 40, 100, 1, MOST_MESSAGES), (400, 0, 1, 300)],
)
def test_zmq_holds_three_quarters_of_the_budget(budget_bytes, frame_bytes, n_senders, n_messages) -> None:
    assert high_water_mark(budget_bytes, frame_bytes, n_senders) == n_messages


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


def test_nobody_at_the_address_is_said_in_words(monkeypatch) -> None:
    monkeypatch.setattr("stream_service.sources.live.zmq.frames.ANSWER_TIMEOUT_S", 0.1)
    with sender() as gone:
        address = gone.address
    with closing(receiver_of(address)) as receiver:
        source = ZmqSource(receiver, Bytes(), BUDGET_BYTES)
        with pytest.raises(SourceError, match=f"no sender at {address} within 0.1 s: is it running"):
            source.start()
        assert source.silent() == [f"{address} (test)"] and not source.is_connected


def test_address_that_another_program_has_is_refused(push: Sender) -> None:
    frames = ZmqFrames(bind=(push.address,))
    refused = pytest.raises(ConfigError, match=r"frames cannot be received at tcp.*Address already in use")
    with closing(ZmqReceiver(frames, BUDGET_BYTES, 100, LARGEST_BYTES)) as receiver, refused:
        ZmqSource(receiver, Bytes(), BUDGET_BYTES).start()


def test_parts_of_a_message_are_held_memory_though_they_are_empty(push: Sender) -> None:
    with closing(receiver_of(push.address)) as receiver:
        source = ZmqSource(receiver, Bytes(), BUDGET_BYTES)
        source.start()
        for _ in range(3):
            push.send_parts([b""] * 1000)
        wait_until(lambda: len(source.queue) > 0)
        assert len(source.queue) == 1 and source.queue.is_full and source.queue.held_bytes == 1000 * PART_BYTES
        source.queue.take(0.0)
        assert source.queue.held_bytes == 0


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


def test_greeted_sender_that_leaves_is_told_apart_from_one_that_says_nothing() -> None:
    address = free_address()
    receiver = ZmqReceiver(ZmqFrames(bind=(address,)), BUDGET_BYTES, 100, LARGEST_BYTES)
    context: zmq.Context = zmq.Context()
    with closing(receiver), context, context.socket(zmq.PUSH) as pushing:
        source = ZmqSource(receiver, Bytes(), BUDGET_BYTES)
        pushing.connect(address)
        source.start()
        host, _, port = address.removeprefix("tcp://").partition(":")
        with socket.create_connection((host, int(port))):
            pushing.close(0)
            wait_until(lambda: not source.is_connected)
            assert source.problem == ""
        wait_until(lambda: source.problem.startswith("1 connection of"))


def test_sender_that_connects_and_sends_what_is_too_large_is_told() -> None:
    address = free_address()
    receiver = ZmqReceiver(ZmqFrames(bind=(address,)), BUDGET_BYTES, 100, LARGEST_BYTES)
    context: zmq.Context = zmq.Context()
    with closing(receiver), context, context.socket(zmq.PUSH) as pushing:
        source = ZmqSource(receiver, Bytes(), BUDGET_BYTES)
        pushing.setsockopt(zmq.LINGER, 0)
        pushing.connect(address)
        source.start()

        def send_until_told() -> bool:
            with suppress(zmq.Again):
                pushing.send(bytes(LARGEST_BYTES + 1), zmq.NOBLOCK)
            return "they end, or send parts of more than 0.00954 MiB" in source.problem

        wait_until(send_until_told)


def test_a_sender_of_another_kind_is_told_so(monkeypatch) -> None:
    monkeypatch.setattr("stream_service.sources.live.zmq.frames.ANSWER_TIMEOUT_S", 0.0)
    with sender(zmq.PUB) as peer, closing(receiver_of(peer.address)) as receiver:
        source = ZmqSource(receiver, Bytes(), BUDGET_BYTES)
        receiver.attach(source.queue)
        wait_until(lambda: bool(source.problem))
        with pytest.raises(SourceError, match="is it ZMQ that pushes, or publishes, as 'socket' says") as refused:
            source.start()
        assert "MiB" not in str(refused.value)


def test_connections_that_nobody_looks_at_do_not_stop_the_others() -> None:
    """The monitor holds 1000 events on each side by default, and ZMQ's thread waits for room."""
    address = free_address()
    receiver = ZmqReceiver(ZmqFrames(bind=(address,)), BUDGET_BYTES, 100, LARGEST_BYTES)
    context: zmq.Context = zmq.Context()
    with closing(receiver), context, context.socket(zmq.PUSH) as pushing:
        source = ZmqSource(receiver, Bytes(), BUDGET_BYTES)
        pushing.setsockopt(zmq.LINGER, 0)
        pushing.connect(address)
        source.start()
        host, _, port = address.removeprefix("tcp://").partition(":")
        for _ in range(800):
            socket.create_connection((host, int(port)), HANG_S).close()
        pushing.send(b"here")
        assert take(source.queue, 1) == [b"here"]
        wait_until(lambda: source.problem.startswith("800 connections"))
        assert source.is_connected


def free_address() -> str:
    with sender() as free:
        return free.address
