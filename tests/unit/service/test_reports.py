"""Reports of runs that have ended: one after the other, never waited for, and given up when the service ends."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from limits import HANG_S
from reported_runs import write_run
from waiting import wait_until

from stream_service.cancellation import Cancellation
from stream_service.core.run import RunState
from stream_service.processes.limited import LimitedProcessError
from stream_service.service import reports
from stream_service.service.reports import RunReports, make_report
from stream_service.text.log_of_run import LoggedRun, RunOfRecord


class Maker:
    """Makes reports in the order in which they are let go."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.may_go = threading.Semaphore(0)

    def __call__(self, file: Path, cancellation: Cancellation) -> Path:
        self.begun.append(file.name)
        cancellation.wait_until(lambda: self.may_go.acquire(blocking=False), HANG_S)
        if "bad" in file.name:
            raise LimitedProcessError("it is damaged")
        return file.with_suffix(".html")


def files(folder: Path, *names: str) -> list[Path]:
    made = [folder / name for name in names]
    for file in made:
        file.touch()
    return made


def ended_run(file: Path, state: RunState = RunState.COMPLETE) -> Any:
    return SimpleNamespace(state=state, setup=SimpleNamespace(path=file), logged=LoggedRun(file.stem, 7))


def test_run_is_reported_once_and_not_before_its_end(tmp_path: Path) -> None:
    maker = Maker()
    made, (file,) = RunReports(maker), files(tmp_path, "one.h5")
    run = ended_run(file, RunState.RECEIVING)
    made.watch(run)
    made.look()
    assert not made.is_busy
    run.state = RunState.ABORTED
    made.look()
    made.look()
    maker.may_go.release()
    wait_until(lambda: not made.is_busy)
    assert maker.begun == ["one.h5"]
    assert made.newest == str(tmp_path / "one.html")
    made.close()


@pytest.mark.parametrize("name", ["good.h5", "bad.h5"])
def test_line_of_a_report_names_its_run(tmp_path: Path, caplog: Any, name: str) -> None:
    caplog.set_level(logging.INFO)
    maker = Maker()
    made, (file,) = RunReports(maker), files(tmp_path, name)
    made.watch(ended_run(file))
    with caplog.filtering(RunOfRecord()):
        made.look()
        maker.may_go.release()
        wait_until(lambda: not made.is_busy)
        made.close()
    assert [(record.scan_id, record.run) for record in caplog.records] == [(file.stem, 7)]


def test_reports_are_made_one_after_the_other_and_a_bad_one_is_told(tmp_path: Path, caplog: Any) -> None:
    maker = Maker()
    made = RunReports(maker)
    for file in files(tmp_path, "bad.h5", "good.h5"):
        made.add(file)
    wait_until(lambda: bool(maker.begun))
    assert maker.begun == ["bad.h5"]
    maker.may_go.release(2)
    wait_until(lambda: not made.is_busy)
    assert made.newest == str(tmp_path / "good.html")
    assert f"no report of {tmp_path / 'bad.h5'}: it is damaged" in caplog.text
    made.close()


def test_run_without_a_file_has_no_report_and_no_warning(tmp_path: Path, caplog: Any) -> None:
    made = RunReports(Maker())
    made.add(tmp_path / "none.h5")
    wait_until(lambda: not made.is_busy)
    assert (made.newest, caplog.text) == ("", "")
    made.close()


def test_end_of_the_service_gives_up_what_is_not_ready(tmp_path: Path, caplog: Any) -> None:
    maker = Maker()
    made = RunReports(maker)
    for file in files(tmp_path, "under_way.h5", "waits.h5"):
        made.add(file)
    wait_until(lambda: bool(maker.begun))
    made.close()
    assert (maker.begun, made.is_busy) == (["under_way.h5"], False)
    assert caplog.text.count("because the service ends") == 2


def test_too_many_that_wait_are_left_out_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    monkeypatch.setattr(reports, "MOST_WAITING", 2)
    maker = Maker()
    made = RunReports(maker)
    for file in files(tmp_path, "1.h5", "2.h5", "3.h5"):
        made.add(file)
    maker.may_go.release(3)
    wait_until(lambda: not made.is_busy)
    assert maker.begun == ["1.h5", "2.h5"]
    assert f"no report of {tmp_path / '3.h5'}" in caplog.text
    made.close()


def test_process_writes_the_report_and_says_why_it_cannot(tmp_path: Path, caplog: Any) -> None:
    caplog.set_level(logging.INFO)
    made = RunReports(make_report)
    mine = tmp_path / "mine_report.html"
    mine.write_text("mine")
    for name in ("scan_std.h5", "mine_std.h5"):
        made.add(write_run(tmp_path / name))
    wait_until(lambda: not made.is_busy)
    assert made.newest == str(tmp_path / "scan_report.html")
    assert "ptychostream report" in (tmp_path / "scan_report.html").read_text()
    assert "no report of a run: choose another" in caplog.text
    assert mine.read_text() == "mine"
    made.close()
