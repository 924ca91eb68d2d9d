"""Plans in a real RunEngine, on the simulated beamline, against a service that behaves as it is told to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bluesky.plan_stubs as bps
import h5py
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.utils import FailedStatus, Msg, RunEngineInterrupted
from event_model import DocumentNames, schema_validators
from fake_service import served
from limits import HANG_S
from ophyd import EpicsSignal

from ptychostream_devices import (
    DetectorError,
    Monochromator,
    PtychoDetector,
    ScanStage,
    StreamServiceDevice,
    StreamServiceError,
)
from ptychostream_plans import fermat_spiral, ptycho_fermat, ptycho_positions, stream_service_decorator
from stream_service.settings.request import ScanRequest
from stream_service.testing.loopback import LoopbackEpics

EXPOSURE_S = 0.002
STEP_M = 0.2e-6


@dataclass
class Bench:
    """The devices of one beamline, a RunEngine, and what it emitted."""

    detector: PtychoDetector
    stage: ScanStage
    energy: Monochromator
    service: StreamServiceDevice
    service_prefix: str
    engine: RunEngine
    raw_folder: Path
    fake: SimpleNamespace
    documents: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    messages: list[Msg] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(1000)))

    def run(self, plan: Any, on_document: Callable[[str, dict[str, Any]], None] | None = None) -> Any:
        """Run a plan; what it emits and the messages it sends are kept until the next one."""
        self.documents.clear()
        self.messages.clear()

        def note(name: str, document: dict[str, Any]) -> None:
            self.documents.append((name, document))
            if on_document is not None:
                on_document(name, document)

        self.engine.msg_hook = self.messages.append
        return self.engine(plan, note)

    def fermat(self, n_points: int = 4, **options: Any) -> Any:
        """The plan, with names that are used once."""
        options = {"exposure_s": EXPOSURE_S, "step_m": STEP_M, "scan_id": f"scan_{next(self.numbers)}"} | options
        service = options.pop("service", self.service)
        return ptycho_fermat(self.detector, self.stage, service, n_points=n_points, **options)

    def documents_of(self, stream: str) -> list[dict[str, Any]]:
        """Events of one stream."""
        uids = {
            document["uid"] for name, document in self.documents if name == "descriptor" and document["name"] == stream
        }
        return [document for name, document in self.documents if name == "event" and document["descriptor"] in uids]

    def one(self, kind: str) -> dict[str, Any]:
        """The only document of its kind."""
        (document,) = [document for name, document in self.documents if name == kind]
        return document

    def wait_until_exposing(self) -> None:
        """Return while the detector acquires."""
        exposing = threading.Event()
        acquire = self.detector.cam.acquire
        token = acquire.subscribe(lambda value, **_: exposing.set() if value else None)
        assert exposing.wait(HANG_S)
        acquire.unsubscribe(token)

    def assert_at_rest(self) -> None:
        """Nothing exposes, captures or is staged."""
        assert self.detector.cam.acquire.get() == 0
        assert self.detector.hdf.capture.get() == 0
        assert self.detector._staged.value == "no"


@pytest.fixture(scope="module")
def bench(epics: LoopbackEpics, start_ioc: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    prefix = start_ioc("--shape", "24,32", "--stack", "8").prefix
    with served(epics) as service_prefix:
        yield make_bench(prefix, service_prefix, tmp_path_factory.mktemp("raw"))


def make_bench(prefix: str, service_prefix: str, raw_folder: Path) -> Bench:
    fake = SimpleNamespace(
        arm_error=EpicsSignal(f"{service_prefix}Fake:ArmError", string=True, name="arm_error"),
        reset=EpicsSignal(f"{service_prefix}Fake:Reset", name="reset"),
        end_state=EpicsSignal(f"{service_prefix}Fake:EndState", string=True, name="end_state"),
        fail=EpicsSignal(f"{service_prefix}Fake:Fail", name="fail"),
        commands=EpicsSignal(f"{service_prefix}Fake:Commands", string=True, name="commands"),
        request=EpicsSignal(f"{service_prefix}Request", string=True, name="request"),
        state=EpicsSignal(f"{service_prefix}State", string=True, name="state"),
    )
    made = Bench(
        detector=PtychoDetector(prefix, name="detector", write_path_template=str(raw_folder)),
        stage=ScanStage(prefix, name="stage"),
        energy=Monochromator(f"{prefix}Energy", name="energy"),
        service=StreamServiceDevice(service_prefix, name="stream", quiet_s=0.1),
        service_prefix=service_prefix,
        engine=RunEngine({}, context_managers=[]),
        raw_folder=raw_folder,
        fake=fake,
    )
    for device in (made.stage, made.energy, *vars(fake).values()):
        device.wait_for_connection(timeout=HANG_S)
    return made


@pytest.fixture(autouse=True)
def _well_behaved_service(bench: Bench) -> None:
    bench.fake.reset.put(1, wait=True)


def cause(error: pytest.ExceptionInfo[FailedStatus]) -> BaseException:
    assert error.value.__cause__ is not None
    return error.value.__cause__


def test_every_document_of_a_streamed_scan_is_valid(bench):
    bench.run(bench.fermat(3, energy=bench.energy))
    for name, document in bench.documents:
        schema_validators[DocumentNames[name]].validate(document)
    assert bench.one("stop")["exit_status"] == "success"
    assert bench.one("stop")["num_events"] == {"baseline": 2, "primary": 3, "stream_rows": 3, "stream_account": 1}
    bench.assert_at_rest()


def test_start_document_says_what_the_scan_is(bench):
    bench.run(bench.fermat(3, scan_id="described", path="a/b", probe_diameter_m=1e-6, md={"sample": "shell"}))
    start = bench.one("start")
    assert (start["plan_name"], start["num_points"], start["sample"]) == ("ptycho_fermat", 3, "shell")
    assert start["motors"] == ["stage_x", "stage_y"]
    assert start["plan_args"]["step_m"] == STEP_M
    assert start["ptychostream"]["raw_file"] == str(bench.raw_folder / "a/b/described_raw.h5")
    assert 0.6 < start["ptychostream"]["overlap"] < 0.9


def test_plan_returns_the_uid_of_its_run(bench):
    returned = []

    def plan():
        returned.append((yield from bench.fermat(2)))

    bench.run(plan())
    assert returned == [bench.one("start")["uid"]]


def test_stage_goes_against_the_beam(bench):
    bench.run(bench.fermat(4, center_m=(3e-6, -1e-6)))
    stage_um = [(event["data"]["stage_x"], event["data"]["stage_y"]) for event in bench.documents_of("primary")]
    np.testing.assert_allclose(stage_um, -fermat_spiral(4, STEP_M, (3e-6, -1e-6)) * 1e6, atol=1e-4)


def test_service_is_told_the_scan_before_the_first_frame_and_after_the_detector_is_set_up(bench):
    counter_before = bench.detector.cam.array_counter.get()
    bench.run(bench.fermat(3, scan_id="told", path="below", frames_per_position=2, md={"sample": "shell"}))
    request = ScanRequest.model_validate_json(bench.fake.request.get())
    np.testing.assert_array_equal(np.column_stack([request.planned_x_m, request.planned_y_m]), fermat_spiral(3, STEP_M))
    assert (request.scan_id, request.path, request.sample) == ("told", "below", "shell")
    assert (request.n_positions, request.frames_per_position, request.exposure_s) == (3, 2, EXPOSURE_S)
    assert request.raw_file == str(bench.raw_folder / "below/told_raw.h5")
    assert request.metadata["stream_uid"] == bench.one("start")["ptychostream"]["stream_uid"]

    commands = [(message.command, getattr(message.obj, "name", None)) for message in bench.messages]
    arming = commands.index(("prepare", "stream"))
    assert commands.index(("stage", "detector")) < arming < commands.index(("open_run", None))
    assert arming < commands.index(("trigger", "detector"))
    last_ids = [event["data"]["detector_cam_array_counter"] for event in bench.documents_of("primary")]
    assert last_ids == [counter_before + 2, counter_before + 4, counter_before + 6]


def test_raw_file_has_the_name_of_the_scan_and_every_frame(bench):
    bench.run(bench.fermat(3, scan_id="named", frames_per_position=2))
    with h5py.File(bench.raw_folder / "named_raw.h5", swmr=True) as file:
        assert file["/entry/data/data"].shape == (6, 24, 32)
    resource = bench.one("resource")
    assert Path(resource["root"], resource["resource_path"]) == bench.raw_folder / "named_raw.h5"
    assert resource["resource_kwargs"] == {"frame_per_point": 2}
    points = [document["datum_kwargs"]["point_number"] for name, document in bench.documents if name == "datum"]
    assert points == [0, 1, 2]


def test_given_positions_are_scanned_in_their_order(bench):
    positions_m = [(1e-6, 0.0), (-1e-6, 2e-6), (0.0, 0.0)]
    bench.run(
        ptycho_positions(
            bench.detector, bench.stage, bench.service, positions_m=positions_m, exposure_s=EXPOSURE_S, scan_id="given"
        )
    )
    stage_um = [(event["data"]["stage_x"], event["data"]["stage_y"]) for event in bench.documents_of("primary")]
    np.testing.assert_allclose(stage_um, np.array(positions_m) * -1e6, atol=1e-4)
    assert bench.one("start")["plan_name"] == "ptycho_positions"


def test_account_of_the_service_is_in_the_run(bench):
    bench.run(bench.fermat(3, scan_id="accounted"))
    (event,) = bench.documents_of("stream_account")
    assert (event["data"]["stream_state"], event["data"]["stream_rows"]) == ("COMPLETE", 3)
    assert event["data"]["stream_file"].endswith("accounted_std.h5")


def test_scan_without_a_service_writes_the_raw_file_alone(bench):
    bench.run(bench.fermat(2, scan_id="alone", service=None))
    assert (bench.raw_folder / "alone_raw.h5").exists()
    assert bench.fake.commands.get() == ""
    assert not bench.documents_of("stream_account")


def test_refused_arming_fails_in_the_services_words_and_opens_no_run(bench):
    bench.fake.arm_error.put("refused_std.h5 exists already")
    with pytest.raises(FailedStatus) as error:
        bench.run(bench.fermat(2, scan_id="refused"))
    assert str(cause(error)) == "refused_std.h5 exists already"
    assert "refused_std.h5 exists already" in str(error.value)
    assert bench.documents == []
    assert bench.fake.commands.get() == "Arm"
    bench.assert_at_rest()


def at_point(bench: Bench, n_points: int, do: Callable[[], object]) -> Callable[[str, dict[str, Any]], None]:
    """Do something when that many positions have been read."""

    def on_document(name: str, _: dict[str, Any]) -> None:
        if name == "event" and len(bench.documents_of("primary")) == n_points:
            do()

    return on_document


def test_aborted_plan_aborts_the_services_run_and_stops_the_detector(bench):
    with pytest.raises(RunEngineInterrupted):
        bench.run(bench.fermat(500), at_point(bench, 3, threading.Thread(target=bench.engine.abort).start))
    assert bench.fake.commands.get() == "Arm Abort"
    assert bench.fake.state.get() == "ABORTED"
    assert (bench.one("stop")["exit_status"], bench.engine.state) == ("abort", "idle")
    assert 3 <= len(bench.documents_of("primary")) < 500
    bench.assert_at_rest()


def test_detector_that_exposes_when_the_plan_is_aborted_is_stopped(bench):
    def abort() -> None:
        bench.wait_until_exposing()
        bench.engine.abort()

    plan = bench.fermat(3, frames_per_position=1000, exposure_s=0.05)
    with pytest.raises(RunEngineInterrupted):
        bench.run(plan, lambda name, _: threading.Thread(target=abort).start() if name == "start" else None)
    bench.assert_at_rest()


@pytest.mark.further(but=1)
@pytest.mark.parametrize("when", ["between positions", "during an exposure"])
def test_paused_scan_goes_on_without_repeating_or_losing_a_frame(bench, when):
    def pause() -> None:
        if when == "during an exposure":
            bench.wait_until_exposing()
        bench.engine.request_pause(defer=when == "between positions")

    scan_id = f"paused_{when.split()[0]}"
    with pytest.raises(RunEngineInterrupted):
        bench.run(
            bench.fermat(6, scan_id=scan_id, exposure_s=0.1), at_point(bench, 2, threading.Thread(target=pause).start)
        )
    assert bench.engine.state == "paused"
    bench.engine.resume()
    assert [event["seq_num"] for event in bench.documents_of("primary")] == [1, 2, 3, 4, 5, 6]
    with h5py.File(bench.raw_folder / f"{scan_id}_raw.h5", swmr=True) as file:
        assert len(file["/entry/data/data"]) == 6
    stage_um = [(event["data"]["stage_x"], event["data"]["stage_y"]) for event in bench.documents_of("primary")]
    np.testing.assert_allclose(stage_um, -fermat_spiral(6, STEP_M) * 1e6, atol=1e-4)
    assert bench.one("stop")["exit_status"] == "success"


def test_service_that_fails_ends_the_scan_with_its_reason(bench):
    with pytest.raises(StreamServiceError, match="the disk is full"):
        bench.run(bench.fermat(500, scan_id="doomed"), at_point(bench, 2, lambda: bench.fake.fail.put(1)))
    assert "the disk is full" in bench.one("stop")["reason"]
    assert bench.one("stop")["exit_status"] == "fail"
    assert len(bench.documents_of("primary")) < 500
    bench.assert_at_rest()


def test_plugin_that_drops_an_array_fails_the_scan_and_aborts_the_service(bench):
    drop = EpicsSignal(f"{bench.detector.prefix}HDF1:DroppedArrays", name="drop")
    drop.wait_for_connection(timeout=HANG_S)
    before = drop.get()
    with pytest.raises(FailedStatus) as error:
        bench.run(bench.fermat(500), at_point(bench, 2, lambda: drop.put(before + 3)))
    assert isinstance(cause(error), DetectorError)
    assert f"{bench.detector.prefix}HDF1: 3" in str(cause(error))
    assert bench.fake.commands.get() == "Arm Abort"
    bench.assert_at_rest()


def test_raw_file_that_exists_is_never_overwritten(bench):
    path = bench.raw_folder / "taken_raw.h5"
    path.write_bytes(b"precious")
    with pytest.raises(FileExistsError, match="choose another scan_id"):
        bench.run(bench.fermat(2, scan_id="taken"))
    assert path.read_bytes() == b"precious"
    assert bench.fake.commands.get() == ""
    bench.assert_at_rest()


def test_incomplete_run_is_told_and_does_not_fail_the_plan(bench, caplog):
    bench.fake.end_state.put("INCOMPLETE")
    bench.run(bench.fermat(2))
    assert bench.one("stop")["exit_status"] == "success"
    assert "ended INCOMPLETE" in caplog.text
    (event,) = bench.documents_of("stream_account")
    assert event["data"]["stream_state"] == "INCOMPLETE"


def test_incomplete_run_fails_the_plan_that_needs_every_frame(bench):
    bench.fake.end_state.put("INCOMPLETE")
    service = StreamServiceDevice(bench.service_prefix, name="strict", quiet_s=0.1, require_complete=True)
    with pytest.raises(FailedStatus) as error:
        bench.run(bench.fermat(2, service=service))
    assert isinstance(cause(error), StreamServiceError)
    assert bench.one("stop")["exit_status"] == "fail"


def test_any_plan_can_be_streamed_with_the_decorator(bench):
    @stream_service_decorator(bench.service, ScanRequest(scan_id="decorated", n_positions=1))
    def plan():
        yield from bps.null()
        return "done"

    def staged():
        yield from bps.stage(bench.service, wait=True)
        assert (yield from plan()) == "done"
        yield from bps.unstage(bench.service, wait=True)

    bench.run(staged())
    assert bench.fake.commands.get() == "Arm Stop"


def test_positions_without_overlap_are_refused_before_anything_happens(bench):
    with pytest.raises(ValueError, match="make the step smaller"):
        bench.run(bench.fermat(10, probe_diameter_m=STEP_M))
    assert bench.messages == []


def test_position_out_of_reach_is_refused_before_anything_moves(bench):
    with pytest.raises(ValueError, match="position 0 needs stage_x at"):
        bench.run(bench.fermat(2, center_m=(1.0, 0.0)))
    assert bench.messages == []


def test_monochromator_is_done_also_when_it_is_there_already(bench):
    before_eV = bench.energy.readback.get()
    for energy_eV in (before_eV, before_eV + 1, before_eV):
        bench.energy.set(energy_eV).wait(HANG_S)
        assert bench.energy.readback.get() == pytest.approx(energy_eV, abs=1e-3)
