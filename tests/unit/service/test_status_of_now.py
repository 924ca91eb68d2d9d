"""What is watched beside the runs of a service: a look that fails or hangs is told, and nobody waits for it."""

from __future__ import annotations

import threading
import time
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from limits import HANG_S

from stream_service.core.row import RowBlock
from stream_service.service import data_disk
from stream_service.service.row_latencies import RowLatencies
from stream_service.service.status_of_now import SILENT_S, StatusOfNow
from stream_service.service.watched import Watched
from stream_service.settings.service_status import NO_RUN, Latencies, ServiceStatus, Severity


def looked(n_looks: int, what: Any) -> Any:
    """The latest of a watch, after so many looks."""
    looks, enough = count(1), threading.Event()

    def look() -> Any:
        if (number := next(looks)) > n_looks:
            enough.set()
        return what(number)

    watched = Watched("a test", look, "before", 0.0)
    assert watched.latest == "before"
    watched.start()
    assert enough.wait(HANG_S)
    watched.close()
    return watched


def test_look_that_fails_leaves_the_one_before_and_the_next_counts(caplog: pytest.LogCaptureFixture) -> None:
    def second_fails(number: int) -> str:
        if number == 2:
            raise KeyError("injected")
        return f"look {number}" if number < 4 else "the last"

    assert looked(4, second_fails).latest == "the last"
    assert caplog.text.count("a defect of the service") == 1


def status_of(of_now: StatusOfNow, now_s: float) -> ServiceStatus:
    return of_now.status(
        now_s,
        NO_RUN,
        is_busy=False,
        has_failed=False,
        defects={},
        arm_error="",
        is_standing_by=False,
        is_resuming=False,
    )


def test_disk_that_does_not_answer_is_told_and_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers, asked = threading.Event(), threading.Event()

    def hangs(_: Path) -> Any:
        asked.set()
        answers.wait(HANG_S)

    monkeypatch.setattr(data_disk.os, "statvfs", hangs)
    of_now = StatusOfNow(tmp_path)
    monitors: Any = type("", (), {"readback_status": staticmethod(tuple)})
    of_now.start(monitors)
    assert asked.wait(HANG_S)
    assert status_of(of_now, time.monotonic()).place.problem == ""
    place = status_of(of_now, time.monotonic() + SILENT_S).place
    assert f"{tmp_path} has not answered for" in place.problem and np.isnan(place.free_bytes)
    answers.set()
    of_now.close()


def test_readbacks_that_cannot_be_looked_at_any_more_are_told(tmp_path: Path) -> None:
    of_now, looked = StatusOfNow(tmp_path), threading.Event()

    def look() -> tuple[()]:
        looked.set()
        return ()

    of_now.start(type("", (), {"readback_status": staticmethod(look)}))  # type: ignore[arg-type]
    assert looked.wait(HANG_S)
    of_now.close()
    assert status_of(of_now, time.monotonic()).run.severity is Severity.NONE
    run = status_of(of_now, time.monotonic() + 2 * SILENT_S).run
    assert "whether the PVs of the profile are connected has not been seen for" in run.message
    assert run.severity is Severity.MAJOR


def test_every_row_of_all_runs_is_counted_by_its_latency() -> None:
    latencies = RowLatencies()
    for visible_s, received_s in ((100.0, (99.99, 99.5, np.nan)), (50.0, (10.0, 49.98))):
        block = RowBlock((1, 1), 1)
        block.next_rows(len(received_s))
        block.append(len(received_s), received_s)
        block.visible_s = visible_s
        latencies.append(block)
    found = latencies.latest
    assert (sum(found.counts), found.sum_s) == (4, pytest.approx(0.01 + 0.5 + 40.0 + 0.02))
    up_to = dict(found.cumulative)
    assert [up_to[bound] for bound in (0.025, 0.25, 0.5, 30.0, np.inf)] == [2, 2, 3, 3, 4]
    assert len(up_to) == len(Latencies.BOUNDS_S) + 1
