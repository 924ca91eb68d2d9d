"""Every plan in a RunEngine, on the simulated beamline with the real service: files, documents, references."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import h5py
import numpy as np
import pytest
from bluesky.preprocessors import suspend_wrapper
from bluesky.utils import RunEngineInterrupted
from limits import HANG_S
from ophyd import Signal
from plan_bench import EXPOSURE_S, PlanBench, at_point, files_of, make_plan_bench
from rig import Rig, start_rig

from ptychostream_devices import DetectorSetup
from ptychostream_plans import (
    EnergyStackError,
    concentric_rings,
    dark_flat,
    fermat_spiral,
    ptycho_concentric,
    ptycho_energy_stack,
    ptycho_fermat,
    ptycho_jittered,
    ptycho_positions,
    ptycho_raster,
    random_jittered,
    raster_grid,
    ring_current_suspender,
    stream_service_wrapper,
)
from stream_service.settings.request import ScanRequest
from stream_service.testing.loopback import LoopbackEpics

GAIN = 4  # of the sim profile: files have photons
STEP_M = 0.2e-6
SQUARE_M = [(0.0, 0.0), (STEP_M, 0.0), (STEP_M, STEP_M)]
IN_SECOND = len(SQUARE_M) + 1
"""The first position of a stack's second energy."""


@pytest.fixture(scope="module")
def rig(start_ioc: Callable[..., Any], epics: LoopbackEpics, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    running = start_rig(start_ioc("--shape", "32,48", "--stack", "8").prefix, epics, tmp_path_factory.mktemp("plans"))
    yield running
    running.close()


@pytest.fixture(scope="module")
def bench(rig: Rig) -> PlanBench:
    return make_plan_bench(rig)


@pytest.mark.parametrize(
    ("plan", "arguments", "expected_m"),
    [
        (ptycho_fermat, {"n_points": 6, "step_m": STEP_M}, fermat_spiral(6, STEP_M)),
        (ptycho_raster, {"n_x": 3, "n_y": 2, "step_m": STEP_M}, raster_grid(3, 2, STEP_M)),
        (ptycho_concentric, {"nrings": 1, "points_per_ring": 5, "step_m": STEP_M}, concentric_rings(1, 5, STEP_M)),
        (
            ptycho_jittered,
            {"n_x": 3, "n_y": 2, "step_m": STEP_M, "jitter_m": 5e-8, "seed": 3},
            random_jittered(3, 2, STEP_M, 5e-8, seed=3),
        ),
        (ptycho_positions, {"positions_m": SQUARE_M}, np.array(SQUARE_M)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_plan_puts_the_beam_where_it_says(
    bench: PlanBench, plan: Callable[..., Any], arguments: dict[str, Any], expected_m: np.ndarray[Any, Any]
) -> None:
    scan_id = bench.scan_id(plan.__name__)
    (uid,) = bench.run(plan(*bench.devices, **arguments, exposure_s=EXPOSURE_S, scan_id=scan_id, energy=bench.energy))
    bench.assert_complete(scan_id, len(expected_m))
    with bench.open(scan_id) as file:
        np.testing.assert_allclose(file["/entry/pos"][()], expected_m, atol=2e-9)
        np.testing.assert_allclose(file["/entry/planned/x_m"][()], expected_m[:, 0])
    (start,) = bench.of_kind("start")
    assert (start["uid"], start["plan_name"], start["num_points"]) == (uid, plan.__name__, len(expected_m))
    assert set(arguments) <= set(start["plan_args"])
    assert start["hints"]["dimensions"] == [(["stage_x", "stage_y"], "primary")]
    bench.assert_at_rest()


def test_any_plan_of_bluesky_can_be_streamed(bench: PlanBench) -> None:
    scan_id = bench.scan_id("grid")
    detector: Any = bench.detector

    def streamed() -> Any:
        yield from bps.prepare(detector, DetectorSetup(EXPOSURE_S, raw_name=f"{scan_id}_raw"), wait=True)
        request = ScanRequest(scan_id=scan_id, n_positions=6, exposure_s=EXPOSURE_S)
        grid = bp.grid_scan([detector], bench.stage.x, -0.2, 0.2, 3, bench.stage.y, 0, 0.2, 2)
        inner = bpp.stage_wrapper(stream_service_wrapper(grid, bench.stream, request), [bench.stream])
        return (yield from inner)

    bench.run(streamed())
    bench.assert_complete(scan_id, 6)
    with bench.open(scan_id) as file:
        corners = {tuple(position) for position in np.rint(file["/entry/pos"][()] * 1e7).astype(int).tolist()}
    assert corners == {(x, y) for x in (-2, 0, 2) for y in (0, -2)}


def test_references_are_medians_of_dark_and_lit_frames_and_correct_a_scan(bench: PlanBench) -> None:
    folder = bench.rig.folder / "references"
    bench.run(bps.mv(bench.shutter, "open"))
    moved_out: list[str] = []

    def move_sample_out() -> Any:
        moved_out.append(bench.shutter.position)
        yield from bps.mv(bench.stage.x, 5.0)

    bench.run(
        dark_flat(
            bench.detector,
            bench.shutter,
            exposures_s=[EXPOSURE_S, 0.008],
            n_frames=5,
            folder=str(folder),
            flat=True,
            move_sample_out=move_sample_out,
            name="refs",
        )
    )
    assert (moved_out, bench.shutter.position) == (["closed"], "open")
    assert [start["reference"] for start in bench.of_kind("start")] == ["dark", "dark", "flat", "flat"]
    file_4ms, file_8ms = folder / "refs_4ms.h5", folder / "refs_8ms.h5"
    with h5py.File(file_4ms) as file, h5py.File(bench.rig.folder / "refs_dark_4ms_raw.h5") as raw:
        dark, flat = file["dark"][()], file["flat"][()]
        assert np.array_equal(dark, np.median(raw["/entry/data/data"][()], axis=0).astype(np.float32))
        assert flat.mean() > dark.mean() + 10
        conditions = {
            name: file.attrs[name] for name in ("exposure_s", "gain", "size_x", "size_y", "bin_x", "n_frames")
        }
        assert conditions == {
            "exposure_s": EXPOSURE_S,
            "gain": 1,
            "size_x": 48,
            "size_y": 32,
            "bin_x": 1,
            "n_frames": 5,
        }
    bench.assert_at_rest()

    scan_id = bench.scan_id("corrected")
    references = {"dark": str(file_4ms)}
    bench.run(
        ptycho_positions(
            *bench.devices, positions_m=SQUARE_M, exposure_s=EXPOSURE_S, scan_id=scan_id, references=references
        )
    )
    bench.assert_complete(scan_id, 3)
    with bench.open(scan_id) as file, h5py.File(bench.rig.folder / f"{scan_id}_raw.h5") as raw:
        expected = np.maximum(raw["/entry/data/data"][()].astype(np.float32) - dark, 0)
        assert np.array_equal(file["/entry/data"][()], expected / GAIN)
    with pytest.raises(ValueError, match=r"dark .*refs_8ms.h5 was taken with exposure_s 0.008 instead of 0.004"):
        bench.run(
            ptycho_positions(
                *bench.devices, positions_m=SQUARE_M, exposure_s=EXPOSURE_S, references={"dark": str(file_8ms)}
            )
        )
    bench.detector.cam.size.size_x.set(40).wait(HANG_S)
    try:
        with pytest.raises(ValueError, match="size_x 48 instead of 40"):
            bench.run(
                ptycho_positions(*bench.devices, positions_m=SQUARE_M, exposure_s=EXPOSURE_S, references=references)
            )
    finally:
        bench.detector.cam.size.size_x.set(48).wait(HANG_S)
    with pytest.raises(ValueError, match="references has drk"):
        bench.run(
            ptycho_positions(*bench.devices, positions_m=SQUARE_M, exposure_s=EXPOSURE_S, references={"drk": "x.h5"})
        )


def test_exposure_time_twice_is_refused_before_anything_is_taken(bench: PlanBench) -> None:
    with pytest.raises(ValueError, match="an exposure time twice"):
        bench.run(dark_flat(bench.detector, bench.shutter, exposures_s=[0.01, 0.01], folder=str(bench.rig.folder)))
    assert bench.documents == []


@pytest.mark.further(but=1)
@pytest.mark.parametrize("how", ["failure", "abort"])
def test_shutter_is_put_back_however_the_references_end(bench: PlanBench, how: str) -> None:
    def no_way_out() -> Any:
        yield from bps.null()
        if how == "failure":
            raise RuntimeError("the sample is stuck")
        threading.Thread(target=bench.engine.abort, daemon=True).start()
        yield from bps.sleep(HANG_S)

    bench.run(bps.mv(bench.shutter, "open"))
    error, words = (RuntimeError, "the sample is stuck") if how == "failure" else (RunEngineInterrupted, None)
    with pytest.raises(error, match=words):
        bench.run(
            dark_flat(
                bench.detector,
                bench.shutter,
                exposures_s=[EXPOSURE_S],
                n_frames=2,
                folder=str(bench.rig.folder),
                flat=True,
                move_sample_out=no_way_out,
                name=bench.scan_id("stuck"),
            )
        )
    assert bench.shutter.position == "open"
    assert bench.engine.state == "idle"
    bench.assert_at_rest()


def test_stack_makes_a_file_for_each_energy_and_records_the_focus(bench: PlanBench) -> None:
    scan_id = bench.scan_id("stack")
    energies_eV = [705.0, 710.0, 712.5]

    def focus(energy_eV: float) -> Any:
        yield from bps.null()
        return 1e-6 * energy_eV

    (*uids,) = bench.run(
        ptycho_energy_stack(
            bench.detector,
            bench.stage,
            bench.energy,
            bench.stream,
            energies_eV=energies_eV,
            positions_m=SQUARE_M,
            exposure_s=EXPOSURE_S,
            focus=focus,
            scan_id=scan_id,
        )
    )
    starts = bench.of_kind("start")
    assert [start["uid"] for start in starts] == uids
    for index, (energy_eV, start) in enumerate(zip(energies_eV, starts, strict=True)):
        name = f"{scan_id}_{index:03d}_{energy_eV:.1f}eV"
        facts = start["ptychostream"]
        assert (facts["energy_index"], facts["energy_eV"], facts["focus_m"]) == (index, energy_eV, 1e-6 * energy_eV)
        bench.assert_complete(name, 3)
        with bench.open(name) as file:
            assert file["/entry/energy_eV"][()] == pytest.approx(energy_eV, abs=1e-3)
            metadata = json.loads(file["/entry/process/settings"][()])["request"]["metadata"]
            assert (metadata["stack_id"], metadata["focus_m"]) == (scan_id, 1e-6 * energy_eV)
    bench.assert_at_rest()


def broken_stack(bench: PlanBench, scan_id: str, focus: Callable[[float], Any]) -> Any:
    return ptycho_energy_stack(
        bench.detector,
        bench.stage,
        bench.energy,
        bench.stream,
        energies_eV=[705.0, 710.0, 712.5],
        positions_m=SQUARE_M,
        exposure_s=EXPOSURE_S,
        focus=focus,
        scan_id=scan_id,
    )


def test_energy_that_fails_is_named_and_those_before_it_stay(bench: PlanBench) -> None:
    scan_id = bench.scan_id("broken")

    def focus(energy_eV: float) -> Any:
        yield from bps.null()
        if energy_eV > 709:
            raise RuntimeError("the zone plate is at its limit")
        return 0.0

    with pytest.raises(EnergyStackError, match=r"energy 2 of 3 \(710 eV\) .*: the zone plate is at its limit"):
        bench.run(broken_stack(bench, scan_id, focus))
    assert {name for name in files_of(bench.rig.folder) if name.startswith(scan_id)} == {f"{scan_id}_000_705.0eV"}
    bench.assert_at_rest()


def test_energy_whose_run_ends_early_is_named_and_the_next_is_not_begun(bench: PlanBench) -> None:
    scan_id = bench.scan_id("cut")

    def focus(energy_eV: float) -> Any:
        yield from bps.null()
        return 0.0

    with pytest.raises(EnergyStackError, match=r"energy 2 of 3 \(710 eV\) .* ended ABORTED"):
        bench.run(
            broken_stack(bench, scan_id, focus), at_point(bench, IN_SECOND, lambda: bench.rig.service.put("Abort", 1))
        )
    bench.assert_complete(f"{scan_id}_000_705.0eV", 3)
    with bench.open(f"{scan_id}_001_710.0eV") as file:
        assert file["/entry/run/state"][()] == b"ABORTED"
    assert f"{scan_id}_002_712.5eV" not in files_of(bench.rig.folder)
    bench.assert_at_rest()


@pytest.mark.further
def test_aborted_stack_is_no_failure_of_an_energy(bench: PlanBench) -> None:
    scan_id = bench.scan_id("aborted")

    def focus(energy_eV: float) -> Any:
        yield from bps.null()
        return 0.0

    def abort() -> None:
        threading.Thread(target=bench.engine.abort, daemon=True).start()

    with pytest.raises(RunEngineInterrupted):
        bench.run(broken_stack(bench, scan_id, focus), at_point(bench, IN_SECOND, abort))
    assert [stop["exit_status"] for stop in bench.of_kind("stop")] == ["success", "abort"]
    bench.assert_at_rest()


def test_scan_waits_for_beam_and_goes_on(bench: PlanBench) -> None:
    scan_id = bench.scan_id("suspended")
    current = Signal(name="ring_current", value=200.0)
    suspender = ring_current_suspender(current, minimum_mA=100.0, settle_s=0.1)
    waited: list[float] = []

    def fall() -> None:
        current.put(20.0)
        waited.append(time.monotonic())
        threading.Timer(1.0, rise).start()

    def rise() -> None:
        current.put(101.0)  # above the minimum, not yet enough
        time.sleep(0.5)
        current.put(150.0)

    plan = ptycho_fermat(*bench.devices, n_points=8, step_m=STEP_M, exposure_s=EXPOSURE_S, scan_id=scan_id)
    bench.run(suspend_wrapper(plan, suspender), at_point(bench, 3, fall))
    assert time.monotonic() - waited[0] > 1.5
    bench.assert_complete(scan_id, 8)
    assert bench.n_points() == 8


@pytest.mark.parametrize(("minimum_mA", "resume_mA"), [(0.0, None), (100.0, 99.0)])
def test_suspender_that_cannot_work_is_refused(minimum_mA: float, resume_mA: float | None) -> None:
    with pytest.raises(ValueError, match="mA is"):
        ring_current_suspender(Signal(name="current", value=1.0), minimum_mA=minimum_mA, resume_mA=resume_mA)
