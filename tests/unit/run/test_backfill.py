"""What the stream has lost is fetched from the raw file at the end of a run, and becomes rows as if it had come."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import corpus
import h5py
import numpy as np
import pytest
from scripted_run import Bench, frame, frames

from stream_service.core.frame import Frame
from stream_service.core.frame_status import FrameStatus
from stream_service.core.pairing.readback import Readback
from stream_service.core.run import EndReason, RunState
from stream_service.errors import SourceError
from stream_service.run.live.raw_file import OTHER_IDS, open_raw_file
from stream_service.sources.hdf5.raw_messages import RawState
from stream_service.standard_file import validate_file
from stream_service.testing.scripted_raw_file import ScriptedRawFile


@pytest.fixture
def bench(tmp_path: Path) -> Callable[..., Bench]:
    return lambda **request: Bench(tmp_path, **request)


def recorded(ids: Iterable[int], seconds: float = corpus.STAMP_S) -> list[Frame]:
    """The frames as the raw file has them: stamps and pixels as those of `frame`."""
    return [
        Frame(
            n,
            int(seconds * 1e9) + n * 1_000_000,
            np.full((6, 8), n & 0xFFFF, np.uint16),
            {"energy": 700.0},
            is_backfilled=True,
        )
        for n in ids
    ]


def beside(b: Bench, raw: ScriptedRawFile) -> ScriptedRawFile:
    """Let the run find this raw file."""
    b.run.setup.open_raw_file = lambda: raw  # type: ignore[method-assign]
    return raw


def columns_of(file: h5py.File, *names: str) -> list[list[int]]:
    return [file[f"/entry/frames/{name}"][()].tolist() for name in names]


def test_lost_frames_become_rows_that_say_where_they_came_from(bench):
    b = bench(n_positions=8)
    raw = beside(b, ScriptedRawFile(recorded(range(1, 9))))
    run = b.play(frames([2, 3, 5, 6]), b.exposed(8), b.stop)
    assert (run.state, run.status().end_reason) == (RunState.COMPLETE, EndReason.ALL_IN)
    assert run.message == "8 of 8 frames stored in 8 rows, 4 of them fetched from the raw file"
    assert raw.asked == [[1, 4, 7, 8]] and raw.is_closed
    assert sorted(b.rows()) == list(range(1, 9))
    fetched, stored = FrameStatus.BACKFILLED, FrameStatus.STORED
    assert b.statuses() == {n: fetched if n in (1, 4, 7, 8) else stored for n in range(1, 9)}
    with b.file() as file:
        ids, statuses = columns_of(file, "unique_id", "status")
        assert [status == [fetched] for status in statuses] == [unique_id[0] in (1, 4, 7, 8) for unique_id in ids]
        np.testing.assert_array_equal(file["/entry/data"][:, 0, 0], np.array(ids)[:, 0])
        np.testing.assert_allclose(file["/entry/pos"][:], [[-3e-6, 4e-6]] * 8, rtol=1e-12)
        assert set(file["/entry/frames/flags"][:]) == {0}
    assert [finding for finding in validate_file(run.setup.path) if finding.level == "error"] == []


def test_nothing_is_asked_for_where_nothing_is_missing(bench):
    b = bench(n_positions=3)
    raw = beside(b, ScriptedRawFile(recorded(range(1, 4))))
    assert b.play(frames([1, 2, 3])).state is RunState.COMPLETE
    assert raw.asked == []


def test_run_whose_last_frames_were_lost_does_not_wait_out_the_grace_time(bench):
    b = bench(n_positions=6)
    beside(b, ScriptedRawFile(recorded(range(1, 7))))
    before_s = b.clock.now_s
    run = b.play(frames([1, 2, 3]), b.exposed(6), b.detector_stops)
    assert (run.state, run.status().end_reason) == (RunState.COMPLETE, EndReason.ALL_IN)
    assert b.clock.now_s - before_s < 10


@pytest.mark.parametrize(
    ("request_", "shown"),
    [({"n_positions": 6}, 5), ({"n_positions": 6, "extra_frames": 2}, 6), ({"n_positions": 6}, None)],
)
def test_run_that_may_get_more_frames_waits_for_them(bench, request_, shown):
    """A step scan between two points, one whose repeats may come, and a detector that cannot be asked."""
    b = bench(**request_)
    before_s = b.clock.now_s
    run = b.play(frames([1, 2, 3]), b.exposed(shown), b.detector_stops)
    assert b.clock.now_s - before_s > 30
    assert run.state is RunState.INCOMPLETE


def test_missing_ids_and_what_was_fetched_are_shown(bench):
    b = bench(n_positions=6)
    beside(b, ScriptedRawFile(recorded([1, 2, 4])))
    status = b.play(frames([1, 4]), b.exposed(6), b.stop).status()
    assert (status.missing_ids, status.in_file, status.account.backfilled) == ("3, 5-6", 3, 1)


def test_groups_that_were_given_up_come_whole_and_those_that_are_open_are_filled(bench):
    b = bench(n_positions=9, frames_per_position=2)
    raw = beside(b, ScriptedRawFile(recorded(range(1, 19))))
    came = [n for n in range(1, 18) if n not in (2, 5, 6)]
    run = b.play(frames(came), b.exposed(18), b.stop)
    assert run.state is RunState.COMPLETE, run.message
    assert raw.asked == [[1, 2, 5, 6, 18]]
    with b.file() as file:
        ids = columns_of(file, "unique_id")[0]
        assert sorted(ids) == [[n, n + 1] for n in range(1, 19, 2)]
        np.testing.assert_array_equal(file["/entry/data"][:, 0, 0], np.sum(ids, axis=1))
        assert dict(zip(map(tuple, ids), columns_of(file, "status")[0], strict=True))[17, 18] == [1, 2]


@pytest.mark.parametrize("came", [[1], [1, 4], [2, 3]])
def test_frames_whose_groups_never_filled_show_whose_the_raw_file_is(bench, came):
    """All of them are let go, to come once more with the others of their group: none is held then."""
    b = bench(n_positions=2, frames_per_position=2)
    beside(b, ScriptedRawFile(recorded(range(1, 5))))
    run = b.play(frames(came), b.exposed(4), b.stop)
    assert run.state is RunState.COMPLETE, run.message
    assert sorted(b.rows()) == [1, 3]


def test_groups_are_fetched_some_at_a_time_and_those_that_do_not_fill_are_let_go(bench, monkeypatch):
    monkeypatch.setattr("stream_service.run.backfill.MOST_BYTES", 2 * 2 * 96)
    b = bench(n_positions=20, frames_per_position=2)
    raw = beside(b, ScriptedRawFile(recorded(n for n in range(1, 41) if n != 6)))
    run = b.play(frames(range(1, 41, 2)), b.exposed(40), b.stop)
    assert max(map(len, raw.asked)) == 4
    assert run.state is RunState.INCOMPLETE
    lost, incomplete = FrameStatus.LOST, FrameStatus.INCOMPLETE
    assert {n: status for n, status in b.statuses().items() if status in (lost, incomplete)} == {5: incomplete, 6: lost}
    assert "1 lost, 1 in groups that never filled (missing ids: 5-6)" in run.message
    assert len(b.rows()) == 19


def test_file_that_grows_is_asked_again_until_all_is_there(bench):
    b = bench(n_positions=6)

    def grow(n: int) -> None:
        raw.frames = recorded(range(1, 3 * n + 1))

    raw = beside(b, ScriptedRawFile([], RawState.GROWING, on_ask=grow))
    run = b.play(frames([1, 3, 4]), b.exposed(6), b.stop)
    assert run.state is RunState.COMPLETE
    assert raw.asked == [[2, 5, 6], [5, 6]]


@pytest.mark.parametrize("state", [RawState.NOT_THERE, RawState.GROWING, RawState.BEING_WRITTEN])
def test_file_that_does_not_close_is_waited_for_so_long_and_no_longer(bench, state):
    b = bench(n_positions=3)
    raw = beside(b, ScriptedRawFile([], state))
    before_s = b.clock.now_s
    run = b.play(frames([1, 3]), b.exposed(3), b.stop)
    assert (run.state, b.statuses()[2]) == (RunState.INCOMPLETE, FrameStatus.LOST)
    assert 30 < b.clock.now_s - before_s < 40 and 25 < len(raw.asked) < 35
    said = "/data/scan_raw.h5 is not closed, and nothing more of this run comes into it; waited 30 s for it"
    assert f"(missing ids: 2); {said}" in run.message


@pytest.mark.parametrize("has_some", [True, False])
def test_file_that_grows_by_what_is_of_other_runs_is_not_waited_for_all_day(bench, has_some):
    """One file for many scans: it has all of this run but the frame that its writer lost, and the next ones follow."""
    b = bench(n_positions=3)

    def grow(n: int) -> None:
        own = [2] if n < 20 else [2, 3]
        raw.frames = recorded([*(own if has_some or n >= 20 else ()), *range(101, 101 + n)])
        if n > 200:
            b.run.abort()

    raw = beside(b, ScriptedRawFile([], RawState.GROWING, on_ask=grow))
    run = b.play(frames([2]), b.exposed(3), b.stop)
    assert (run.state, b.statuses()[1]) == (RunState.INCOMPLETE, FrameStatus.LOST)
    assert 45 < len(raw.asked) < 60
    assert "2 of 3 frames stored" in run.message and "nothing more of this run comes into it" in run.message


@pytest.mark.further
def test_file_that_grows_for_ever_and_has_nothing_of_the_run_is_given_up(bench):
    """That of another detector, or of a capture that somebody forgot."""
    b = bench(n_positions=3)

    def grow(n: int) -> None:
        raw.frames = recorded(range(101, 101 + n))
        if n > 1000:
            b.run.abort()

    raw = beside(b, ScriptedRawFile([], RawState.GROWING, on_ask=grow))
    run = b.play(frames([2]), b.exposed(3), b.stop)
    assert (run.state, len(raw.asked) < 500) == (RunState.INCOMPLETE, True)
    assert "nothing more of this run comes into it" in run.message


def test_group_that_does_not_fill_is_fetched_in_each_round_and_is_no_growth_of_the_file(bench):
    """The detector has stopped within a group, and nobody has closed the file."""
    b = bench(n_positions=3, frames_per_position=3)

    def count(n: int) -> None:
        if n > 200:
            b.run.abort()

    raw = beside(b, ScriptedRawFile(recorded(range(1, 9)), RawState.GROWING, on_ask=count))
    run = b.play(frames([1, 2, 3, 4, 6, 7, 8]), b.exposed(8), b.stop)
    assert (run.state, len(raw.asked) < 60) == (RunState.INCOMPLETE, True)
    assert [b.statuses()[n] for n in (7, 8, 9)] == [FrameStatus.INCOMPLETE] * 2 + [FrameStatus.NOT_EXPOSED]


def test_file_whose_reader_was_ended_by_someone_else_is_asked_again(bench):
    b = bench(n_positions=3)

    def happen(n: int) -> None:
        raw.state = RawState.INTERRUPTED if n < 3 else RawState.CLOSED

    raw = beside(b, ScriptedRawFile(recorded([1, 2, 3]), on_ask=happen))
    run = b.play(frames([1, 3]), b.exposed(3), b.stop)
    assert run.state is RunState.COMPLETE and len(raw.asked) == 3


@pytest.mark.parametrize("state", [RawState.OTHER_SCAN, RawState.UNREADABLE])
def test_file_that_cannot_be_used_fails_no_run(bench, state):
    b = bench(n_positions=3)
    raw = beside(b, ScriptedRawFile(recorded([1, 2, 3]), state, "it is of no use"))
    run = b.play(frames([1, 3]), b.exposed(3), b.stop)
    assert run.state is RunState.INCOMPLETE
    assert run.message == "2 of 3 frames stored in 2 rows, 1 lost (missing ids: 2); it is of no use"
    assert len(raw.asked) == 1


def test_abort_ends_the_fetching_at_once_and_stop_does_not(bench):
    b = bench(n_positions=3)
    said = []

    def happen(n: int) -> None:
        b.run.stop()
        said.append(b.run.message)
        if n == 3:
            b.run.abort()

    raw = beside(b, ScriptedRawFile([], RawState.GROWING, on_ask=happen))
    run = b.play(frames([1, 3]), b.exposed(3), b.stop)
    assert (run.state, len(raw.asked), raw.is_closed) == (RunState.ABORTED, 3, True)
    assert said[-1].startswith("fetching 1 lost frame from /data/scan_raw.h5")


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (RawState.NOT_THERE, "; it is not there yet"),
        (RawState.BEING_WRITTEN, "; it can be read once it is closed"),
        (RawState.GROWING, ""),
    ],
)
def test_what_is_waited_for_is_told(bench, state, words):
    b = bench(n_positions=3)
    said = []

    def happen(n: int) -> None:
        said.append(b.run.message)
        if n == 3:
            b.run.abort()

    beside(b, ScriptedRawFile([], state, on_ask=happen))
    b.play(frames([1, 3]), b.exposed(3), b.stop)
    assert said[-1].startswith(f"fetching 1 lost frame from /data/scan_raw.h5{words}"), said
    assert ("; it" in said[-1]) == bool(words)


def test_frames_of_other_runs_and_duplicates_in_the_file_are_not_taken(bench):
    """Ids begin anew with every scan: the file may have today's and yesterday's, and what came is in it, too."""
    b = bench(n_positions=4)
    yesterday, again = recorded([2, 4], corpus.STAMP_S - 86_400), recorded([2, 4], corpus.STAMP_S + 1)
    raw = beside(b, ScriptedRawFile(yesterday + recorded(range(1, 5)) + again))
    received = [corpus.good(n, pixels=np.full((6, 8), n, np.uint16)) for n in (1, 3)]
    b.run.arm()
    run = b.run
    run._intake.begins_ns = int((corpus.STAMP_S - 100) * 1e9)
    b.frames.script = [[received[0]], [received[1]], b.exposed(4), b.stop]
    run.work()
    assert run.state is RunState.COMPLETE and run.status().account.duplicates == 0
    with b.file() as file:
        ids, stamps = columns_of(file, "unique_id", "timestamp_ns")
        assert all(stamp[0] == corpus.STAMP_S * 10**9 + n[0] * 10**6 for n, stamp in zip(ids, stamps, strict=True))
    assert raw.asked == [[2, 4]]


def test_ids_that_are_there_twice_find_their_epochs(bench):
    b = bench(n_positions=10)
    first, second = recorded(range(1, 6)), recorded(range(1, 6), corpus.STAMP_S + 1)
    beside(b, ScriptedRawFile(first + second))
    later = iter([[frame(n, seconds=corpus.STAMP_S + 1)] for n in (1, 2, 4, 5)])
    run = b.play(frames([1, 2, 4, 5]), later, b.exposed(5), b.stop)
    assert run.state is RunState.COMPLETE, run.message
    with b.file() as file:
        found = list(zip(*columns_of(file, "epoch", "unique_id", "timestamp_ns"), strict=True))
    assert len(found) == 10
    for (epoch,), (unique_id,), (stamp_ns,) in found:
        assert stamp_ns == (corpus.STAMP_S + epoch) * 10**9 + unique_id * 10**6


def test_late_copy_of_a_fetched_frame_is_a_duplicate(bench):
    b = bench(n_positions=4)
    raw = beside(b, ScriptedRawFile(recorded([1, 2]), RawState.GROWING))

    def late(n: int) -> None:
        if n == 2:
            b.frames.queue._script = iter([[frame(2)]])
            raw.frames, raw.state = recorded(range(1, 5)), RawState.CLOSED

    raw.on_ask = late
    run = b.play(frames([1, 3]), b.exposed(4), b.stop)
    assert run.state is RunState.COMPLETE
    assert run.status().account.duplicates == 1 and sorted(b.rows()) == [1, 2, 3, 4]


def test_rows_whose_readbacks_came_late_are_put_right_by_later_rows(bench):
    """The PV of x says nothing for a time, until frames must leave; then it tells where the stage has been."""
    b = bench(n_positions=4)
    readbacks = b.sources.readbacks
    later_s = corpus.STAMP_S + 10.0
    moved_ns = int((later_s - 1) * 1e9)

    def stall() -> None:
        readbacks.dead = {"x", "x_moving"}

    def tell() -> None:
        readbacks.dead = set()
        readbacks.events += [Readback("x_moving", 1.0, moved_ns), Readback("x", 7.0, moved_ns + 10**6)]
        readbacks.events.append(Readback("x_moving", 0.0, moved_ns + 10**6))

    second, third, last = ([frame(n, seconds=later_s)] for n in (2, 3, 4))
    held_up = [second, third, b.waits(6.0), b.waits(0.2), tell, last]
    run = b.play([frame(1)], b.settles(), stall, b.waits(10.0), *held_up)
    assert run.state is RunState.COMPLETE, run.message
    with b.file() as file:
        ids, replaces = columns_of(file, "unique_id", "replaces")
        assert ids == [[1], [2], [3], [4], [2], [3]] and replaces == [-1] * 4 + [1, 2]
        assert file["/entry/keep"][()].tolist() == [1, 0, 0, 1, 1, 1]
        np.testing.assert_allclose(file["/entry/posx_m"][()][[0, 3, 4, 5]], [-3e-6, -7e-6, -7e-6, -7e-6], rtol=1e-12)
        assert (file["/entry/frames/flags"][()][[0, 3, 4, 5]] == 0).all()
        np.testing.assert_array_equal(file["/entry/data"][:, 0, 0], np.array(ids)[:, 0])
        np.testing.assert_array_equal(
            file["/entry/qc/features/intensity"][4:], file["/entry/qc/features/intensity"][1:3]
        )
    assert "2 rows put right by later rows, since readbacks came late" in run.message
    assert [finding for finding in validate_file(run.setup.path) if finding.level == "error"] == []


@pytest.mark.parametrize("state", [RawState.CLOSED, RawState.GROWING])
def test_frame_of_another_shape_in_the_file_is_refused(bench, state):
    b = bench(n_positions=3)
    wrong = [replace(raw, pixels=np.zeros((4, 4), np.uint16)) for raw in recorded([2])]
    beside(b, ScriptedRawFile([*recorded([1]), *wrong, *recorded([3])], state))
    run = b.play(frames([1, 3]), b.exposed(3), b.stop)
    assert (run.state, b.statuses()[2]) == (RunState.INCOMPLETE, FrameStatus.LOST)
    assert "in the raw file frame 2 is (4, 4) uint16" in run.message
    assert run.status().bad_messages == 1, "however often it is fetched"


def test_series_of_a_control_unit_are_not_looked_for(tmp_path):
    b = Bench(tmp_path, n_positions=1)
    detector = b.profile.detector
    frames = detector.frames.model_validate({"simplon": "tcp://127.0.0.1:9999"})
    profile = b.profile.model_copy(update={"detector": detector.model_copy(update={"frames": frames})})
    with pytest.raises(SourceError) as said:
        open_raw_file(profile, ["/data/raw.h5"])
    assert str(said.value) == OTHER_IDS.format(transport="SIMPLON")


@pytest.mark.parametrize("n_lost", [0, 2])
def test_frames_after_a_reset_of_which_none_came_are_fetched(bench, n_lost):
    """The counter is behind and stays there; two frames of the old counting were lost just before it was reset."""
    b = bench(n_positions=9 + n_lost)
    old, new = recorded(range(1, 6 + n_lost)), recorded(range(1, 5), corpus.STAMP_S + 1)
    raw = beside(b, ScriptedRawFile(old + new))
    run = b.play(frames([1, 2, 4, 5]), b.exposed(4), b.stop)
    assert run.state is RunState.COMPLETE, run.message
    assert raw.asked[0][:4] == [1, 2, 3, 4]
    with b.file() as file:
        found = list(zip(*columns_of(file, "epoch", "unique_id", "timestamp_ns"), strict=True))
    assert len(found) == 9 + n_lost
    for (epoch,), (unique_id,), (stamp_ns,) in found:
        assert stamp_ns == (corpus.STAMP_S + epoch) * 10**9 + unique_id * 10**6


def test_frames_after_a_reset_of_which_none_came_are_lost_where_there_is_no_raw_file(bench):
    b = bench(n_positions=12)
    run = b.play(frames(range(1, 6)), b.exposed(4), b.stop)
    assert run.message.startswith(
        "5 of 12 frames stored in 5 rows, 4 lost, 3 never exposed, or lost just before the detector's counter was "
        "reset (missing ids: 1:1-4)"
    ), run.message
