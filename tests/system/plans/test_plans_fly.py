"""Fly scans: every frame is stored at the place where it was truly exposed, and the stage is left as it was."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from bluesky.utils import RunEngineInterrupted
from plan_bench import PlanBench, make_plan_bench
from rig import Rig, start_rig
from scanspec.specs import Linspace, Spiral

from ptychostream_plans import ptycho_fly
from ptychostream_plans.fly import fly_lines
from stream_service.testing.loopback import LoopbackEpics

EXPOSURE_S = 0.01
ATTEMPTS = 6
RASTER = Linspace("y", -0.5e-6, 0.5e-6, 3) * ~Linspace("x", -1e-6, 1e-6, 21)


@pytest.fixture(scope="module")
def rig(start_ioc: Callable[..., Any], epics: LoopbackEpics, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    running = start_rig(start_ioc("--shape", "32,48", "--stack", "8").prefix, epics, tmp_path_factory.mktemp("fly"))
    yield running
    running.close()


@pytest.fixture(scope="module")
def bench(rig: Rig) -> PlanBench:
    return make_plan_bench(rig)


def test_lines_of_a_spec_begin_and_end_half_a_step_outside_their_frames() -> None:
    lines = fly_lines(RASTER)
    assert len(lines) == 3
    for number, line in enumerate(lines):
        sign = 1 - 2 * (number % 2)  # every other line runs back
        np.testing.assert_allclose(line.midpoints_m[:, 0], sign * np.linspace(-1e-6, 1e-6, 21), atol=1e-15)
        np.testing.assert_allclose(line.midpoints_m[:, 1], (number - 1) * 0.5e-6, atol=1e-15)
        np.testing.assert_allclose(line.start_m, [-sign * 1.05e-6, (number - 1) * 0.5e-6], atol=1e-15)
        np.testing.assert_allclose(line.end_m, [sign * 1.05e-6, (number - 1) * 0.5e-6], atol=1e-15)
    assert [line.midpoints_m.tolist() for line in fly_lines(RASTER.serialize())] == [
        line.midpoints_m.tolist() for line in lines
    ]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (Linspace("x", 0, 1e-6, 5), "a fly scan has x and y"),
        (Linspace("z", 0, 1e-6, 5) * Linspace("x", 0, 1e-6, 5), "a fly scan has x and y"),
        (Spiral("x", 0, 5e-6, 1e-6, "y", 0), "not straight"),
        (Linspace("y", 0, 1e-6, 2) * Linspace("x", 1e-6, 1e-6, 3), "stands still"),
    ],
)
def test_what_cannot_be_flown_is_refused(spec: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        fly_lines(spec)


def flown(bench: PlanBench, scan_id: str) -> tuple[np.ndarray, np.ndarray]:
    """Positions and flags of a scan of the raster, of which no row is wrong that has no flag."""
    bench.run(ptycho_fly(*bench.devices, spec=RASTER.serialize(), exposure_s=EXPOSURE_S, scan_id=scan_id))
    bench.assert_complete(scan_id, 63)
    truth = bench.rig.truth()
    with bench.open(scan_id) as file:
        ids, positions_m = file["/entry/frames/unique_id"][:, 0], file["/entry/pos"][()]
        flags = file["/entry/frames/flags"][()]
        np.testing.assert_allclose(file["/entry/planned/x_m"][:21], np.linspace(-1e-6, 1e-6, 21), atol=1e-15)
    rows = np.searchsorted(truth["unique_id"], ids)
    true_m = np.column_stack([truth["x_m"][rows], truth["y_m"][rows]])
    np.testing.assert_allclose(positions_m[flags == 0], true_m[flags == 0], atol=3e-9)
    return positions_m, flags


def test_frames_are_stored_where_they_were_truly_exposed(bench: PlanBench) -> None:
    """When the motors' IOC is held up rows are flagged, and when the start is, the line is over too soon: the start is
    by software. Then the scan is flown again."""
    speed = bench.stage.x.velocity.get()
    for _ in range(ATTEMPTS):
        positions_m, flags = flown(bench, bench.scan_id("flown"))
        lines_m = positions_m.reshape(3, 21, 2)
        steps_m = np.diff(lines_m[:, :, 0]) * [[1], [-1], [1]]
        if not flags.any() and (steps_m > 0).all():
            break
    assert not flags.any()
    assert (steps_m > 0).all() and (steps_m.sum(axis=1) > 1e-6).all()
    for number, line_m in enumerate(lines_m):
        np.testing.assert_allclose(line_m[:, 1], (number - 1) * 0.5e-6, atol=3e-9)
    assert bench.stage.x.velocity.get() == speed
    assert len([event for event in bench.of_kind("event") if "stage_x" in event["data"]]) == 3
    bench.assert_at_rest()


@pytest.mark.further(but=1)
@pytest.mark.parametrize("how", ["abort", "hard pause"])
def test_interrupted_line_ends_the_scan_and_puts_the_speed_back(bench: PlanBench, how: str) -> None:
    scan_id = bench.scan_id("cut")
    speed = bench.stage.x.velocity.get()

    def interrupt() -> None:
        bench.rig.beamline.wait_for("cam1:Acquire_RBV", "Acquiring")
        bench.engine.abort() if how == "abort" else bench.engine.request_pause()

    def when_begun(name: str, _: dict[str, Any]) -> None:
        if name == "start":
            threading.Thread(target=interrupt, daemon=True).start()

    plan = ptycho_fly(*bench.devices, spec=RASTER.serialize(), exposure_s=0.03, scan_id=scan_id)
    with pytest.raises(RunEngineInterrupted):
        bench.run(plan, when_begun)
    assert bench.engine.state == "idle"
    assert bench.rig.wait_for_end() == "ABORTED"
    assert bench.stage.x.velocity.get() == speed
    bench.assert_at_rest()


@pytest.mark.further
def test_deferred_pause_waits_for_the_end_of_the_line(bench: PlanBench) -> None:
    scan_id = bench.scan_id("paused")

    def when_begun(name: str, _: dict[str, Any]) -> None:
        if name == "start":
            threading.Thread(target=lambda: bench.engine.request_pause(defer=True), daemon=True).start()

    plan = ptycho_fly(*bench.devices, spec=RASTER.serialize(), exposure_s=EXPOSURE_S, scan_id=scan_id)
    with pytest.raises(RunEngineInterrupted):
        bench.run(plan, when_begun)
    assert bench.engine.state == "paused"
    bench.engine.resume()
    bench.assert_complete(scan_id, 63)


def test_speed_that_a_motor_does_not_take_ends_the_scan_with_a_sentence(
    bench: PlanBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan_id = bench.scan_id("fast")
    velocity: Any = bench.stage.x.velocity
    put, speed = velocity.put, velocity.get()
    monkeypatch.setattr(velocity, "put", lambda value, **how: put(min(value, 1.1 * speed), **how))  # as VMAX does
    spec = Linspace("y", 0, 1e-6, 2) * Linspace("x", 0, 20 * 1.5e-6 * speed * EXPOSURE_S, 21)
    with pytest.raises(ValueError, match=r"needs stage_x at .* um/s, and it takes 2200 um/s"):
        bench.run(ptycho_fly(*bench.devices, spec=spec.serialize(), exposure_s=EXPOSURE_S, scan_id=scan_id))
    assert bench.rig.wait_for_end() == "ABORTED"
    assert velocity.get() == speed
    bench.assert_at_rest()
