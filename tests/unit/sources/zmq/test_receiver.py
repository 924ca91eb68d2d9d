"""One socket for all runs: each gets every message, in order; what is full waits."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import Any

import pytest
import zmq
from limits import HANG_S
from waiting import wait_until
from zmq_sender import BUDGET_BYTES, Bytes, Sender, receiver_of, sender, take

from stream_service.core.frame import UNKNOWN_WAIT_S
from stream_service.sources.live.zmq.backlog import Backlog
from stream_service.sources.live.zmq.frames import ZmqSource
from stream_service.sources.live.zmq.queue import PART_BYTES
from stream_service.sources.live.zmq.receiver import MOST_MESSAGES, high_water_mark

PAUSE = "stream_service.sources.live.zmq.backlog.PAUSE_S"
PROMPT = "stream_service.sources.live.zmq.receiver.PROMPT_S"


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
        monkeypatch.setattr(PROMPT, HANG_S)
        monkeypatch.setattr(PAUSE, 0.0)
        wait = receiver._wait

        def send_and_wait(*given: Any) -> bool:
            push.send(b"awaited")
            return wait(*given)

        monkeypatch.setattr(receiver, "_wait", send_and_wait)
        (awaited,) = source.queue.take(HANG_S)
        monkeypatch.setattr(PROMPT, 0.0)
        push.send(b"late", b"later")
        wait_until(lambda: len(source.queue) == 2)
        late, later = source.queue.take(0.0)
        assert awaited.waited_s == 0.0 and late.waited_s > 0.0 and later.waited_s > 0.0
        assert awaited.at_s < late.at_s < later.at_s  # each before it was taken out of ZMQ, none before it came


def test_messages_that_a_sender_kept_until_we_came_may_have_been_made_at_any_time(push: Sender, monkeypatch) -> None:
    monkeypatch.setattr(PAUSE, HANG_S)
    sending = threading.Thread(target=push.send, args=numbers(3))
    sending.start()
    with closing(receiver_of(push.address)) as receiver:
        source = ZmqSource(receiver, Bytes(), BUDGET_BYTES)
        source.listen()  # as a run that goes on
        kept = []
        while len(kept) < 3:
            kept += source.queue.take(HANG_S)
        assert [message.waited_s for message in kept] == [UNKNOWN_WAIT_S] * 3
        monkeypatch.setattr(PAUSE, 0.0)
        push.send(b"after a pause")
        (after,) = source.queue.take(HANG_S)
        assert after.waited_s < UNKNOWN_WAIT_S
    sending.join()


def test_message_that_is_there_before_anybody_has_looked_waited_for_a_time_that_is_a_number(
    push: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PAUSE, -1.0)  # none is taken for a kept one
    with closing(receiver_of(push.address)) as receiver:
        source = ZmqSource(receiver, Bytes(), BUDGET_BYTES)
        source.listen()
        push.send(b"first")
        assert receiver._socket is not None and receiver._socket.poll(HANG_S * 1e3)
        (first,) = source.queue.take(0.0)
        assert first.waited_s == UNKNOWN_WAIT_S


def test_backlog_ends_with_a_pause_or_after_a_while_and_begins_with_each_connection() -> None:
    backlog = Backlog()
    assert not backlog.has(1.0)
    backlog.greeted(1, 2.0)
    assert [backlog.has(at_s) for at_s in (2.01, 2.05, 2.3, 2.31)] == [True, True, False, False]
    backlog.greeted(1, 2.4)
    assert not backlog.has(2.41)
    backlog.greeted(2, 3.0)
    assert [backlog.has(3.0 + n / 100) for n in range(1, 600)] == [n <= 500 for n in range(1, 600)]


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
