"""A run that goes on after its service was killed, by a script: the files of the moment before are put back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from killed_run import go_on, killed
from scripted_run import Bench, ScriptedSources, frames

from stream_service.core.run import EndReason, RunState
from stream_service.errors import SourceError
from stream_service.run.live.resumed_setup import ResumedSetup, interrupted_paths
from stream_service.run.live.unfinished_run import UnfinishedRun, unfinished_journals
from stream_service.run.run import Run

N = 6


def resumed(tmp_path: Path, unfinished: UnfinishedRun, over_because: str = "") -> Bench:
    """A service that finds it."""
    bench = Bench(tmp_path, n_positions=N)
    bench.sources = ScriptedSources(bench.profile, bench.beamline)
    setup = ResumedSetup(bench.profile, unfinished, bench.sources, over_because)
    bench.run = Run(setup, bench.sources, bench.clock)
    return bench


@pytest.fixture
def unfinished(tmp_path: Path) -> UnfinishedRun:
    return killed(Bench(tmp_path, n_positions=N), 3)


def test_rows_of_before_and_new_ones_are_in_one_file_each_once(tmp_path: Path, unfinished: UnfinishedRun) -> None:
    bench = resumed(tmp_path, unfinished)
    go_on(bench, frames(range(4, N + 1)), bench.exposed(N), bench.settles(), bench.detector_stops)
    assert bench.run.state is RunState.COMPLETE, bench.run.status().message
    assert sorted(bench.rows()) == list(range(1, N + 1))
    assert interrupted_paths(bench.run.setup.path) == [] and unfinished_journals(bench.profile) == []


def test_run_that_takes_no_more_frames_is_put_together_and_says_why(tmp_path: Path, unfinished: UnfinishedRun) -> None:
    bench = resumed(tmp_path, unfinished, over_because="the service was away for 900 s")
    go_on(bench)
    assert (bench.run.state, bench.run.status().end_reason) == (RunState.INCOMPLETE, EndReason.SERVICE_AWAY)
    assert "the service was away for 900 s" in bench.run.status().message
    assert sorted(bench.rows()) == [1, 2, 3]


def test_interrupted_file_stays_when_the_new_one_is_not_on_the_disk(
    tmp_path: Path, unfinished: UnfinishedRun, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(path: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("stream_service.run.live.live_journal.sync", fail)
    bench = resumed(tmp_path, unfinished)
    go_on(bench, frames(range(4, N + 1)), bench.exposed(N), bench.settles(), bench.detector_stops)
    assert bench.run.state is RunState.COMPLETE
    assert len(interrupted_paths(bench.run.setup.path)) == 1 and "cannot be synced" in caplog.text


def test_run_that_was_killed_while_it_made_its_file_and_gets_no_frame_leaves_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The file was there, and the journal did not tell yet."""
    path = killed(Bench(tmp_path, n_positions=N), 1, is_paired=False).path
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if '"began"' not in line))
    bench = resumed(tmp_path, UnfinishedRun.read(path), over_because="the service was away for 900 s")
    go_on(bench)
    assert not bench.run.setup.path.exists() and "no frame came, so there is no file" in bench.run.status().message
    assert len(interrupted_paths(bench.run.setup.path)) == 1 and "cannot be synced" not in caplog.text


def test_run_whose_dark_was_changed_meanwhile_keeps_its_own_file(tmp_path: Path) -> None:
    def with_dark(counts: int) -> Bench:
        np.save(tmp_path / "dark.npy", np.full((6, 8), counts, np.float32))
        bench = Bench(tmp_path, n_positions=N)
        references = bench.profile.references.model_copy(update={"dark": str(tmp_path / "dark.npy")})
        bench.profile = bench.profile.model_copy(update={"references": references})
        bench.prepare(bench.profile)
        return bench

    unfinished = killed(with_dark(1), 3)
    assert set(unfinished.armed.references) == {"dark"}
    bench = with_dark(2)
    setup = ResumedSetup(bench.profile, unfinished, bench.sources)
    with pytest.raises(SourceError, match="does not go on, since its dark changed"):
        Run(setup, bench.sources, bench.clock).arm()
    assert unfinished_journals(bench.profile) == []
    bench.run.setup.path = setup.path
    assert sorted(bench.rows()) == [1, 2, 3]
    with bench.file() as file:
        assert file["/entry/run/state"][()] == b"ABORTED"


@pytest.mark.further(but=1)
@pytest.mark.parametrize("change", [lambda path: path.write_bytes(b"rubbish"), Path.unlink])
def test_run_goes_on_without_the_rows_of_a_file_that_cannot_be_read(
    tmp_path: Path, unfinished: UnfinishedRun, change: Callable[[Path], object]
) -> None:
    change(unfinished.file(Bench(tmp_path).profile))
    bench = resumed(tmp_path, unfinished)
    go_on(bench, frames(range(4, N + 1)), bench.exposed(N), bench.settles(), bench.detector_stops)
    assert bench.run.state is RunState.INCOMPLETE
    assert bench.rows() == [4, 5, 6]


@pytest.mark.further
def test_file_with_frames_of_another_shape_is_left_and_told(tmp_path: Path, unfinished: UnfinishedRun) -> None:
    assert unfinished.began is not None
    unfinished.began = unfinished.began.model_copy(update={"raw_shape": (6, 9)})
    bench = resumed(tmp_path, unfinished)
    go_on(bench, bench.detector_stops, bench.stop)
    assert bench.run.state is RunState.INCOMPLETE
    assert "has frames of another shape than the run" in bench.run.message
    assert len(interrupted_paths(bench.run.setup.path)) == 1
