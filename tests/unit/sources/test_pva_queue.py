"""Updates are taken out of a subscription in order, in batches, and it is seen how much waits, whatever their size."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import corpus
import numpy as np
import pytest
from p4p.client.raw import Disconnected

from stream_service.core.frame import UNKNOWN_WAIT_S
from stream_service.sources.live import pva_queue
from stream_service.sources.live.pva_queue import TAKEN_OUT, PvaQueue

BUDGET_BYTES = 128 << 20
MOST_TAKEN_BYTES = BUDGET_BYTES // TAKEN_OUT
MEGABYTE_FRAME = np.zeros((512, 1024), np.uint16)


def queue_of(frames: Iterator[Any]) -> PvaQueue:
    queue = PvaQueue(BUDGET_BYTES)
    queue.subscribe(SimpleNamespace(pop=lambda: next(frames, None), close=lambda: None))
    return queue


def frames_of(pixels: np.ndarray, n: int) -> Iterator[Any]:
    return (corpus.good(unique_id, pixels=pixels) for unique_id in range(1, n + 1))


def test_every_update_comes_once_and_in_order() -> None:
    queue, ids = queue_of(frames_of(MEGABYTE_FRAME, 100)), []
    while batch := queue.take(0.0):
        ids += [received.message["uniqueId"] for received in batch]
    assert ids == list(range(1, 101))
    assert queue.held_bytes == 0


@pytest.mark.parametrize("size", [(32, 64), (512, 512), (1024, 1024), (2048, 2048)])
def test_run_that_is_behind_is_seen_in_what_waits(size: tuple[int, int]) -> None:
    """Large frames, too: the batch that the run works on does not empty what was taken out."""
    pixels = np.zeros(size, np.uint16)
    queue = queue_of(frames_of(pixels, 1 + 2 * MOST_TAKEN_BYTES // pixels.nbytes))
    assert queue.take(0.0)
    assert MOST_TAKEN_BYTES / 4 < queue.held_bytes < MOST_TAKEN_BYTES + pixels.nbytes + 1024


def test_frame_larger_than_what_may_be_held_comes_all_the_same() -> None:
    queue = queue_of(frames_of(np.zeros((4096, 8192), np.uint16), 2))
    assert [len(queue.take(0.0)) for _ in range(3)] == [1, 1, 0]


def test_update_that_is_taken_before_its_signal_did_not_come_with_an_earlier_one(monkeypatch) -> None:
    """The signal is a call of Python, and may have to wait for whoever takes updates out."""
    pixels, coming = np.zeros((4, 4), np.uint16), []
    queue = queue_of(iter(lambda: coming.pop(0) if coming else None, 0))
    monkeypatch.setattr(pva_queue.time, "monotonic", lambda: now_s)
    now_s = 999.0
    coming.append(corpus.good(0, pixels=pixels))
    assert len(queue.take(0.0)) == 1
    assert not queue.take(0.0)
    now_s = 1000.0
    coming.append(corpus.good(1, pixels=pixels))
    queue.signal()
    (signalled,) = queue.take(0.0)
    now_s = 1000.05
    assert not queue.take(0.0)
    now_s = 1000.09
    coming.append(corpus.good(2, pixels=pixels))
    (prompt,) = queue.take(0.0)
    now_s = 1001.0
    assert not queue.take(0.0)
    now_s = 1001.2
    coming.append(corpus.good(3, pixels=pixels))
    (late,) = queue.take(0.0)
    assert [(one.at_s, one.waited_s) for one in (signalled, prompt, late)] == [
        (1000.0, 0.0), (1000.09, 0.0), (1001.2, pytest.approx(0.2)),
    ]  # fmt: skip


def test_update_that_waited_has_come_before_it_was_taken_out_not_before_the_first_of_them(monkeypatch) -> None:
    """A thread that is busy for seconds finds many, of which one was signalled: the others are not ahead."""
    frames = frames_of(np.zeros((4, 4), np.uint16), 4)
    coming = [next(frames), None]
    queue = queue_of(iter(lambda: coming.pop(0) if coming else None, 0))
    monkeypatch.setattr(pva_queue.time, "monotonic", lambda: now_s)
    now_s = 999.0
    assert len(queue.take(0.0)) == 1
    coming += frames
    now_s = 1000.0
    queue.signal()
    now_s = 1017.0
    assert [(one.at_s, one.waited_s) for one in queue.take(0.0)] == [(1000.0, 0.0), (1017.0, 17.0), (1017.0, 17.0)]


def test_first_frame_of_a_connection_may_have_been_made_at_any_time(monkeypatch) -> None:
    """A server gives who subscribes, also after the network was away, the last frame that there was."""
    pixels, coming = np.zeros((4, 4), np.uint16), []
    queue = queue_of(iter(lambda: coming.pop(0) if coming else None, 0))
    monkeypatch.setattr(pva_queue.time, "monotonic", lambda: 1000.0)
    waited_s = []
    for unique_id in range(1, 5):
        coming += [corpus.good(unique_id, pixels=pixels)] if unique_id != 3 else [Disconnected(), corpus.good(3)]
        queue.signal()
        waited_s += [received.waited_s for received in queue.take(0.0)]
    assert waited_s == [UNKNOWN_WAIT_S, 0.0, UNKNOWN_WAIT_S, 0.0]
