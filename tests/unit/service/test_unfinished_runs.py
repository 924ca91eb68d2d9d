"""Runs that a killed service has left behind: what cannot go on is told, and the service serves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from scripted_run import profile_for

from stream_service.core.stream import Begin
from stream_service.run.live.live_journal import LiveJournal, journal_folder
from stream_service.service.unfinished_runs import UnfinishedRuns
from stream_service.settings.request import ScanRequest
from stream_service.settings.service_status import NO_RUN, Severity


def left_behind(folder: Path, scan_id: str) -> Path:
    """The journal of a run."""
    journal = LiveJournal(profile_for(folder), ScanRequest(scan_id=scan_id, n_positions=10))
    journal.armed(Begin(first_unique_id=1))
    journal.numbered(1)
    (path,) = journal_folder(profile_for(folder)).glob(f"{scan_id}-*.jsonl")
    return path


def found(folder: Path) -> UnfinishedRuns:
    def unused(*_: Any) -> Any:
        raise AssertionError("nothing is resumed")

    runs = UnfinishedRuns(profile_for(folder), unused, unused, unused)
    runs.find()
    return runs


def test_nothing_is_told_where_nothing_was_left(tmp_path: Path) -> None:
    assert found(tmp_path).no_run is NO_RUN
    left_behind(tmp_path, "one")
    runs = found(tmp_path)
    assert runs.is_working and runs.no_run is NO_RUN


@pytest.mark.parametrize("is_in_the_way", [False, True])
def test_journals_that_cannot_be_read_are_told_and_the_others_found(tmp_path: Path, is_in_the_way: bool) -> None:
    bad, worse, good = (left_behind(tmp_path, name) for name in ("bad", "worse", "good"))
    for path in (bad, worse):
        path.write_bytes(b"\0garbage\n")
    if is_in_the_way:  # it cannot get another name
        bad.with_name(f"{bad.name}.unreadable").mkdir()
    runs = found(tmp_path)
    assert runs.status is not None and runs.status.scan_id == "good"
    assert runs.no_run.severity is Severity.MAJOR
    assert str(bad) in runs.no_run.message and str(worse) in runs.no_run.message
    assert good.exists() and bad.exists() == is_in_the_way and not worse.exists()


def test_what_is_no_file_is_no_journal(tmp_path: Path) -> None:
    left_behind(tmp_path, "one")
    os.mkfifo(journal_folder(profile_for(tmp_path)) / "pipe-1.jsonl")
    (journal_folder(profile_for(tmp_path)) / "folder-2.jsonl").mkdir()
    runs = found(tmp_path)
    assert runs.no_run is NO_RUN and runs.status is not None and runs.status.scan_id == "one"
