"""The end of the last run before a service was killed: the next service tells it to whoever waits for it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from scripted_run import Bench, frames, profile_for

from stream_service.core.run import RunState
from stream_service.core.stream import Begin
from stream_service.errors import SourceError
from stream_service.run.live.last_run import NAME, read_last_run, write_last_run
from stream_service.run.live.live_journal import LiveJournal, journal_folder
from stream_service.run.live.resumed_setup import ResumedSetup
from stream_service.run.live.unfinished_run import UnfinishedRun, unfinished_journals
from stream_service.run.run import Run
from stream_service.service.unfinished_runs import UnfinishedRuns
from stream_service.settings.request import ScanRequest
from stream_service.settings.service_status import NO_RUN, RunStatus, Severity


def found(folder: Path) -> UnfinishedRuns:
    """What a service finds when it is started."""

    def unused(*_: Any) -> Any:
        raise AssertionError("nothing is resumed")

    runs = UnfinishedRuns(profile_for(folder), unused, unused, unused)
    runs.find()
    return runs


def ended(bench: Bench, look: Callable[[], None] = lambda: None) -> RunStatus:
    """How a run of three frames ends, which is the seventh of its service; `look` is called while it goes on."""
    bench.run.run_number = 7
    number = partial(bench.run.setup.journal.numbered, 7)
    run = bench.play(number, frames([1, 2]), bench.settles(), look, frames([3]), bench.exposed(3), bench.detector_stops)
    assert run.state is RunState.COMPLETE
    return run.status()


def test_service_that_is_started_again_shows_the_last_run_as_it_ended(tmp_path: Path) -> None:
    status = ended(Bench(tmp_path, n_positions=3))
    runs = found(tmp_path)
    assert repr(runs.no_run) == repr(status) and status.account.stored == 3
    assert (runs.highest_number, runs.is_working) == (7, False)


def test_end_is_told_by_the_file_if_the_service_was_killed_before_it_was_kept(tmp_path: Path) -> None:
    bench = Bench(tmp_path, n_positions=3)

    def keep() -> None:
        (journal,) = unfinished_journals(bench.profile)
        shutil.copy(journal, tmp_path / "kept")

    status = ended(bench, keep)
    folder = journal_folder(bench.profile)
    (folder / NAME).unlink()
    shutil.copy(tmp_path / "kept", folder / "scan-1.jsonl")
    unfinished = UnfinishedRun.read(folder / "scan-1.jsonl")
    again = Bench(tmp_path, n_positions=3)
    setup = ResumedSetup(again.profile, unfinished, again.sources)
    with pytest.raises(SourceError, match="is COMPLETE: it was closed when the service was killed"):
        Run(setup, again.sources, again.clock).arm()
    told = found(tmp_path).no_run
    names = ("run_number", "scan_id", "state", "file", "message", "end_reason", "rows", "rows_expected", "severity")
    assert [getattr(told, name) for name in names] == [getattr(status, name) for name in names]
    assert (told.account.stored, told.account.is_complete) == (3, True)


def test_what_does_not_go_on_is_told_beside_the_last_run(tmp_path: Path) -> None:
    status = ended(Bench(tmp_path, n_positions=3))
    broken = journal_folder(profile_for(tmp_path)) / "broken-1.jsonl"
    broken.write_bytes(b"garbage\n")
    told = found(tmp_path).no_run
    assert (told.state, told.run_number, told.severity) == (RunState.COMPLETE, 7, Severity.MAJOR)
    assert str(broken) in told.message and told.message.endswith(status.message)


@pytest.mark.parametrize("text", [b"", b"garbage", b"{}", b'{"run_number": 1}'])
def test_garbage_is_no_last_run(tmp_path: Path, text: bytes) -> None:
    folder = journal_folder(profile_for(tmp_path))
    folder.mkdir(parents=True)
    (folder / NAME).write_bytes(text)
    assert found(tmp_path).no_run is NO_RUN


def test_run_that_ends_after_a_later_one_is_not_the_last(tmp_path: Path) -> None:
    later = replace(NO_RUN, run_number=9, scan_id="later", state=RunState.COMPLETE)
    write_last_run(tmp_path, later)
    write_last_run(tmp_path, replace(later, run_number=8, scan_id="earlier"))
    assert repr(read_last_run(tmp_path)) == repr(later)  # NaN is not equal to itself


def test_run_that_was_never_armed_leaves_no_end(tmp_path: Path) -> None:
    journal = LiveJournal(profile_for(tmp_path), ScanRequest(scan_id="scan", n_positions=3))
    journal.armed(Begin(first_unique_id=1))
    journal.disarmed()
    assert list(journal_folder(profile_for(tmp_path)).iterdir()) == []
