"""The journal of a run: what was written is read again, and whatever a file holds is an answer or a sentence."""

from __future__ import annotations

import errno
import json
import math
import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_run import Bench, frames, profile_for

from stream_service.core.clock import BEFORE_ALL_TIME
from stream_service.core.epoch import Epoch, Reached
from stream_service.core.run import EndReason, RunState
from stream_service.core.stream import Begin
from stream_service.errors import SourceError, WriteError
from stream_service.run.journal import FileBegin
from stream_service.run.live.journal_file import PLACE_BYTES, JournalFile
from stream_service.run.live.live_journal import LiveJournal, journal_folder
from stream_service.run.live.unfinished_run import MOST_BYTES, UnfinishedRun, unfinished_journals
from stream_service.settings.request import ScanRequest
from stream_service.settings.service_status import NO_RUN, Severity

BEGIN = Begin(first_unique_id=5, last_before=(4, 17), is_counted=True)
FILE_BEGIN = FileBegin((6, 8), np.dtype(">u2"), math.nan, 0.001, 12)
EPOCHS = [Epoch(5, 0, BEFORE_ALL_TIME, 0), Epoch(1, 7, 99, 1), Epoch(1, 9, 120, 2)]


def written(folder: Path, *, n_lines: int = 9) -> Path:
    """A journal with one line of each kind, or the first of them."""
    journal = LiveJournal(profile_for(folder), ScanRequest(scan_id="scan", n_positions=10))
    journal.armed(BEGIN)
    is_gap = np.zeros((6, 8), bool)
    is_gap[2, 3] = True
    steps = [
        lambda: journal.numbered(3),
        lambda: journal.began(FILE_BEGIN),
        lambda: journal.found_gaps(is_gap),
        lambda: journal.counted(0, EPOCHS[:2], 0),
        lambda: journal.counted(1, EPOCHS[1:], 9),
        lambda: journal.repeats([4, 4, 1]),
        lambda: journal.drains(EndReason.ALL_IN, 10),
    ]
    for step in steps[: n_lines - 1]:
        step()
    (path,) = unfinished_journals(profile_for(folder))
    return path


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    found = UnfinishedRun.read(written(tmp_path))
    assert found.scan_id == "scan" and found.number == 3
    assert found.armed.series.to_core() == BEGIN
    assert found.began is not None
    begin = found.began.to_begin()
    assert math.isnan(begin.energy_eV) and begin.dtype == np.dtype(">u2") and begin.raw_shape == (6, 8)
    assert found.is_gap is not None and np.argwhere(found.is_gap).tolist() == [[2, 3]]
    assert found.epochs == EPOCHS and found.n_announced == 9
    assert found.repeats == (4, 4, 1)
    assert found.drains is not None and (found.drains.reason, found.drains.n_exposed) == (EndReason.ALL_IN, 10)
    assert found.is_of(profile_for(tmp_path))
    other = profile_for(tmp_path)
    assert not found.is_of(other.model_copy(update={"beamline": "another"}))


def test_line_that_was_torn_counts_as_not_written(tmp_path: Path) -> None:
    path = written(tmp_path)
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for n_bytes in range(first, len(whole)):
        path.write_bytes(whole[:n_bytes])
        assert UnfinishedRun.read(path).scan_id == "scan"
    path.write_bytes(whole[: first - 1])
    with pytest.raises(SourceError, match="does not begin with the arming"):
        UnfinishedRun.read(path)


def test_run_that_goes_on_leaves_out_the_line_that_was_torn(tmp_path: Path) -> None:
    """A kill may cut a long line short; what a resumed run adds to it is read when that is killed, too."""
    path = written(tmp_path)
    n_whole = path.read_bytes().count(b"\n")
    with path.open("ab") as file:
        file.write(b'{"kind": "gaps", "bits": "eJzt')
    journal = LiveJournal.of(path, profile_for(tmp_path), UnfinishedRun.read(path).armed.request)
    journal.armed(BEGIN)
    journal.repeats([7])
    assert UnfinishedRun.read(path).repeats == (7,)
    assert path.read_bytes().count(b"\n") == n_whole + 2


@pytest.mark.parametrize("is_resumed", [False, True])
def test_run_that_is_armed_and_not_started_is_left_to_the_next_start_only_if_it_was_resumed(
    tmp_path: Path, is_resumed: bool
) -> None:
    profile = profile_for(tmp_path)
    journal = LiveJournal(profile, ScanRequest(scan_id="scan", n_positions=10))
    journal.armed(BEGIN)
    if is_resumed:
        journal = LiveJournal.of(unfinished_journals(profile)[0], profile, journal.request)
        journal.armed(BEGIN)
    journal.disarmed()
    assert len(unfinished_journals(profile)) == is_resumed


@given(st.binary(max_size=200), st.integers(0, 3000), st.integers(0, 3000))
def test_whatever_a_journal_holds_is_an_answer_or_a_sentence(tmp_path_factory, rubbish, start, length) -> None:
    folder = tmp_path_factory.mktemp("journal")
    path = written(folder)
    whole = path.read_bytes()
    path.write_bytes(whole[:start] + rubbish + whole[start + length :])
    try:
        UnfinishedRun.read(path)
    except SourceError as error:
        assert str(path) in str(error)


def changed(path: Path, kind: str, **fields: object) -> None:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        if line["kind"] == kind:
            line.update(fields)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("began", {"dtype": "O"}),
        ("began", {"dtype": "V9"}),
        ("began", {"raw_shape": [1 << 20, 1 << 20]}),
        ("gaps", {"bits": "AAAA"}),
        ("gaps", {"bits": "not base64"}),
        ("epochs", {"first": 7}),
        ("epochs", {"epochs": [[1, 1 << 62, 0, 0]]}),
        ("epochs", {"epochs": []}),
        ("armed", {"request": {"scan_id": "../../etc"}}),
        ("drains", {"reason": "because"}),
    ],
)
def test_line_that_cannot_be_meant_is_told(tmp_path: Path, kind: str, fields: dict[str, object]) -> None:
    path = written(tmp_path)
    changed(path, kind, **fields)
    with pytest.raises(SourceError, match="is not whole"):
        UnfinishedRun.read(path)


def test_journal_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = written(tmp_path)
    with path.open("r+b") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(SourceError, match="has more than"):
        UnfinishedRun.read(path)


@pytest.fixture
def small_journals(monkeypatch: pytest.MonkeyPatch) -> int:
    n_bytes = 1 << 16
    for module in ("journal_file", "live_journal", "unfinished_run"):
        monkeypatch.setattr(f"stream_service.run.live.{module}.MOST_BYTES", n_bytes)
    return n_bytes


def test_pixels_that_saturate_leave_the_journal_room_for_all_else(tmp_path: Path, small_journals: int) -> None:
    random = np.random.default_rng(1)
    journal = LiveJournal(profile_for(tmp_path), ScanRequest(scan_id="scan", n_positions=10))
    journal.armed(BEGIN)
    told = np.zeros((64, 64), bool)
    for _ in range(500):
        told |= (are_new := random.random((64, 64)) < 0.01)
        journal.saturated(are_new)
    journal.repeats([3])
    (path,) = unfinished_journals(profile_for(tmp_path))
    found = UnfinishedRun.read(path)
    assert (found.repeats, found.knows_saturated, journal.problem) == ((3,), False, "")
    assert found.is_saturated is not None and found.is_saturated.any() and not (found.is_saturated & ~told).any()
    assert path.stat().st_size < small_journals * 3 / 4


def test_journal_that_could_not_be_read_any_more_is_given_up_and_told(tmp_path: Path, small_journals: int) -> None:
    journal = LiveJournal(profile_for(tmp_path), ScanRequest(scan_id="scan", n_positions=10))
    journal.armed(BEGIN)
    for n in range(small_journals // 100):
        journal.repeats(range(n))
    assert f"it would have more than {small_journals} bytes" in journal.problem
    assert unfinished_journals(profile_for(tmp_path)) == []


def test_run_whose_journal_cannot_be_written_is_not_armed(tmp_path: Path) -> None:
    b = Bench(tmp_path, n_positions=3)
    journal_folder(b.profile).parent.write_text("a file is in the way")
    with pytest.raises(WriteError, match="write the journal of the run"):
        b.run.arm()
    assert b.run.state is RunState.IDLE and b.sources.queue.is_closed


def test_run_has_a_journal_until_it_has_ended(tmp_path: Path) -> None:
    b = Bench(tmp_path, n_positions=3)
    seen: list[UnfinishedRun] = []

    def look() -> None:
        (path,) = unfinished_journals(b.profile)
        seen.append(UnfinishedRun.read(path))

    b.play(look, frames([1]), b.settles(), look, frames([2, 3]), b.exposed(3), b.detector_stops)
    assert b.run.state is RunState.COMPLETE
    before, within = seen
    assert before.began is None and within.began is not None and within.knows_gaps and within.is_gap is None
    assert unfinished_journals(b.profile) == []


@pytest.mark.parametrize("notices", [False, True])
def test_run_that_ended_while_its_folder_was_away_does_not_go_on_when_that_is_back(
    tmp_path: Path, notices: bool
) -> None:
    profile = profile_for(tmp_path)
    journal, folder = LiveJournal(profile, ScanRequest(scan_id="scan", n_positions=10)), journal_folder(profile)
    journal.armed(BEGIN)
    journal.numbered(3)
    folder.rename(tmp_path / "away")
    if notices:
        journal.repeats([1])
        assert "could not be resumed" in journal.problem
    journal.ended(NO_RUN)
    (tmp_path / "away").rename(folder)
    (left,) = unfinished_journals(profile)
    ended = UnfinishedRun.read(left).ended
    assert ended is not None and ended.superseded == []


def test_run_goes_on_when_its_journal_is_lost_and_says_so(tmp_path: Path) -> None:
    b = Bench(tmp_path, n_positions=2)

    def lose() -> None:
        (path,) = unfinished_journals(b.profile)
        path.unlink()

    b.play(lose, frames([1, 2]), b.exposed(2), b.detector_stops)
    assert (b.run.state, b.run.severity) == (RunState.COMPLETE, Severity.MINOR)
    assert "the run could not be resumed after a crash of the service: " in b.run.message
    assert "No such file" in b.run.message and unfinished_journals(b.profile) == []


@pytest.mark.parametrize("name", ["add", "write_over"])
def test_disk_that_is_full_for_the_journal_is_told_while_the_run_goes_on(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody would find the run whole by that journal: it is removed."""

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    b = Bench(tmp_path, n_positions=3)
    said: list[str] = []

    def look() -> None:
        said.append(b.run.message)
        assert unfinished_journals(b.profile) == [] and b.run.severity is Severity.MINOR

    fails = partial(monkeypatch.setattr, JournalFile, name, fail)
    b.play(
        frames([1]),
        b.settles(),
        fails,
        lambda: b.run.setup.journal.numbered(2),
        frames([2]),
        b.settles(),
        look,
        frames([3]),
        b.exposed(3),
        b.detector_stops,
    )
    assert b.run.state is RunState.COMPLETE
    for message in (*said, b.run.message):
        assert "could not be resumed after a crash of the service" in message and "No space left" in message, message


def test_how_far_frames_have_come_is_written_over_in_its_place(tmp_path: Path) -> None:
    path = written(tmp_path)
    n_bytes = path.stat().st_size
    journal = LiveJournal.of(path, profile_for(tmp_path), UnfinishedRun.read(path).armed.request)
    journal.armed(BEGIN)
    for n in (1, 7, 2_000_000):
        reached = Reached(1, n, -(2**31), -(2**63))
        journal.reached(reached)
        assert UnfinishedRun.read(path).reached == reached
    journal.numbered(4)
    assert UnfinishedRun.read(path).number == 4 and path.stat().st_size < n_bytes + 2 * PLACE_BYTES


def test_journal_of_an_earlier_version_has_no_such_place(tmp_path: Path) -> None:
    path = written(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0].rstrip() + b"\n", *lines[2:]]))
    before = UnfinishedRun.read(path)
    journal = LiveJournal.of(path, profile_for(tmp_path), before.armed.request)
    journal.armed(BEGIN)
    journal.reached(Reached(0, 3, 7, 8))
    after = UnfinishedRun.read(path)
    assert before.reached is None and after.reached is None and after.epochs == EPOCHS
