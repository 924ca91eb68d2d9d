"""Runs of the auto mode, without a network."""

from __future__ import annotations

from pathlib import Path

from scripted_run import Bench, frames

from stream_service.core.run import RunState
from stream_service.run.run import Run
from stream_service.service.standby import AutoSetup


def auto_run(folder: Path) -> Run:
    bench = Bench(folder)
    bench.run = Run(AutoSetup(bench.profile, bench.request, bench.sources), bench.sources, bench.clock)
    return bench.play(bench.exposed(2), frames([1, 2]), bench.stop)


def test_runs_that_begin_within_one_second_have_a_file_each(tmp_path: Path) -> None:
    runs = [auto_run(tmp_path) for _ in range(5)]
    assert [(run.state, run.message) for run in runs if run.state is not RunState.COMPLETE] == []
    assert len({run.setup.path for run in runs}) == len(list(tmp_path.glob("*_std.h5"))) == 5
