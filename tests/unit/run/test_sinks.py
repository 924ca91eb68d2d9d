"""Sinks beside the file: they get the rows that are in it; one that fails costs no row, no other sink and no run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, NoReturn

import h5py
import pytest
from scripted_run import Bench, frames

from stream_service.core.run import EndReason, RunState
from stream_service.errors import WriteError
from stream_service.qc.scan_values import ScanTable
from stream_service.run.recorded.ingest_settings import IngestSettings
from stream_service.run.recorded.recorded_run import RecordedRun, time_stands_still
from stream_service.run.recorded.recorded_scan import RecordedScan
from stream_service.run.recorded.recorded_setup import RecordedSetup
from stream_service.run.rows.sink import Sink
from stream_service.run.run import Run
from stream_service.settings.service_status import Severity
from stream_service.standard_file import StandardFile
from stream_service.testing.memory_recording import MemoryRecording, attributes_of, frames_of
from stream_service.testing.scripted_sink import ScriptedSink

N = 100
"""More than a block."""


class Done(NamedTuple):
    run: Run
    unique_ids: list[int]
    """Of the rows in the file."""
    notes: list[str]
    """What an operator was told."""


def live(folder: Path, *sinks: Sink) -> Done:
    b = Bench(folder, sinks=sinks, n_positions=N)
    ids = range(1, N + 1)
    run = b.play(b.exposed(N), frames(ids[: N // 2]), b.settles(), frames(ids[N // 2 :]), b.detector_stops)
    return Done(run, b.rows(), [run.message])


def recorded(folder: Path, *sinks: Sink) -> Done:
    scan = RecordedScan(MemoryRecording(frames_of(N), attributes_of(N)), IngestSettings())
    setup = RecordedSetup(scan, "scan", folder / "scan_std.h5", is_live=False)
    recorded = RecordedRun(scan, setup, clock=time_stands_still, sinks=sinks)
    recorded.work(lambda: None)
    with h5py.File(setup.path) as file:
        ids = file["/entry/frames/unique_id"][:, 0].tolist()
    return Done(recorded.run, ids, [recorded.run.message, *recorded.closing_notes()])


either = pytest.mark.parametrize("play", [live, recorded])


def defect() -> NoReturn:
    raise RuntimeError("no scores today")


def cancelled() -> NoReturn:
    """What a publisher raises whose event loop ends; it is no `Exception`."""
    raise asyncio.CancelledError("no loop")


def disk_full() -> NoReturn:
    raise WriteError("scores.json: the disk is full, make room")


@either
def test_sink_gets_the_rows_of_the_file_once_and_how_the_run_ended(tmp_path: Path, play: Callable[..., Done]) -> None:
    seen_at_append: list[int] = []
    sink = ScriptedSink(on_append=lambda: seen_at_append.append(len(sink.unique_ids)))
    done = play(tmp_path, sink)
    assert sink.unique_ids == done.unique_ids == list(range(1, N + 1))
    with h5py.File(done.run.setup.path) as file:
        assert sink.pixel_sums == file["/entry/data"][:].sum(axis=(1, 2)).tolist()
    (outcome,) = sink.outcomes
    assert outcome.state is done.run.state is RunState.COMPLETE
    assert outcome.message == done.run.message
    assert len(seen_at_append) > 1, "in blocks"


@pytest.mark.further(but=7)
@either
@pytest.mark.parametrize("where", ["on_append", "on_flush", "on_finish"])
@pytest.mark.parametrize("failure", [defect, disk_full, cancelled])
def test_sink_that_fails_is_told_once_and_costs_no_row(
    tmp_path: Path, play: Callable[..., Done], where: str, failure: Callable[[], NoReturn], caplog
) -> None:
    bad, good = ScriptedSink("the quality of the rows", **{where: failure}), ScriptedSink("another sink")
    done = play(tmp_path, bad, good)
    assert done.run.state is RunState.COMPLETE, done.run.message
    assert done.unique_ids == good.unique_ids == list(range(1, N + 1))
    assert len(good.outcomes) == 1
    assert bad.calls.count(where.removeprefix("on_")) == 1 and where.endswith(bad.calls[-1]), "nothing after that"
    (said,) = {part for note in done.notes for part in note.split("; ") if "the quality of the rows" in part}
    why = {
        defect: "a defect of the service, RuntimeError: no scores today",
        disk_full: "scores.json: the disk is",
        cancelled: "a defect of the service, CancelledError: no loop",
    }
    assert said.startswith("the quality of the rows has stopped after ") and why[failure] in said
    assert "affects neither the file nor the next run" in said


def test_rows_go_to_the_file_before_any_sink(tmp_path: Path) -> None:
    """What a sink is given is what a reader of the file finds."""
    n_visible: list[int] = []

    def look() -> None:
        assert b.run.out is not None
        n_visible.append(b.run.out.file.n_rows - len(sink.unique_ids))

    sink = ScriptedSink(on_append=look)
    b = Bench(tmp_path, sinks=[sink], n_positions=3)
    b.play(b.exposed(3), frames([1, 2, 3]), b.detector_stops)
    assert n_visible and all(n > 0 for n in n_visible)


def test_sink_that_failed_is_a_minor_alarm_in_the_message_while_the_run_goes_on(tmp_path: Path) -> None:
    b = Bench(tmp_path, sinks=[ScriptedSink("the scores", on_append=defect)], n_positions=4)
    seen: list[tuple[Severity, str]] = []
    look = lambda: seen.append((b.run.status().severity, b.run.message))  # noqa: E731
    b.play(look, b.exposed(4), frames([1, 2]), b.settles(), b.settles(), look, frames([3, 4]), b.detector_stops)
    assert seen[0][0] is Severity.NONE
    assert seen[1][0] is Severity.MINOR and "the scores has stopped after 0 rows" in seen[1][1]
    assert b.run.severity is Severity.MINOR


def test_map_that_fails_is_contained_like_any_other_sink(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(ScanTable, "append", lambda self, block: defect())
    done = live(tmp_path)
    assert done.run.state is RunState.COMPLETE and len(done.unique_ids) == N
    assert "the map of the scan has stopped after 0 rows" in done.run.message


def test_failure_of_the_file_is_one_of_the_run_and_sinks_are_told_so_once(tmp_path: Path, monkeypatch) -> None:
    def fail(self: StandardFile, block: object) -> None:
        raise WriteError("scan_std.h5: the disk is full")

    sink = ScriptedSink()
    b = Bench(tmp_path, sinks=[sink], n_positions=3)
    dies = lambda: monkeypatch.setattr(StandardFile, "append", fail)  # noqa: E731
    run = b.play(dies, b.exposed(3), frames([1, 2, 3]), b.detector_stops)
    assert run.state is RunState.FAILED
    assert sink.unique_ids == [], "no row is in the file"
    assert [(outcome.state, outcome.reason) for outcome in sink.outcomes] == [(RunState.FAILED, EndReason.FAILED)]


def test_file_that_cannot_be_closed_ends_sinks_as_those_of_a_failed_run(tmp_path: Path, monkeypatch) -> None:
    def fail(self: StandardFile, *_: object, **__: object) -> None:
        raise WriteError("scan_std.h5: the disk is full")

    sink = ScriptedSink()
    b = Bench(tmp_path, sinks=[sink], n_positions=3)
    dies = lambda: monkeypatch.setattr(StandardFile, "set_scalars", fail)  # noqa: E731
    run = b.play(b.exposed(3), frames([1, 2, 3]), dies, b.detector_stops)
    assert run.state is RunState.FAILED
    assert [outcome.state for outcome in sink.outcomes] == [RunState.FAILED]


def test_sinks_of_a_run_without_a_file_hear_nothing(tmp_path: Path) -> None:
    """Nor of the file that is made on trial when a run is armed."""
    sink = ScriptedSink()
    b = Bench(tmp_path, sinks=[sink], n_positions=3)
    b.play(b.stop)
    assert b.run.out is None and sink.calls == []
