"""The list of past runs, among files with whatever names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stream_service.web import past_runs
from stream_service.web.past_runs import MOST_RUNS, PastRuns


def test_file_whose_name_is_no_text_can_be_sent_to_a_viewer(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff_std.h5")).touch()
    (run,) = PastRuns().below(tmp_path)["runs"]
    assert run["scan_id"] == "bad\\udcff" and run["report"] == ""
    assert all(value.encode() for value in (run["scan_id"], run["file"], run["why"]))


def test_newest_of_many_are_listed_and_a_slow_disk_is_not_looked_through_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(MOST_RUNS + 10):
        path = tmp_path / f"scan{number}_std.h5"
        path.touch()
        os.utime(path, (number, number))
    listed = PastRuns().below(tmp_path)
    assert listed["is_whole"]
    newest = range(MOST_RUNS + 9, 9, -1)
    assert [run["file"] for run in listed["runs"]] == [f"scan{number}_std.h5" for number in newest]
    monkeypatch.setattr(past_runs, "LONGEST_WALK_S", 0.0)
    listed = PastRuns().below(tmp_path)
    assert not listed["is_whole"] and 0 < len(listed["runs"]) < MOST_RUNS
