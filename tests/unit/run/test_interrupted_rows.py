"""Rows of an interrupted file in the run that goes on: they follow, and until they have the file stays."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import corpus
import h5py
import numpy as np
import pytest
from limits import HANG_S
from scripted_run import Bench, frames

from stream_service.core.exposure import Flag
from stream_service.core.frame import Frame
from stream_service.core.run import RunState
from stream_service.errors import SourceError
from stream_service.run.past import Past
from stream_service.run.rows.interrupted_rows import InterruptedRows
from stream_service.run.rows.pixel_reduction import KnownPixels
from stream_service.standard_file import SalvagedRows
from stream_service.testing.scripted_raw_file import ScriptedRawFile


class Interrupted:
    """A run of eight frames whose service was killed after the first four."""

    def __init__(self, folder: Path, n_missed: int = 0) -> None:
        """Of `n_missed` of its rows no position was heard."""
        first = Bench(folder, n_positions=4)
        first.play(frames([1, 2, 3, 4]))
        assert first.run.out is not None
        self.path = first.run.setup.path.rename(folder / "scan_std_interrupted_1.h5")
        with h5py.File(self.path, "r+") as file:
            flags, keep = cast(h5py.Dataset, file["/entry/frames/flags"]), cast(h5py.Dataset, file["/entry/keep"])
            flags[:n_missed], keep[:n_missed] = Flag.UNBRACKETED, 0
        self.may_read, self.was_read = threading.Event(), threading.Event()
        self._reader = ThreadPoolExecutor(1)
        self._rows = self._reader.submit(SalvagedRows, self.path, is_left=True).result()
        self.bench = b = Bench(folder, n_positions=8)
        begin = first.run.out.begin
        setup: Any = b.run.setup
        setup.past = lambda: Past(
            reopen=lambda ledger, sinks: setup._open(begin, ledger, sinks),
            pixels=KnownPixels(None, None),
            interrupted=(self._held_up(),),
            reader=self._reader,
            notes=("it goes on",),
        )

    def _held_up(self) -> Any:
        """The disk answers when it may."""

        def block(start: int, stop: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
            assert self.may_read.wait(HANG_S)
            found = self._rows.block(start, stop)
            self.was_read.set()
            return found

        names = ("path", "n_announced", "start_timestamp_ns", "rows", "frame_shape", "readbacks", "pixel_mask", "state")
        facts = {name: getattr(self._rows, name) for name in names}
        return SimpleNamespace(**facts, counts=self._rows.counts, block=block, close=self._rows.close)


@pytest.fixture
def interrupted(tmp_path: Path) -> Any:
    made = Interrupted(tmp_path)
    yield made
    made.may_read.set()


def test_rows_follow_and_the_file_is_removed(interrupted: Interrupted) -> None:
    b = interrupted.bench
    interrupted.may_read.set()
    run = b.play(frames([5, 6, 7, 8]), b.exposed(8), b.detector_stops)
    assert run.state is RunState.COMPLETE and run.message == "8 of 8 frames stored in 8 rows; it goes on"
    assert sorted(b.rows()) == list(range(1, 9)) and not interrupted.path.exists()


def test_rows_whose_positions_nobody_heard_leave_the_run_incomplete(tmp_path: Path) -> None:
    interrupted = Interrupted(tmp_path, n_missed=2)
    interrupted.may_read.set()
    b = interrupted.bench
    run = b.play(frames([5, 6, 7, 8]), b.exposed(8), b.detector_stops)
    assert run.state is RunState.INCOMPLETE and run.status().account.is_complete
    said = "8 of 8 frames stored in 8 rows; 2 rows have no known position, because the service was away; "
    assert run.message.startswith(said)


def test_detector_that_ended_while_the_service_was_away(interrupted: Interrupted) -> None:
    """No frame comes any more that would tell how far the readbacks should be known: those that are fetched do."""
    b = interrupted.bench
    interrupted.may_read.set()
    setup: Any = b.run.setup
    recorded = [
        Frame(
            n,
            corpus.STAMP_S * 10**9 + n * 10**6,
            np.full((6, 8), n, np.uint16),
            {"energy": 700.0},
            is_backfilled=True,
        )
        for n in range(1, 9)
    ]
    setup.open_raw_file = lambda: ScriptedRawFile(recorded)
    run = b.play(b.exposed(8), b.stop)
    assert (run.state, sorted(b.rows())) == (RunState.COMPLETE, list(range(1, 9)))
    with b.file() as file:
        flags, keep = (np.asarray(file[name]) for name in ("/entry/frames/flags", "/entry/keep"))
        assert not flags.any() and keep.all()


def test_abort_does_not_wait_for_them_and_says_where_they_are(interrupted: Interrupted) -> None:
    b = interrupted.bench
    run = b.play(frames([5, 6]), b.settles(), b.run.abort)
    assert run.state is RunState.ABORTED
    assert "it goes on; 4 of these rows are only in scan_std_interrupted_1.h5 still" in run.message
    assert b.rows() == [5, 6] and interrupted.path.exists()


def test_abort_when_they_are_there_leaves_no_file_behind(interrupted: Interrupted) -> None:
    b = interrupted.bench
    interrupted.may_read.set()

    def wait() -> None:
        assert interrupted.was_read.wait(HANG_S)

    run = b.play(b.settles(), wait, b.settles(), b.run.abort)
    assert run.state is RunState.ABORTED and run.message.endswith("; it goes on")
    assert sorted(b.rows()) == [1, 2, 3, 4] and not interrupted.path.exists()


def test_disk_that_fails_and_then_hangs_does_not_hold_up_the_end() -> None:
    """One block is read ahead of the one that cannot be read."""
    may_read = threading.Event()

    def block(start: int, stop: int) -> Any:
        if start:
            assert may_read.wait(HANG_S)
        raise SourceError("the disk is gone")

    rows = np.zeros(2, [("replaces", np.int64)])
    file: Any = SimpleNamespace(rows=rows, frame_shape=(1024, 1024), n_announced=2, block=block, close=may_read.is_set)
    reader = ThreadPoolExecutor(1)
    late = InterruptedRows([file], [np.arange(2)[:, None]], reader)
    while not late.failure:
        assert late.take(0) is None
    began_s = time.monotonic()
    late.close()
    assert time.monotonic() - began_s < HANG_S / 2
    may_read.set()
    reader.shutdown()
