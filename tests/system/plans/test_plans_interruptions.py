"""Remains of a scan, however it is interrupted: a run with a defined end, and nothing that still works."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from bluesky.utils import RunEngineInterrupted
from limits import HANG_S
from ophyd import Device
from plan_bench import EXPOSURE_S, PlanBench, at_point, make_plan_bench
from rig import Rig, start_rig

from ptychostream_plans import ptycho_fermat
from stream_service.processes.subprocesses import Subprocess
from stream_service.testing.loopback import LoopbackEpics, process_environment

N_POINTS = 15
AT = 4
"""The position after which it happens."""
AT_ROWS = 10
"""One at which there are rows: the first frames wait for one another, since they may hold markers."""
BY_ATTRIBUTE = {name: {"how": "attribute", "attribute": f"pos{name}", "pv": "", "unit": "um"} for name in ("x", "y")}
"""So that frames which are fetched after a crash have a position."""
AWAY_S = 30.0
"""CA alone searches again after about as long as that."""


class Broken(Device):
    """Cannot be read any more after some readings."""

    def __init__(self, n_good: int) -> None:
        super().__init__("", name="broken")
        self._n_good = n_good

    def read(self) -> Any:
        self._n_good -= 1
        if self._n_good < 0:
            raise RuntimeError("the encoder is dead")
        return super().read()


@dataclass(frozen=True, slots=True)
class Interruption:
    """Event in the middle of a scan, and how all must end."""

    name: str
    do: Callable[[PlanBench], object]
    state: str
    """Of the service's run."""
    exit_status: str
    """Of the bluesky run."""
    then: Callable[[PlanBench], object] | None = None
    """What the operator does with the paused RunEngine."""
    error: type[BaseException] = RunEngineInterrupted


def when_received(bench: PlanBench, n_frames: int, interruption: Interruption) -> Callable[[], object]:
    """It happens when the service has these frames, however busy the machine is."""

    def happen() -> None:
        bench.rig.service.wait_until(lambda: bench.rig.service.get("FramesReceived") >= n_frames)
        interruption.do(bench)

    return happen


def in_thread(do: Callable[[], object]) -> None:
    threading.Thread(target=do, daemon=True).start()


INTERRUPTIONS = (
    Interruption("abort", lambda b: in_thread(b.engine.abort), "ABORTED", "abort"),
    Interruption("stop", lambda b: in_thread(b.engine.stop), "INCOMPLETE", "success"),
    Interruption(
        "pause and abort",
        lambda b: in_thread(b.engine.request_pause),
        "ABORTED",
        "abort",
        then=lambda b: b.engine.abort(),
    ),
    Interruption(
        "pause and stop",
        lambda b: in_thread(b.engine.request_pause),
        "INCOMPLETE",
        "success",
        then=lambda b: b.engine.stop(),
    ),
    Interruption(
        "pause and resume",
        lambda b: in_thread(b.engine.request_pause),
        "COMPLETE",
        "success",
        then=lambda b: b.engine.resume(),
    ),
    Interruption(
        "deferred pause and resume",
        lambda b: in_thread(lambda: b.engine.request_pause(defer=True)),
        "COMPLETE",
        "success",
        then=lambda b: b.engine.resume(),
    ),
    Interruption("service aborted", lambda b: b.rig.service.put("Abort", 1), "ABORTED", "fail", error=Exception),
    Interruption("service stopped", lambda b: b.rig.service.put("Stop", 1), "INCOMPLETE", "fail", error=Exception),
)


@pytest.fixture(scope="module")
def rig(start_ioc: Callable[..., Any], epics: LoopbackEpics, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    prefix = start_ioc("--shape", "32,48", "--stack", "8").prefix
    running = start_rig(prefix, epics, tmp_path_factory.mktemp("broken"), channels=BY_ATTRIBUTE)
    yield running
    running.close()


@pytest.fixture(scope="module")
def bench(rig: Rig) -> PlanBench:
    return make_plan_bench(rig)


def fermat(bench: PlanBench, scan_id: str, n_points: int = N_POINTS, **options: Any) -> Any:
    options = {"exposure_s": EXPOSURE_S, "step_m": 0.1e-6} | options
    return ptycho_fermat(*bench.devices, n_points=n_points, scan_id=scan_id, **options)


def assert_next_scan_is_complete(bench: PlanBench) -> None:
    scan_id = bench.scan_id("next")
    bench.run(fermat(bench, scan_id, 3))
    bench.assert_complete(scan_id, 3)


@pytest.mark.further(but=4)
@pytest.mark.parametrize("interruption", INTERRUPTIONS, ids=lambda interruption: interruption.name)
def test_everything_ends_in_a_defined_state(bench: PlanBench, interruption: Interruption) -> None:
    scan_id = bench.scan_id("cut")
    with pytest.raises(interruption.error):
        bench.run(fermat(bench, scan_id), at_point(bench, AT, when_received(bench, AT, interruption)))
    if interruption.then is not None:
        assert bench.engine.state == "paused"
        interruption.then(bench)
    assert bench.engine.state == "idle"
    (stop,) = bench.of_kind("stop")
    assert stop["exit_status"] == interruption.exit_status
    assert bench.rig.wait_for_end() == interruption.state
    bench.assert_at_rest()
    with bench.open(scan_id) as file:
        n_rows = len(file["/entry/data"])
        assert file["/entry/run/state"][()].decode() == interruption.state
        ledger = {
            name: int(file[f"/entry/ledger/{name}"][()]) for name in ("expected", "stored", "lost", "not_exposed")
        }
    assert n_rows == ledger["stored"]
    assert ledger["lost"] == 0 or interruption.state == "ABORTED"  # it ends at once: frames may be on their way
    assert ledger["expected"] == ledger["stored"] + ledger["lost"] + ledger["not_exposed"] == N_POINTS
    assert (n_rows == N_POINTS) is (interruption.state == "COMPLETE")
    assert bench.rig.arm(bench.scan_id("next"), n_positions=1) == ""  # the devices are used by the next of these tests
    bench.rig.service.put("Abort", 1)


@pytest.mark.further
def test_halted_engine_has_its_devices_unstaged_and_the_run_stopped_in_good_order(bench: PlanBench) -> None:
    """`RE.halt` runs no cleanup of the plan, but bluesky unstages what is staged."""
    scan_id = bench.scan_id("halted")
    with pytest.raises(RunEngineInterrupted):
        bench.run(fermat(bench, scan_id), at_point(bench, AT, lambda: in_thread(bench.engine.request_pause)))
    bench.engine.halt()
    assert bench.engine.state == "idle"
    assert bench.rig.wait_for_end() == "INCOMPLETE"
    bench.assert_at_rest()
    with bench.open(scan_id) as file:
        assert AT <= len(file["/entry/data"]) < N_POINTS
    assert_next_scan_is_complete(bench)


def test_device_that_fails_ends_the_scan_with_its_reason(bench: PlanBench) -> None:
    scan_id = bench.scan_id("device")
    with pytest.raises(RuntimeError, match="the encoder is dead"):
        bench.run(fermat(bench, scan_id, energy=Broken(0)))
    assert bench.rig.wait_for_end() == "ABORTED"
    bench.assert_at_rest()
    assert_next_scan_is_complete(bench)


def test_detector_stopped_from_outside_fails_the_scan_and_names_what_is_missing(bench: PlanBench) -> None:
    scan_id = bench.scan_id("stopped")

    def stop() -> None:
        bench.rig.beamline.wait_for("cam1:Acquire_RBV", "Acquiring")
        bench.rig.beamline.put("cam1:Acquire", 0)

    plan = fermat(bench, scan_id, 4, frames_per_position=200, exposure_s=0.02)
    with pytest.raises(Exception, match=r"wrote .* frames to the raw file"):
        bench.run(plan, lambda name, _: in_thread(stop) if name == "start" else None)
    assert bench.rig.wait_for_end() == "ABORTED"
    bench.assert_at_rest()
    assert_next_scan_is_complete(bench)


def kill_service(rig: Rig) -> None:
    rig.service.close()  # no other client of this process shall hold its channels
    rig.child.end(signal.SIGKILL)


def kill_once_it_has_rows(rig: Rig) -> None:
    rig.service.wait_until(lambda: rig.service.get("Rows") > 0)
    kill_service(rig)


def start_service_again(rig: Rig, epics: LoopbackEpics) -> None:
    environment = process_environment(epics.server_environment("service"))
    profile = str(rig.folder / "profile.yaml")
    rig.child = Subprocess(
        "service", ["-m", "stream_service.cli", "run", profile], environment, rig.folder / "again.log"
    )
    rig.child.wait_for("ready", HANG_S)


@pytest.mark.recovery
def test_scan_goes_on_when_its_service_is_killed_and_started_again(bench: PlanBench, rig: Rig) -> None:
    def kill_and_start_again() -> None:
        rig.service.wait_until(lambda: rig.service.get("Rows") > 0)
        rig.kill()
        rig.launch()  # and the plan goes on meanwhile

    scan_id = bench.scan_id("resumed")
    bench.run(fermat(bench, scan_id), at_point(bench, AT_ROWS, kill_and_start_again))
    assert bench.of_kind("stop")[0]["exit_status"] == "success"
    assert bench.rig.wait_for_end() == "COMPLETE"
    bench.assert_complete(scan_id, N_POINTS)
    bench.assert_at_rest()
    assert_next_scan_is_complete(bench)


@pytest.mark.further
def test_service_that_was_killed_and_stays_away_fails_the_scan_and_one_that_is_started_again_takes_the_next(
    epics: LoopbackEpics, bench: PlanBench, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan_id = bench.scan_id("killed")
    monkeypatch.setattr(bench.stream, "_return_timeout_s", 1.0)
    with pytest.raises(Exception, match="no longer answers"):
        bench.run(fermat(bench, scan_id), at_point(bench, AT_ROWS, lambda: kill_once_it_has_rows(rig)))
    bench.assert_at_rest()
    assert bench.of_kind("stop")[0]["exit_status"] == "fail"
    with pytest.raises(Exception, match="nothing answers at"):
        bench.run(fermat(bench, bench.scan_id("without")))
    start_service_again(rig, epics)  # which goes on with the run that nobody could end
    assert_next_scan_is_complete(bench)
    with bench.open(scan_id) as file:
        assert file["/entry/run/state"][()] == b"ABORTED"


@pytest.mark.long
def test_service_that_was_away_for_long_is_found_at_once(epics: LoopbackEpics, bench: PlanBench, rig: Rig) -> None:
    bench.stream.stage().wait(HANG_S)
    kill_service(rig)
    time.sleep(AWAY_S)
    start_service_again(rig, epics)
    began_s = time.monotonic()
    bench.stream.stage().wait(HANG_S)
    assert time.monotonic() - began_s < AWAY_S / 2
    assert_next_scan_is_complete(bench)
