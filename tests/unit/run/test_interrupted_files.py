"""The interrupted files of a run that goes on: those of another run of the same name stay what they are."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scripted_run import profile_for

from stream_service.core.stream import Begin
from stream_service.errors import SourceError, WriteError
from stream_service.run.journal import FileBegin
from stream_service.run.live.live_journal import LiveJournal
from stream_service.run.live.resumed_setup import ResumedSetup
from stream_service.run.live.run_trial import LEAST_FREE_BYTES
from stream_service.run.live.unfinished_run import UnfinishedRun, unfinished_journals
from stream_service.settings.request import ScanRequest

BEGAN_NS = 1_000


def unfinished(folder: Path, *, has_begun: bool = True) -> UnfinishedRun:
    journal = LiveJournal(profile_for(folder), ScanRequest(scan_id="scan", n_positions=10))
    journal.armed(Begin(first_unique_id=1))
    journal.numbered(1)
    if has_begun:
        journal.began(FileBegin((6, 8), np.dtype(np.uint16), 700.0, 0.001, BEGAN_NS))
    return UnfinishedRun.read(unfinished_journals(profile_for(folder))[0])


ROW = np.dtype([("epoch", np.int32, (1,)), ("unique_id", np.int64, (1,))])


def interrupted(path: Path, begin_ns: int, n_rows: int, state: str = "RECEIVING", first_id: int | None = None) -> Any:
    rows = np.zeros(n_rows, ROW)
    rows["unique_id"][:, 0] = np.arange(n_rows) + (1000 * sum(path.name.encode()) if first_id is None else first_id)
    return SimpleNamespace(
        path=path,
        n_announced=max(n_rows, 2),
        start_timestamp_ns=begin_ns,
        state=state,
        rows=rows,
        frame_shape=(6, 8),
        readbacks={},
        pixel_mask=None,
        close=lambda: None,
    )


def taken(folder: Path, run: UnfinishedRun, *left: tuple[Any, ...]) -> tuple[list[str], tuple[str, ...]]:
    """Names of the files that are taken and what is said, where these were left: begin, rows and state of each."""
    files = {f"scan_std_interrupted_{number}.h5": one for number, one in enumerate(left, 1)}
    names = [*files][:-1]
    if files:
        names.append("scan_std.h5")
        files["scan_std.h5"] = left[-1]
    setup = ResumedSetup(
        profile_for(folder),
        run,
        SimpleNamespace(),  # type: ignore[arg-type]
        open_interrupted=lambda path, _: interrupted(path, *files[path.name]),
    )
    for name in names:
        (folder / name).touch()
    past = setup.past()
    past.close()
    return [file.path.stem.removeprefix("scan_std_interrupted_") for file in past.interrupted], past.notes


def test_files_of_the_run_are_taken(tmp_path: Path) -> None:
    names, notes = taken(tmp_path, unfinished(tmp_path), (BEGAN_NS, 2), (0, 3), (BEGAN_NS, 4))
    assert names == ["1", "2", "3"]
    assert notes == ("the service was started again, and goes on with 9 rows of before",)


def test_rows_that_were_salvaged_before_the_next_kill_count_once(tmp_path: Path) -> None:
    left = [(BEGAN_NS, n_rows, "RECEIVING", 1) for n_rows in (5, 2, 3)]
    names, notes = taken(tmp_path, unfinished(tmp_path), *left)
    assert names == ["1", "2", "3"] and notes[0].endswith("goes on with 5 rows of before")


def test_rows_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    names, notes = taken(tmp_path, unfinished(tmp_path), (BEGAN_NS, 1), (BEGAN_NS, 0))
    assert names == ["1", "2"]
    assert notes[1] == "3 rows of before cannot be read: the file is damaged, or was cut short"


def test_file_that_is_gone_is_told(tmp_path: Path) -> None:
    names, notes = taken(tmp_path, unfinished(tmp_path))
    assert not names and notes[1] == f"its file {tmp_path / 'scan_std.h5'} was not there any more"


def test_file_of_another_run_of_the_same_name_is_left_and_told(tmp_path: Path) -> None:
    """Its ids may be those of this run, its frames are not."""
    names, notes = taken(tmp_path, unfinished(tmp_path), (77, 2), (BEGAN_NS, 3))
    assert names == ["2"]
    assert "goes on with 3 rows" in notes[0] and "scan_std_interrupted_1.h5 is of another run of this name" in notes[1]


@pytest.mark.parametrize("state", ["RECEIVING", "COMPLETE"])
@pytest.mark.parametrize("has_begun", [True, False])
def test_file_of_another_run_that_has_the_name_by_now_stays_as_it_is(tmp_path, state: str, has_begun: bool) -> None:
    """A service with another prefix writes it, or has written it: it must not lose its file. The rows of this run stay
    where they are."""
    left = (BEGAN_NS, 2) if has_begun else (BEGAN_NS, 0)
    with pytest.raises(
        SourceError, match=r"scan_std\.h5 is of another run of this name.*in scan_std_interrupted_1\.h5"
    ):
        taken(tmp_path, unfinished(tmp_path, has_begun=has_begun), left, (77, 3, state))
    assert sorted(path.name for path in tmp_path.glob("*.h5")) == ["scan_std.h5", "scan_std_interrupted_1.h5"]
    assert unfinished_journals(profile_for(tmp_path)) == []


def test_run_whose_rows_have_no_room_waits_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is given up: the journal and the rows are there for the next try."""
    n_rows = 10**6
    free = SimpleNamespace(f_bavail=LEAST_FREE_BYTES + 4 * 6 * 8 * n_rows - 1, f_frsize=1)
    monkeypatch.setattr(os, "statvfs", lambda path: free)
    run = unfinished(tmp_path)
    with pytest.raises(WriteError, match="make room"):
        taken(tmp_path, run, (BEGAN_NS, n_rows))
    free.f_bavail += 1
    (tmp_path / "scan_std_interrupted_1.h5").unlink()
    assert taken(tmp_path, run, (BEGAN_NS, n_rows))[0] == ["1"]


def test_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    run, folder = unfinished(tmp_path), tmp_path / "data"
    setup = ResumedSetup(profile_for(folder), run, SimpleNamespace())  # type: ignore[arg-type]
    with pytest.raises(WriteError, match="data cannot be written to: No such file"):
        setup.past()


def test_run_without_a_frame_has_no_file(tmp_path: Path) -> None:
    assert taken(tmp_path, unfinished(tmp_path, has_begun=False), (77, 2), (BEGAN_NS, 0))[0] == ["2"]
