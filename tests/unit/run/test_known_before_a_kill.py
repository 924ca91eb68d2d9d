"""What was known before the service was killed, and is in no row: where the stage was, which pixels saturated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import corpus
import numpy as np
import pytest
from killed_run import go_on, killed
from scripted_run import AT_REST, BEFORE_NS, Bench, ScriptedSources, frame, frames

from stream_service.core.exposure import Flag
from stream_service.core.frame import Frame
from stream_service.core.pairing.readback import Readback, Unheard
from stream_service.core.run import RunState
from stream_service.run.live.resumed_setup import ResumedSetup
from stream_service.run.live.unfinished_run import UnfinishedRun
from stream_service.run.run import Run
from stream_service.standard_file import PixelFlag, paths
from stream_service.testing.scripted_raw_file import ScriptedRawFile

N = 6


def at_ns(frame_number: float) -> int:
    """When a frame was taken, or between two of them."""
    return corpus.STAMP_S * 10**9 + round(frame_number * 10**6)


def moved(x_um: float, begins: float) -> list[Any]:
    """The stage goes somewhere, in a tenth of the time between two frames."""
    return [
        Readback("x_moving", 1.0, at_ns(begins)),
        Readback("x", x_um, at_ns(begins + 0.05)),
        Readback("x_moving", 0.0, at_ns(begins + 0.1)),
    ]


class Scan:
    """Of six positions at 1, 2, ... 6 um; frame 4 does not come, and the service is killed with the stage at 5 um."""

    def __init__(self, folder: Path, preprocessing: dict[str, Any] | None = None) -> None:
        self.folder = folder
        self.preprocessing = preprocessing
        self.first = self._bench(AT_REST | {"x": 1.0})

    def _bench(self, at_rest: dict[str, float]) -> Bench:
        return Bench(self.folder, n_positions=N, at_rest=at_rest, preprocessing=self.preprocessing)

    def goes(self, x_um: float, begins: float) -> Any:
        def happen() -> None:
            self.first.beamline.readbacks.events += moved(x_um, begins)

        return happen

    def is_killed(self, *more: Any) -> UnfinishedRun:
        """After so much more was heard."""
        first = self.first
        steps = [step for n in (1, 2, 3) for step in ([frame(n)], self.goes(n + 1.0, n + 0.05))]
        script = iter([*steps, self.goes(5.0, 4.05), *more])
        return killed(first, 0, script)

    def resumed(self, unfinished: UnfinishedRun, heard: list[Any]) -> Bench:
        """By a service that hears this first."""
        bench = self._bench(AT_REST | {"x": 5.0})
        bench.beamline.readbacks.events = [
            *(Readback(name, AT_REST[name], BEFORE_NS) for name in AT_REST if not name.startswith("x")),
            *heard,
        ]
        bench.sources = ScriptedSources(bench.profile, bench.beamline)
        setup = ResumedSetup(bench.profile, unfinished, bench.sources)
        setup.open_raw_file = lambda: ScriptedRawFile([recorded(n) for n in range(1, N + 1)])  # type: ignore[method-assign]
        bench.run = Run(setup, bench.sources, bench.clock)
        return bench


def recorded(n: int) -> Frame:
    return Frame(n, at_ns(n), np.full((6, 8), n, np.uint16), {"energy": 700.0}, is_backfilled=True)


def positions(bench: Bench) -> dict[int, tuple[float, int, int]]:
    """By uniqueId: x in um, flags, whether the row is used."""
    with bench.file() as file:
        columns = ("frames/unique_id", "posx_m", "frames/flags", "keep")
        ids, x_m, flags, keep = (np.asarray(file[f"/entry/{name}"]) for name in columns)
        return {
            int(n[0]): (round(abs(x) * 1e6, 6), int(flag), int(used))
            for n, x, flag, used in zip(ids, x_m, flags, keep, strict=True)
        }


def test_frame_of_before_has_the_position_that_the_interrupted_file_brackets(tmp_path: Path) -> None:
    scan = Scan(tmp_path)
    bench = scan.resumed(
        scan.is_killed(), [Readback("x", 5.0, at_ns(4.1)), Readback("x_moving", 0.0, at_ns(4.15)), *moved(6.0, 5.05)]
    )
    go_on(bench, frames([5, 6]), bench.exposed(N), bench.settles(), bench.detector_stops)
    assert bench.run.state is RunState.COMPLETE, bench.run.message
    assert positions(bench) == {n: (float(n), 0, 1) for n in range(1, N + 1)}


def test_frame_of_which_nobody_heard_where_the_stage_was_is_flagged(tmp_path: Path) -> None:
    """It moved on, and to and fro, before the service was there again."""
    scan = Scan(tmp_path)
    bench = scan.resumed(scan.is_killed(), [Readback("x", 6.0, at_ns(5.1)), Readback("x_moving", 0.0, at_ns(5.15))])
    go_on(bench, frames([6]), bench.exposed(N), bench.settles(), bench.detector_stops)
    found = positions(bench)
    assert found[4] == (4.0, 0, 1) and found[6] == (6.0, 0, 1)
    assert found[5][1:] == (Flag.DISCONNECTED, 0)
    assert bench.run.state is RunState.INCOMPLETE
    assert "1 row has no known position, because the service was away" in bench.run.message


@pytest.mark.further(but=1)
@pytest.mark.parametrize(
    "unheard", [Readback("x", 4.0, at_ns(4.02), is_after_gap=True), Readback("x", 4.0, at_ns(4.02), is_valid=False)]
)
def test_record_that_does_not_tell_all_is_not_taken_for_the_whole(tmp_path: Path, unheard: Readback) -> None:
    """The PV was disconnected, or its value invalid, while frame 4 was taken: a file has neither."""
    scan = Scan(tmp_path)
    first = scan.first

    def heard() -> None:
        first.beamline.readbacks.events += [unheard]

    steps = [step for n in (1, 2, 3) for step in ([frame(n)], scan.goes(n + 1.0, n + 0.05))]
    unfinished = killed(first, 0, iter([*steps, heard, scan.goes(5.0, 4.05)]))
    stretch = Unheard("x", at_ns(3.1) - 1, at_ns(4.02)) if unheard.is_after_gap else Unheard("x", None, None)
    assert unfinished.unheard == [stretch]
    bench = scan.resumed(
        unfinished, [Readback("x", 5.0, at_ns(4.1)), Readback("x_moving", 0.0, at_ns(4.15)), *moved(6.0, 5.05)]
    )
    go_on(bench, frames([5, 6]), bench.exposed(N), bench.settles(), bench.detector_stops)
    _, flags, is_used = positions(bench)[4]
    assert flags & (Flag.DISCONNECTED | Flag.UNBRACKETED) and not is_used


@pytest.mark.further(but=1)
@pytest.mark.parametrize("fraction", [0.0, 0.4])
def test_pixels_that_saturated_before_are_masked_in_the_end(tmp_path: Path, fraction: float) -> None:
    scan = Scan(tmp_path, {"sat": 1000.0, "sat_fraction": fraction})
    first = scan.first

    def bright(n: int, *at: tuple[int, int]) -> Any:
        pixels = np.full((6, 8), n, np.uint16)
        for place in at:
            pixels[place] = 2000
        return corpus.good(n, pixels=pixels)

    unfinished = killed(first, 0, iter([[bright(1, (1, 2))], [bright(2, (1, 2), (4, 5))], [bright(3)]]))
    assert unfinished.is_saturated is not None
    assert np.argwhere(unfinished.is_saturated).tolist() == [[1, 2], [4, 5]]
    bench = scan.resumed(unfinished, [Readback("x", 1.0, BEFORE_NS), Readback("x_moving", 0.0, BEFORE_NS)])
    go_on(bench, iter([[bright(4)], [bright(5, (0, 0))], [bright(6, (0, 0))]]), bench.exposed(N), bench.detector_stops)
    with bench.file() as file:
        flags: Any = file[paths.PIXEL_MASK]
        masked = np.argwhere(flags[()] & PixelFlag.SATURATED).tolist()
    assert masked == ([[0, 0], [1, 2], [4, 5]] if not fraction else [[0, 0]])
    said = "3 of 48" if not fraction else "2 rows of before the service was started again saturate"
    assert said in bench.run.message and "in 4 of 6 rows" in bench.run.message


def test_duplicates_of_before_are_in_the_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream_service.run.run_file.COUNTS_S", 0.0)
    scan = Scan(tmp_path)
    first = scan.first
    unfinished = killed(first, 0, iter([[frame(n)] for n in (1, 1, 2, 2, 3)]))
    bench = scan.resumed(unfinished, [Readback("x", 1.0, BEFORE_NS), Readback("x_moving", 0.0, BEFORE_NS)])
    go_on(bench, frames([3, 4, 5, 6]), bench.exposed(N), bench.settles(), bench.detector_stops)
    assert bench.run.status().account.duplicates == 3
