"""A run ends as it should: in good order, at once, or FAILED; always with its file closed and a reason in words."""

from __future__ import annotations

import errno
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from limits import HANG_S
from scripted_run import Bench, Step, frame, frames

from stream_service.core.frame_status import FrameStatus
from stream_service.core.row import RowBlock
from stream_service.core.run import EndReason, RunState
from stream_service.errors import SourceError
from stream_service.run import run_rows
from stream_service.run.live.raw_file import NOT_NAMED
from stream_service.run.rows.pipeline import RowPipeline
from stream_service.run.run_file import RunFile
from stream_service.standard_file import StandardFile
from stream_service.standard_file.schema.columns import GrowingColumn
from stream_service.standard_file.schema.paths import MESSAGE, STATE
from stream_service.standard_file.write.guarded_file import GuardedFile
from stream_service.standard_file.write.write_errors import NoRoomError


@pytest.fixture
def bench(tmp_path: Path) -> Callable[..., Bench]:
    return lambda **request: Bench(tmp_path, **request)


def test_stop_waits_for_frames_in_flight(bench):
    b = bench(n_positions=None)
    run = b.play(frames([1, 2]), b.exposed(4), b.stop, b.waits(1.5), [frame(3)], b.waits(1.5), [frame(4)])
    assert (run.state, run.status().end_reason) == (RunState.COMPLETE, EndReason.STOPPED)
    assert b.rows() == [1, 2, 3, 4]
    assert b.clock.now_s == pytest.approx(1003, abs=0.5)


def test_stop_gives_up_frames_that_do_not_come(bench):
    b = bench(n_positions=None)
    run = b.play(frames([1, 2]), b.exposed(4), b.stop)
    assert run.state is RunState.INCOMPLETE
    assert b.statuses() == {1: FrameStatus.STORED, 2: FrameStatus.STORED, 3: FrameStatus.LOST, 4: FrameStatus.LOST}
    assert b.clock.now_s == pytest.approx(1000 + b.profile.service.drain_s, abs=0.5)


def test_counter_that_was_reset_behind_frames_that_wait_ends_no_run_before_them(bench):
    """The service is busy when somebody stops the run; by its number the counter shows the very last frame taken."""
    b = bench(n_positions=8)

    def stop() -> None:
        later = [frame(n, seconds=1000.0 + place) for place, n in enumerate((4, 5, 1, 2, 3))]
        b.sources.queue.waiting = later
        b.detector.shown = 3
        b.stop()

    run = b.play(iter([[frame(n, seconds=100.0 + n)] for n in (1, 2, 3)]), stop)
    assert run.state is RunState.COMPLETE, run.message
    assert b.rows() == [1, 2, 3, 4, 5, 1, 2, 3]


def test_stop_asks_a_counter_again_that_is_posted_after_its_frame(bench):
    """Frame 3 was here before the counter showed it, which looks like a reset: it was 3 when the run was stopped."""
    b = bench(n_positions=9)
    b.sources.queue.is_endless = True
    later = (step for n in range(4, 1000) for step in (b.waits(0.1), [frame(n)]))
    run = b.play(frames([1, 2, 3]), b.exposed(2), b.stop, b.exposed(3), later)
    assert (run.state, run.message) == (RunState.INCOMPLETE, "3 of 9 frames stored in 3 rows, 6 never exposed")
    assert b.clock.now_s < 1001, "it was not waited for a detector that goes on"


def test_stop_does_not_know_what_a_counter_that_was_reset_has_made(bench):
    b = bench(n_positions=90)
    b.sources.queue.is_endless = True
    run = b.play(frames(range(1, 31)), b.exposed(2), b.stop, b.waits(0.1), b.exposed(31))
    assert "does not tell how many frames were made" in run.message, "31 is not the frame after 30"


def endless(b: Bench) -> Iterator[Step]:
    """The detector goes on, 5 frames ahead of what has arrived."""
    for unique_id in range(3, 1000):
        b.clock.now_s += 0.05
        b.detector.shown = unique_id + 5
        yield [frame(unique_id)]


def test_stop_ends_even_if_the_detector_never_does(bench):
    """What was exposed is counted once, when what waited at the stop is in: frame 8 was, frame 9 was not."""
    b = bench(n_positions=None)
    b.sources.queue.is_endless = True
    run = b.play(frames([1, 2]), b.exposed(7), b.stop, endless(b))
    assert (run.state, run.status().end_reason) == (RunState.COMPLETE, EndReason.STOPPED)
    assert b.clock.now_s < 1000 + b.profile.service.drain_s
    assert b.rows() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert run.message == "8 of 8 frames stored in 8 rows"


def test_stop_does_not_wait_for_frames_that_later_ones_have_overtaken(bench):
    """A detector that sends more than is carried goes on: frame 7, the last that counts, was overwritten on its way."""
    b = bench(n_positions=None)
    later = (step for n in range(9, 10_000) for step in ([frame(n)], b.waits(0.1)))
    run = b.play(frames([1, 2]), b.exposed(7), b.stop, [frame(3)], later)
    assert (run.state, run.message) == (
        RunState.INCOMPLETE,
        f"3 of 7 frames stored in 3 rows, 4 lost (missing ids: 4-7); {NOT_NAMED}",
    )
    assert b.clock.now_s < 1001, "no drain time was waited for"


def test_stop_ends_even_if_nobody_knows_what_was_exposed(bench):
    b = bench(n_positions=None)
    b.sources.queue.is_endless = True

    def silent() -> Iterator[Step]:
        for step in endless(b):
            b.detector.shown = None
            yield step

    run = b.play(frames([1, 2]), b.stop, silent())
    assert run.status().end_reason == EndReason.STOPPED
    assert b.clock.now_s < 1000 + 5 * b.profile.service.drain_s + 1


@pytest.mark.parametrize("n_runs", [2, pytest.param(12, marks=pytest.mark.further)])
def test_no_phantom_is_lost_when_a_continuous_detector_is_stopped(bench, n_runs):
    """The frames that come while the run drains are not the run's, and the counter is not asked again."""
    for n in range(n_runs):
        b = bench(n_positions=None, path=f"{n}")
        run = b.play(frames([1, 2]), b.exposed(3), b.stop, [frame(3), frame(4)], b.exposed(6), [frame(5)])
        assert (run.state, b.rows()) == (RunState.COMPLETE, [1, 2, 3])


def test_run_ends_when_the_detector_stopped(bench):
    b = bench(n_positions=4)
    run = b.play(frames([1, 2]), b.exposed(3), b.detector_stops)
    assert (run.state, run.status().end_reason) == (RunState.INCOMPLETE, EndReason.DETECTOR_STOPPED)
    assert b.statuses() == {
        1: FrameStatus.STORED,
        2: FrameStatus.STORED,
        3: FrameStatus.LOST,
        4: FrameStatus.NOT_EXPOSED,
    }
    assert b.clock.now_s > 1000 + b.profile.service.grace_s


def test_slow_scan_goes_on_while_the_detector_acquires(bench):
    b = bench(n_positions=3)
    run = b.play(frames([1]), b.waits(500), frames([2]), b.waits(500), frames([3]))
    assert run.state is RunState.COMPLETE


def test_a_detector_that_goes_on_does_not_hold_up_a_full_run(bench):
    b = bench(n_positions=2)
    run = b.play(frames([1]), b.exposed(50), frames([2]))
    assert (run.state, run.status().end_reason) == (RunState.COMPLETE, EndReason.BEYOND_PLAN)
    assert run.message == "2 of 2 frames stored in 2 rows, 48 beyond the number expected, ignored"
    assert run.status().account.unexpected == 48
    assert b.clock.now_s < 1000 + b.profile.service.drain_s


def test_counter_that_does_not_answer_does_not_hold_up_the_end(bench):
    b = bench(n_positions=5)

    def lost() -> None:
        b.detector.shown = None

    run = b.play(frames([1, 3]), lost, b.stop)
    assert run.state is RunState.INCOMPLETE
    assert b.statuses() == {
        1: FrameStatus.STORED,
        2: FrameStatus.LOST,
        3: FrameStatus.STORED,
        4: FrameStatus.NOT_EXPOSED,
        5: FrameStatus.NOT_EXPOSED,
    }


def test_abort_keeps_the_rows_so_far(bench):
    b = bench(n_positions=5)
    run = b.play(frames([1, 2]), b.settles(), b.run.abort, frames([3]))
    assert (run.state, run.status().end_reason) == (RunState.ABORTED, EndReason.ABORTED)
    assert b.rows() == [1, 2]
    with b.file() as file:
        assert file[STATE][()].decode() == "ABORTED"


def test_abort_before_the_first_frame_leaves_no_file(bench):
    b = bench(n_positions=5)
    run = b.play(b.run.abort)
    assert run.state is RunState.ABORTED
    assert not run.setup.path.exists() and run.status().file == ""


def test_stop_before_the_first_frame_leaves_no_file(bench):
    b = bench(n_positions=5)
    run = b.play(b.stop)
    assert run.state is RunState.INCOMPLETE
    assert "no frame came" in run.message
    assert not run.setup.path.exists()


def test_full_disk_ends_the_run_with_its_file_closed(bench, monkeypatch):
    b = bench(n_positions=20)

    def fill_the_disk() -> None:
        monkeypatch.setattr(GuardedFile, "reserve", refuse)

    def refuse(file: GuardedFile, n_bytes: int) -> None:
        raise NoRoomError(errno.ENOSPC, 4096, n_bytes)

    run = b.play(
        frames([1, 2]),
        b.settles(),
        b.file_is_written,
        fill_the_disk,
        frames([3, 4]),
        b.exposed(6),
        b.settles(),
        frames([5]),
    )
    assert (run.state, run.status().end_reason) == (RunState.FAILED, EndReason.FAILED)
    assert "the disk is full" in run.message
    assert "2 of 20 frames stored in 2 rows, 4 lost, 14 never exposed (missing ids: 3-6)" in run.message
    assert b.rows() == [1, 2]
    with b.file() as file:
        assert file[STATE][()].decode() == "FAILED"
        assert file[MESSAGE][()].decode() == run.message
        counts = {
            name: int(file[f"/entry/ledger/{name}"][()]) for name in ("expected", "stored", "lost", "not_exposed")
        }
    assert counts == {"expected": 20, "stored": 2, "lost": 4, "not_exposed": 14}, "what never reached the disk is lost"


def test_disk_with_no_room_for_verdicts_takes_the_rows(bench, monkeypatch):
    b = bench(n_positions=2)
    write = StandardFile.write_verdicts

    def full_disk(file: StandardFile, first: int, verdicts: Any) -> bool:
        with monkeypatch.context() as patch:
            patch.setattr(GuardedFile, "reserve", refuse)
            return write(file, first, verdicts)

    def refuse(file: GuardedFile, n_bytes: int) -> None:
        raise NoRoomError(errno.ENOSPC, 4096, n_bytes)

    monkeypatch.setattr(StandardFile, "write_verdicts", full_disk)
    run = b.play(frames([1, 2]), b.settles())
    assert run.state is RunState.COMPLETE
    assert run.message.count("the disk had no room for verdicts") == 1
    assert b.rows() == [1, 2]
    with b.file() as file:
        assert file[STATE][()].decode() == "COMPLETE"
        assert len(file["/entry/qc/score"]) == 0


def test_full_disk_is_told_once_however_many_blocks_were_on_their_way(bench, monkeypatch):
    """Those behind the one that failed fail by that, and what readers can see is stored in the account."""
    b = bench(n_positions=400)
    append, fill = StandardFile.append, RowPipeline._fill

    def full_disk(file: StandardFile, block: RowBlock) -> None:
        if file.n_rows:  # the first block is written
            monkeypatch.setattr(GuardedFile, "reserve", refuse)
        append(file, block)

    def refuse(file: GuardedFile, n_bytes: int) -> None:
        raise NoRoomError(errno.ENOSPC, 4096, n_bytes)

    def slow(pipeline: RowPipeline, *args: Any) -> None:
        assert all(posted.flushed.wait(HANG_S) for posted in pipeline._blocks._posted), (
            "the disk is faster than the run"
        )
        fill(pipeline, *args)

    monkeypatch.setattr(StandardFile, "append", full_disk)
    monkeypatch.setattr(RowPipeline, "_fill", slow)
    monkeypatch.setattr(run_rows, "FLUSH_S", math.inf)  # so that nothing but blocks is on its way
    run = b.play([frame(n) for n in range(1, 301)], b.exposed(300), b.settles(), b.settles())
    assert run.state is RunState.FAILED
    assert run.message.count("could not write rows") == 1
    n_rows = len(b.rows())
    assert f"{n_rows} of 400 frames stored in {n_rows} rows, {300 - n_rows} lost" in run.message
    assert n_rows == run.status().account.stored > 0
    assert run.n_scanned == n_rows, "the sinks have what readers can see"


def test_write_that_hdf5_could_not_do_ends_the_run_and_leaves_the_rows_so_far(bench, monkeypatch):
    b = bench(n_positions=20)
    write = GrowingColumn.write_chunks

    def full_disk(column: GrowingColumn, start: int, block: Any) -> None:
        if start >= 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(column, start, block)

    monkeypatch.setattr(GrowingColumn, "write_chunks", full_disk)
    run = b.play(frames([1, 2]), b.settles(), frames([3, 4]), b.exposed(6), b.settles(), frames([5]))
    assert (run.state, run.status().end_reason) == (RunState.FAILED, EndReason.FAILED)
    assert "the disk is full" in run.message
    with h5py.File(run.setup.path, "r", swmr=True) as file:
        assert np.count_nonzero(file["/entry/live/key_data"][()]) == 2
        assert file["/entry/frames/unique_id"][:2, 0].tolist() == [1, 2]
        assert file[STATE][()].decode() == "FAILED"
        assert file[MESSAGE][()].decode() == run.message
        counts = {
            name: int(file[f"/entry/ledger/{name}"][()]) for name in ("expected", "stored", "lost", "not_exposed")
        }
    assert counts == {"expected": 20, "stored": 2, "lost": 4, "not_exposed": 14}


def test_defect_ends_the_run_as_failed_and_says_so(bench):
    b = bench(n_positions=5)

    def defect() -> None:
        raise ZeroDivisionError("a defect")

    run = b.play(frames([1, 2]), b.settles(), defect)
    assert run.state is RunState.FAILED
    assert "ZeroDivisionError: a defect" in run.message
    assert b.rows() == [1, 2]


DEFECT = "a defect of the service, ZeroDivisionError: a defect"


def defect(*_: Any, **__: Any) -> Any:
    raise ZeroDivisionError("a defect")


def break_call(out: RunFile, where: str) -> None:
    """Let a call on a part of the run's file raise."""
    part, name = where.split(".")
    if part == "file":
        out.file.call(lambda file: setattr(file, name, defect))
    else:
        setattr(getattr(out, part), name, defect)


@pytest.mark.further(but=5)
@pytest.mark.parametrize(
    "where",
    [
        "pipeline.finish",
        "pipeline.drain",
        "pipeline.notes",
        "file.write_ledger",
        "file.set_clock_offsets",
        "file.set_state",
        "file.close",
        "ledger.close",
    ],
)
@pytest.mark.parametrize("end", ["stop", "abort"])
def test_defect_on_the_way_to_the_end_leaves_a_failed_run_that_says_so(bench, end, where):
    b = bench(n_positions=5)

    run = b.play(
        frames([1, 2]), b.settles(), lambda: break_call(b.run.out, where), b.run.abort if end == "abort" else b.stop
    )
    assert run.state is RunState.FAILED
    assert DEFECT in run.message
    assert b.sources.queue.is_closed and b.sources.readbacks.is_closed
    if where != "file.close":
        assert b.rows() == [1, 2]
        with h5py.File(run.setup.path, "r+"):
            pass


def test_defects_that_follow_a_failure_do_not_hide_it(bench):
    b = bench(n_positions=5)

    def breaks() -> None:
        assert b.run.out is not None
        for where in ("pipeline.release", "ledger.close", "file.close"):
            break_call(b.run.out, where)
        raise SourceError("the stage has gone")

    run = b.play(frames([1, 2]), b.settles(), breaks)
    assert run.state is RunState.FAILED
    assert run.message.startswith(f"the stage has gone; {DEFECT}; {DEFECT}")
    assert b.sources.queue.is_closed and b.sources.readbacks.is_closed


def test_source_that_gives_up_ends_the_run_as_failed(bench):
    b = bench(n_positions=5)

    def gone() -> list[Any]:
        raise SourceError("the thread that confirms readbacks has died")

    def dies() -> None:
        b.sources.readbacks.take = gone

    run = b.play(frames([1, 2]), dies, frames([3]))
    assert run.state is RunState.FAILED
    assert "has died" in run.message


@pytest.mark.parametrize("n_positions", [3, None])
def test_armed_run_that_sees_no_frame_is_incomplete_and_says_why(bench, n_positions):
    b = bench(n_positions=n_positions)
    run = b.play(b.waits(b.profile.service.armed_timeout_s - 1), b.waits(2))
    assert (run.state, run.status().end_reason) == (RunState.INCOMPLETE, EndReason.NOT_BEGUN)
    assert "no frame came, so there is no file" in run.message and not b.run.setup.path.exists()
