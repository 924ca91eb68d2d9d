"""The calls on the file of a run are made in order in one thread; what fails is told, and nothing waits for ever."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from limits import HANG_S

from stream_service.core.exposure import Exposure
from stream_service.core.frame import Frame
from stream_service.core.ledger import Ledger
from stream_service.core.partition import ByIndex
from stream_service.core.row import RowBlock
from stream_service.core.stage_map import StageMap
from stream_service.errors import OverrunError, WriteError
from stream_service.kernels import FrameReducer, Geometry
from stream_service.run.rows import file_thread
from stream_service.run.rows.file_thread import FileThread
from stream_service.run.rows.pipeline import RowPipeline
from stream_service.run.rows.row_blocks import MOST_BLOCKS

SHAPE = (6, 8)


def thread_of(file: Any = SimpleNamespace(name="scan_std.h5")) -> FileThread:  # noqa: B008  nobody changes it
    return FileThread(file)


def fails(_: Any) -> None:
    raise WriteError("scan_std.h5: the disk is full")


class SlowFile:
    """A file that writes a block when it may, or fails."""

    name = "scan_std.h5"

    def __init__(self) -> None:
        self.may_write = threading.Semaphore(0)
        self.failure: Exception | None = None
        self.unique_ids: list[int] = []

    def append(self, block: RowBlock) -> None:
        assert self.may_write.acquire(timeout=HANG_S)
        if self.failure is not None:
            raise self.failure
        self.unique_ids += block.rows["unique_id"][:, 0].tolist()

    def flush(self) -> None: ...


class Rows:
    """A pipeline into a slow file."""

    def __init__(self) -> None:
        self.file = SlowFile()
        self.thread = thread_of(self.file)
        self.ledger = Ledger(0, 10_000)
        self.pipeline = RowPipeline(self.thread, FrameReducer(Geometry(SHAPE)), self.ledger, StageMap(), ByIndex(1))
        self.capacity = RowBlock(SHAPE, 1).capacity

    def add(self, n: int) -> None:
        exposures = []
        for _ in range(n):
            unique_id = self.ledger.n_received
            receipt = self.ledger.receive(unique_id, unique_id)
            frame = Frame(unique_id, unique_id, np.full(SHAPE, 1 + unique_id % 7, np.uint16), {})
            exposures.append(Exposure(frame, receipt.id, receipt.ordinal, 0.1, {"x": 0.0, "y": 0.0, "energy": 700.0}))
        self.pipeline.add(exposures)


def test_calls_are_made_in_order_in_one_other_thread() -> None:
    thread, made = thread_of(), []
    for number in range(100):
        thread.post(lambda _, number=number: made.append((number, threading.get_ident())))
    assert thread.call(lambda _: len(made)) == 100
    thread.end()
    assert [number for number, _ in made] == list(range(100))
    assert len({ident for _, ident in made}) == 1 and threading.get_ident() not in {ident for _, ident in made}


def test_there_is_no_thread_before_the_first_row_and_none_after_the_end() -> None:
    name = "of_this_test_std.h5"

    def n_threads() -> int:
        return sum(one.name == f"writing {name}" for one in threading.enumerate())

    thread = thread_of(SimpleNamespace(name=name))
    assert thread.call(lambda _: threading.get_ident()) == threading.get_ident() and n_threads() == 0
    thread.post(lambda _: None)
    assert n_threads() == 1
    thread.end()
    assert n_threads() == 0
    assert thread.call(lambda _: "closed") == "closed"


@pytest.mark.parametrize("failure", [WriteError("the disk is full"), ZeroDivisionError("a defect"), SystemExit("none")])
def test_failure_is_told_once_and_later_calls_are_made_all_the_same(failure: BaseException) -> None:
    def raises(_: Any) -> None:
        raise failure

    thread = thread_of()
    failed = thread.post(raises)
    with pytest.raises(type(failure)) as told:
        thread.call(lambda _: None)
    assert told.value is failure
    assert thread.call(lambda _: "the account") == "the account"
    with pytest.raises(WriteError, match="nothing was written, because of the failure that was told"):
        thread.result(failed)
    thread.end()


def test_failure_is_told_by_whatever_comes_next() -> None:
    thread = thread_of()
    assert thread.post(fails).wait(HANG_S)
    with pytest.raises(WriteError, match="the disk is full"):
        thread.post(lambda _: None)
    thread.end()


def test_failures_that_follow_from_a_known_one_are_not_told() -> None:
    thread = thread_of()
    assert thread.post(fails).wait(HANG_S)
    thread.forget()
    assert thread.call(lambda _: "the account") == "the account"
    thread.end()


def test_thread_that_dies_is_no_wait_for_ever(monkeypatch) -> None:
    monkeypatch.setattr(file_thread, "LOOK_S", 0.01)
    thread = thread_of()
    thread.post(lambda _: None)
    thread.end()
    thread._thread = threading.Thread()  # it never runs
    with pytest.raises(OverrunError, match=r"the thread that writes scan_std\.h5 has died"):
        thread.call(lambda _: None)


def test_disk_that_takes_nothing_is_told_of_while_it_is_waited_for(monkeypatch) -> None:
    monkeypatch.setattr(file_thread, "LOOK_S", 0.01)
    thread, may_write = thread_of(), threading.Event()
    posted = thread.post(lambda _: may_write.wait(HANG_S))
    waits = threading.Thread(target=lambda: thread.result(posted))
    waits.start()
    limit_s = time.monotonic() + HANG_S
    while "s for the disk: is it slow, or away?" not in thread.problem and time.monotonic() < limit_s:
        time.sleep(0.001)
    assert thread.problem.startswith("scan_std.h5: the run has waited ")
    may_write.set()
    waits.join(HANG_S)
    assert thread.problem == ""
    thread.end()


def test_machine_without_a_free_thread_is_told(monkeypatch) -> None:
    def refused(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    with pytest.raises(OverrunError, match=r"no thread can be started to write scan_std\.h5"):
        thread_of().post(lambda _: None)


def test_rows_are_made_while_others_are_written_and_no_more_than_the_blocks_hold() -> None:
    rows = Rows()
    rows.add(rows.capacity * (MOST_BLOCKS - 1) + 1)
    assert rows.file.unique_ids == [], "the file has not written anything yet"
    full = threading.Thread(target=lambda: rows.add(rows.capacity))
    full.start()
    full.join(0.05)
    assert full.is_alive(), "it waits for a block"
    rows.file.may_write.release(1000)
    full.join(HANG_S)
    rows.pipeline.drain()
    rows.thread.end()
    assert rows.file.unique_ids == list(range(rows.ledger.n_received))
    assert rows.ledger.account().stored == rows.ledger.n_received


def test_frames_are_stored_in_the_account_once_they_are_in_the_file() -> None:
    rows = Rows()
    rows.add(2 * rows.capacity)
    assert rows.ledger.account().stored == 0
    rows.file.may_write.release()
    rows.pipeline._blocks.settle(1)
    assert rows.ledger.account().stored == rows.capacity == len(rows.file.unique_ids)
    rows.file.may_write.release(1000)
    rows.pipeline.drain()
    rows.thread.end()
    assert rows.ledger.account().stored == 2 * rows.capacity


@pytest.mark.parametrize("failure", [WriteError("scan_std.h5: the disk is full"), ZeroDivisionError("a defect")])
def test_wait_for_a_block_ends_when_the_file_fails(failure: Exception) -> None:
    rows = Rows()
    rows.file.may_write.release()
    rows.add(rows.capacity + 1)
    rows.pipeline._blocks.settle(0)
    rows.file.failure = failure
    rows.file.may_write.release(1000)
    with pytest.raises(type(failure), match=str(failure)):
        rows.add(10 * rows.capacity)
    assert rows.ledger.account().stored == rows.capacity, "what never reached the disk is not stored"
    rows.thread.end()


def test_idle_flush_has_stored_what_was_on_its_way() -> None:
    rows = Rows()
    rows.file.may_write.release(1000)
    rows.add(3)
    rows.pipeline.flush()
    rows.pipeline.flush()
    assert rows.ledger.account().stored == 3
    rows.thread.end()


def test_rows_that_readers_can_see_are_stored_though_a_later_block_failed() -> None:
    """The account and the sinks have what is in the file, also when both blocks were settled at once."""
    rows = Rows()
    rows.add(3 * rows.capacity - 1)
    first, second = (posted.flushed for posted in rows.pipeline._blocks._posted)
    rows.file.may_write.release()
    assert first.wait(HANG_S)
    rows.file.failure = WriteError("scan_std.h5: the disk is full")
    rows.file.may_write.release(1000)
    assert second.wait(HANG_S)
    with pytest.raises(WriteError, match="the disk is full"):
        rows.pipeline.drain()
    rows.thread.end()
    assert len(rows.file.unique_ids) == rows.capacity
    assert rows.ledger.account().stored == rows.capacity


def test_rows_that_readers_can_see_are_stored_though_an_earlier_call_failed() -> None:
    rows = Rows()
    rows.thread.post(lambda file: rows.file.may_write.acquire(timeout=HANG_S) and fails(file))
    rows.add(2 * rows.capacity)
    rows.file.may_write.release(1000)
    assert all(posted.flushed.wait(HANG_S) for posted in rows.pipeline._blocks._posted)
    with pytest.raises(WriteError, match="the disk is full"):
        rows.pipeline.drain()
    rows.thread.end()
    assert rows.file.unique_ids == list(range(2 * rows.capacity))
    assert rows.ledger.account().stored == 2 * rows.capacity
