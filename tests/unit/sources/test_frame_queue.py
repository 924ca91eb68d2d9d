"""The frame queue: bounded in bytes, in order, and nobody waits for ever. Order is forced by events, not by time."""

from __future__ import annotations

import threading

import pytest
from limits import HANG_S

from stream_service.sources.frame_queue import FrameQueue


class Putter(threading.Thread):
    """Puts an item; `began` is set just before it does, `accepted` tells how it went."""

    def __init__(self, queue: FrameQueue[str], item: str, n_bytes: int) -> None:
        super().__init__(daemon=True)
        self.queue, self.item, self.n_bytes = queue, item, n_bytes
        self.began = threading.Event()
        self.accepted: bool | None = None
        self.start()
        assert self.began.wait(HANG_S)

    def run(self) -> None:
        self.began.set()
        self.accepted = self.queue.put(self.item, self.n_bytes)

    def finish(self) -> bool | None:
        self.join(HANG_S)
        assert not self.is_alive()
        return self.accepted


def test_items_come_out_in_order_and_give_their_room_back():
    queue: FrameQueue[str] = FrameQueue(100)
    for item in "abc":
        assert queue.put(item, 30)
    assert (len(queue), queue.held_bytes) == (3, 90)
    assert queue.take(0.0, at_most=2) == ["a", "b"]
    assert queue.held_bytes == 30
    assert queue.take(0.0) == ["c"]
    assert (len(queue), queue.held_bytes) == (0, 0)


def test_empty_queue_gives_nothing():
    assert FrameQueue(100).take(0.0) == []


def test_one_item_always_fits():
    queue: FrameQueue[str] = FrameQueue(10)
    assert queue.put("larger than the queue", 1000)
    assert queue.take(0.0) == ["larger than the queue"]


def test_items_that_fill_the_queue_exactly_fit():
    queue: FrameQueue[str] = FrameQueue(100)
    queue.put("a", 60)
    assert Putter(queue, "b", 40).finish() is True


def test_full_queue_makes_the_sender_wait_until_there_is_room():
    queue: FrameQueue[str] = FrameQueue(100)
    queue.put("a", 60)
    putter = Putter(queue, "b", 60)
    assert len(queue) == 1, "nothing is let in beyond the capacity"
    assert queue.take(0.0) == ["a"]
    assert putter.finish() is True
    assert queue.take(HANG_S) == ["b"]


def test_receiver_that_waits_gets_what_is_put():
    queue: FrameQueue[str] = FrameQueue(100)
    putter = Putter(queue, "a", 10)
    assert queue.take(HANG_S) == ["a"]
    assert putter.finish() is True


@pytest.mark.parametrize("n_bytes", [60, 1])
def test_closing_releases_a_sender_that_waits(n_bytes):
    queue: FrameQueue[str] = FrameQueue(60)
    queue.put("a", 60)
    putter = Putter(queue, "b", n_bytes)
    queue.close()
    assert putter.finish() is False
    assert queue.take(0.0) == ["a"], "what was accepted is not lost"


def test_closed_queue_takes_nothing_and_waits_for_nothing():
    queue: FrameQueue[str] = FrameQueue(100)
    queue.close()
    assert queue.put("a", 1) is False
    assert queue.take(HANG_S) == []


def test_wake_ends_a_wait_with_nothing():
    queue: FrameQueue[str] = FrameQueue(100)
    got: list[list[str]] = []
    receiver = threading.Thread(target=lambda: got.append(queue.take(HANG_S)), daemon=True)
    receiver.start()
    while receiver.is_alive():  # until it waits there is nothing to wake
        queue.wake()
    assert got == [[]]


def test_many_senders_lose_nothing():
    queue: FrameQueue[str] = FrameQueue(50)
    putters = [Putter(queue, str(n), 10) for n in range(20)]
    taken: list[str] = []
    while len(taken) < 20:
        batch = queue.take(HANG_S, at_most=3)
        assert batch
        taken += batch
    assert all(putter.finish() for putter in putters)
    assert sorted(taken, key=int) == [str(n) for n in range(20)]
    assert queue.held_bytes == 0
