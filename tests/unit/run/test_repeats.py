"""Positions that are exposed again: their new rows say which ones they replace, and those are not used any more."""

from __future__ import annotations

from pathlib import Path

import pytest
from judged import Heard
from scripted_run import Bench, frames

from stream_service.core.run import RunState
from stream_service.errors import ConfigError
from stream_service.run.live.live_setup import LiveSetup
from stream_service.run.run import Run
from stream_service.standard_file import validate_file

AT_M = {"planned_x_m": (-3e-6,) * 4, "planned_y_m": (4e-6,) * 4}
"""Where the beam is on the sample while the scripted stage rests."""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, n_positions=4, extra_frames=3, **AT_M)


def test_a_repeat_replaces_a_row_and_a_lost_one_gets_its_place(bench: Bench) -> None:
    bench.play(
        frames([1, 2, 4]),
        bench.exposed(4),
        bench.settles(),
        lambda: bench.run.repeat([1, 2]),
        frames([5, 6]),
        bench.exposed(6),
        bench.settles(),
        lambda: bench.run.repeat([1, 2, 1]),
        frames([7]),
        bench.exposed(7),
        bench.stop,
    )
    with bench.file() as file:
        assert file["/entry/frames/unique_id"][:, 0].tolist() == [1, 2, 4, 5, 6, 7]
        assert file["/entry/frames/planned"][:].tolist() == [0, 1, 3, 1, 2, 1]
        assert file["/entry/frames/replaces"][:].tolist() == [-1, -1, -1, 1, -1, 3]
        assert file["/entry/keep"][:].tolist() == [1, 0, 1, 0, 1, 1]
    assert [finding for finding in validate_file(bench.run.setup.path) if finding.level == "error"] == []


def test_frames_beyond_those_planned_that_nobody_announced_are_stored_and_told_of(bench: Bench) -> None:
    bench.play(frames(range(1, 6)), bench.exposed(5), bench.settles(), bench.stop)
    with bench.file() as file:
        assert file["/entry/frames/planned"][:].tolist() == [0, 1, 2, 3, -1]
        assert file["/entry/keep"][:].tolist() == [1] * 5
    assert "not where a position was announced to be repeated" in bench.run.message


def test_a_run_takes_repeats_only_while_it_receives(bench: Bench) -> None:
    with pytest.raises(ConfigError, match="run scan is IDLE: only one that receives"):
        bench.run.repeat([1])
    bench.play(frames(range(1, 5)), bench.exposed(4), bench.stop)
    with pytest.raises(ConfigError, match="run scan is COMPLETE"):
        bench.run.repeat([1])


def test_who_listens_hears_of_every_row_of_a_run(bench: Bench) -> None:
    heard = Heard()
    bench.run = Run(
        LiveSetup(bench.profile, bench.request, bench.sources), bench.sources, bench.clock, listeners=[heard]
    )
    bench.play(frames(range(1, 5)), bench.exposed(4), bench.settles(), bench.stop)
    assert bench.run.state is RunState.COMPLETE
    assert {row for rows in heard.news_of for row in rows["row"].tolist()} == {0, 1, 2, 3}
    status = bench.run.status()
    assert (status.judged.n_rows, status.coverage.n_lacking) == (4, 0)
    assert bench.run.judged_rows(2)["unique_id"][:, 0].tolist() == [3, 4]
    assert not bench.run.judged_rows(2)["provisional"].any()
