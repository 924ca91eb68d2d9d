"""A run takes any source of frames: what the source knows of its series holds, and messages name its transport."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import corpus
import numpy as np
import numpy.typing as npt
import pytest
from numba import njit
from scripted_run import Bench, ScriptedSources, Step

from stream_service.core.frame import Frame
from stream_service.core.run import EndReason, RunState
from stream_service.core.stream import Begin, End, Series, SeriesEnd
from stream_service.errors import SourceError
from stream_service.kernels import stored_frames
from stream_service.kernels.pixelpass import reduce_pixels

SHAPE = (6, 8)


def frame(n: int, dtype: npt.DTypeLike = np.uint16, epoch: int | None = None) -> Frame:
    stamp_ns = corpus.STAMP_S * 10**9 + ((epoch or 0) * 10 + n) * 10**6
    return Frame(n, stamp_ns, np.full(SHAPE, n, dtype), {"energy": 700.0}, epoch=epoch)


def frames(ids: Iterable[int], dtype: npt.DTypeLike = np.uint16) -> Iterator[Step]:
    return iter([[frame(n, dtype)] for n in ids])


def test_series_that_its_source_counts_needs_no_counter(tmp_path: Path) -> None:
    b = Bench(tmp_path, begin=Begin(0), n_positions=3)
    b.detector.shown = None
    run = b.play(frames([0, 2]), b.detector_stops, [End(EndReason.DETECTOR_STOPPED, n_exposed=3)])
    assert run.state is RunState.INCOMPLETE
    assert b.rows() == [0, 2]
    assert "1 lost (missing ids: 1)" in run.message and "counter" not in run.message


def test_first_id_of_a_series_that_nobody_counts_is_that_after_the_counter(tmp_path: Path) -> None:
    b = Bench(tmp_path, begin=Begin(), n_positions=2)
    b.detector.shown = 41
    assert b.play(frames([42, 43])).state is RunState.COMPLETE


def test_first_id_that_the_profile_says_asks_no_counter(tmp_path: Path) -> None:
    b = Bench(tmp_path, begin=Begin(), n_positions=2)
    detector = b.profile.detector.model_copy(update={"first_id": 5, "restart_id": 3})
    b.detector.shown = None
    begin = ScriptedSources(b.profile.model_copy(update={"detector": detector}), b.beamline).begin()
    assert (begin.first_unique_id, begin.restart_unique_id, begin.is_counted) == (5, 3, False)


def test_run_that_is_not_armed_has_no_frames_of_a_series_that_nobody_knows(tmp_path: Path) -> None:
    b = Bench(tmp_path, begin=Begin(7), n_positions=2)
    before = b.run.status()
    assert (before.scan_id, before.state, before.message) == ("scan", RunState.IDLE, "arming")
    assert (before.account.expected, before.account.pending, before.received) == (0, 0, 0)
    assert (b.run.verdict, b.run.counter_at_end) == (None, None)
    b.run.arm()
    assert b.run.status().account.expected == 2


def test_epochs_that_a_source_says_are_those_of_the_rows(tmp_path: Path) -> None:
    """A detector that is armed anew within a run, and counts from 0 each time, which its source knows."""
    b = Bench(tmp_path, begin=Begin(0, restart_unique_id=0, epoch=7), n_positions=4)
    run = b.play(iter([[frame(n, epoch=epoch)] for epoch in (7, 8) for n in (0, 1)]))
    assert run.state is RunState.COMPLETE, run.message
    assert b.rows() == [0, 1, 0, 1]
    with b.file() as file:
        assert file["/entry/frames/epoch"][:, 0].tolist() == [0, 0, 1, 1]


def test_end_of_a_stream_ends_the_run(tmp_path: Path) -> None:
    b = Bench(tmp_path, begin=Begin(0))
    run = b.play(frames([0, 1]), b.detector_stops, [End(EndReason.DETECTOR_IDLE, n_expected=2, n_exposed=2)])
    assert run.state is RunState.COMPLETE
    assert b.clock.now_s < 1000.2, "nothing is waited for"


@pytest.mark.parametrize("n_positions", [4, None])
@pytest.mark.parametrize(("counts_at_end", "lost"), [(104, "missing ids: 1:2"), (103, "")])
def test_last_frame_is_missed_if_the_detector_made_more_than_its_source_gave(
    tmp_path: Path, n_positions: int | None, counts_at_end: int, lost: str
) -> None:
    b = Bench(tmp_path, begin=Begin(1, epoch=7), n_positions=n_positions)
    b.detector.shown = 100
    given = [frame(1, epoch=7), frame(2, epoch=7), frame(1, epoch=8)]
    run = b.play(iter([given]), b.exposed(counts_at_end), b.stop)
    is_complete = not lost and n_positions is None
    assert run.state is (RunState.COMPLETE if is_complete else RunState.INCOMPLETE), run.message
    assert lost in run.message and run.status().account.lost == bool(lost)


@pytest.mark.parametrize("n_positions", [4, None])
def test_frames_on_their_way_are_the_runs_though_the_detectors_counter_is_behind(
    tmp_path: Path, n_positions: int | None
) -> None:
    """The end of a series may come before its last images, by another endpoint."""
    b = Bench(tmp_path, begin=Begin(1, epoch=7), n_positions=n_positions)
    b.detector.shown = 100
    given = [Series(7, 4), frame(1, epoch=7), frame(2, epoch=7)]
    ends = b.stop if n_positions is None else iter([[SeriesEnd(7)]])
    last = iter([[], [frame(3, epoch=7)], [frame(4, epoch=7)]])
    run = b.play(iter([given]), b.exposed(101), ends, last, b.exposed(104))
    assert run.state is RunState.COMPLETE, run.message
    assert b.rows() == [1, 2, 3, 4]


def test_bad_message_of_any_source_is_counted_and_skipped(tmp_path: Path) -> None:
    b = Bench(tmp_path, begin=Begin(1), n_positions=2)
    run = b.play(frames([1]), [SourceError("a part of the message is missing")], frames([2]))
    assert (run.state, run.status().bad_messages) == (RunState.COMPLETE, 1)
    assert "a part of the message is missing" in run.message


def test_frames_that_do_not_come_are_told_by_the_name_of_their_transport(tmp_path: Path) -> None:
    b = Bench(tmp_path, begin=Begin(), n_positions=12)
    said = []

    def silent() -> Iterator[Step]:
        for _ in range(10):
            b.clock.now_s += 0.5
            yield []

    def gone() -> None:
        b.frames.is_connected = False
        b.clock.now_s += 1

    def listen() -> None:
        said.append(b.run.message)

    b.play(b.exposed(12), silent(), listen, gone, b.waits(0.1), listen, b.stop)
    assert "12 frames, none came over script: is the plugin behind SIM:Image enabled?" in said[0]
    assert "no answer from SIM:Image (script)" in said[1]
    assert "PVA" not in said[0] + said[1]


@pytest.mark.parametrize("shape", [SHAPE, None])
def test_pixel_type_that_the_series_tells_is_compiled_when_the_run_is_armed(tmp_path: Path, shape) -> None:
    dtype = np.dtype(np.int64 if shape else np.uint64)  # no other test here sends these
    b = Bench(tmp_path, begin=Begin(1, shape=shape, dtype=dtype), n_positions=2)
    armed = []
    run = b.play(lambda: armed.extend(reduce_pixels.signatures), frames([1, 2], dtype))
    assert run.state is RunState.COMPLETE, run.message
    assert reduce_pixels.signatures == armed, "nothing is compiled while frames come"


def test_row_to_be_mended_makes_nothing_compile_while_frames_come(tmp_path: Path, monkeypatch) -> None:
    measure_pixels = njit(stored_frames.measure_pixels.py_func)  # of which nothing is compiled
    monkeypatch.setattr(stored_frames, "measure_pixels", measure_pixels)
    b = Bench(tmp_path, begin=Begin(1, shape=SHAPE, dtype=np.dtype(np.float32)), n_positions=3)
    spoilt = frame(2, np.float32)
    spoilt.pixels[2, 3] = np.nan
    armed = []
    run = b.play(
        lambda: armed.extend(measure_pixels.signatures), frames([1], np.float32), [spoilt], frames([3], np.float32)
    )
    assert run.state is RunState.COMPLETE, run.message
    assert len(armed) == 1 and measure_pixels.signatures == armed


def test_exposure_time_of_a_series_needs_no_pv(tmp_path: Path) -> None:
    b = Bench(tmp_path, begin=Begin(1, exposure_s=0.25), n_positions=1)
    b.detector.exposure_s = float("nan")
    b.play(frames([1]))
    with b.file() as file:
        assert file["/entry/exposure_s"][()] == 0.25
        assert file["/entry/frames/exposure_s"][0] == 0.25


def test_shape_of_a_series_is_tried_when_the_run_is_armed(tmp_path: Path) -> None:
    b = Bench(tmp_path, begin=Begin(1, shape=SHAPE), preprocessing={"roi": (100, 100)}, n_positions=1)
    with pytest.raises(Exception, match="frames of 6 rows and 8 columns"):
        b.run.arm()
