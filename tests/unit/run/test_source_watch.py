"""What a run says of frames that the detector has taken and that do not come, and what it takes back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from scripted_run import Bench

from stream_service.run.source_watch import QUIET_S, SourceWatch

OFF = "EnableCallbacks of SIM:Pva1 is 0, so the plugin sends no frame: put 1"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path, n_positions=4)
    bench.beamline.switches.problem = OFF
    return bench


def test_a_plugin_that_is_switched_off_after_the_scan_is_not_blamed(bench: Bench) -> None:
    problem = bench.sources.missing_problem
    assert OFF in problem(3, is_first=True)
    assert OFF in problem(3, is_first=False)
    bench.detector.is_acquiring = False
    assert OFF in problem(3, is_first=True)
    assert problem(3, is_first=False) == "the detector has taken 3 frames more, which did not come over PVA"


def test_frames_that_were_found_are_not_told_as_missing(bench: Bench) -> None:
    watch = SourceWatch(bench.sources, gone_s=30.0)
    n_missing: Callable[[], int] = lambda: 3  # noqa: E731
    watch.look(10.0, QUIET_S, is_waiting=False, n_missing=n_missing)
    assert "taken 3 frames more" in watch.problem
    watch.find_all()
    assert watch.problem == ""
    bench.detector.answers = False
    watch.look(20.0, QUIET_S, is_waiting=False, n_missing=n_missing)
    watch.find_all()
    assert "no answer from" in watch.problem
