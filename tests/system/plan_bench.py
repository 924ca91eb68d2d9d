"""A simulated beamline, the real service, and the devices of a RunEngine session: for tests of whole scans."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
from bluesky import RunEngine
from event_model import DocumentNames, schema_validators
from limits import HANG_S
from rig import Rig

from ptychostream_devices import Monochromator, PtychoDetector, ScanStage, Shutter, StreamServiceDevice
from stream_service.standard_file import validate_file

EXPOSURE_S = 0.004
_NUMBERS = itertools.count()

OnDocument = Callable[[str, dict[str, Any]], None]


@dataclass
class PlanBench:
    """Devices, a RunEngine, and the documents of the last plan."""

    rig: Rig
    detector: PtychoDetector
    stage: ScanStage
    energy: Monochromator
    shutter: Shutter
    stream: StreamServiceDevice
    engine: RunEngine = field(default_factory=lambda: RunEngine({}, context_managers=[]))
    documents: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    @property
    def devices(self) -> tuple[PtychoDetector, ScanStage, StreamServiceDevice]:
        """Devices of most plans."""
        return self.detector, self.stage, self.stream

    def scan_id(self, word: str = "scan") -> str:
        """A name that is used once."""
        return f"{word}_{next(_NUMBERS)}"

    def run(self, plan: Any, on_document: OnDocument | None = None) -> Any:
        """Run a plan; every document is validated."""
        self.documents.clear()

        def note(name: str, document: dict[str, Any]) -> None:
            schema_validators[DocumentNames[name]].validate(document)
            self.documents.append((name, document))
            if on_document is not None:
                on_document(name, document)

        return self.engine(plan, note)

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        """The documents of one kind."""
        return [document for name, document in self.documents if name == kind]

    def n_points(self) -> int:
        """Positions read so far."""
        streams = {document["uid"]: document["name"] for document in self.of_kind("descriptor")}
        return sum(streams[event["descriptor"]] == "primary" for event in self.of_kind("event"))

    def open(self, scan_id: str) -> h5py.File:
        """The standard file of a scan, which must be a valid one."""
        path = self.rig.folder / f"{scan_id}_std.h5"
        assert [finding for finding in validate_file(path) if finding.level == "error"] == []
        return h5py.File(path)

    def assert_complete(self, scan_id: str, n_rows: int) -> None:
        """The scan's file has all rows, and says so."""
        with self.open(scan_id) as file:
            assert (file["/entry/run/state"][()], len(file["/entry/data"])) == (b"COMPLETE", n_rows)

    def assert_at_rest(self) -> None:
        """Nothing exposes, captures or is staged, and the stage comes to rest: a record stops at its next poll."""
        assert self.detector.cam.acquire.get() == 0
        assert self.detector.hdf.capture.get() == 0
        deadline = time.monotonic() + HANG_S
        while self.stage.x.moving or self.stage.y.moving:
            assert time.monotonic() < deadline, "the stage still moves"
            time.sleep(0.02)
        assert self.detector._staged.value == "no"


def make_plan_bench(rig: Rig) -> PlanBench:
    """The devices, connected."""
    prefix = rig.beamline.prefix
    bench = PlanBench(
        rig,
        PtychoDetector(prefix, name="detector", write_path_template=str(rig.folder)),
        ScanStage(prefix, name="stage"),
        Monochromator(f"{prefix}Energy", name="energy"),
        Shutter(f"{prefix}Shutter", name="shutter"),
        StreamServiceDevice(rig.service.prefix, name="stream", quiet_s=0.5),
    )
    for device in (bench.stage, bench.energy, bench.shutter):
        device.wait_for_connection(timeout=HANG_S)
    return bench


def at_point(bench: PlanBench, n_points: int, do: Callable[[], object]) -> OnDocument:
    """Do something, once, when that many positions have been read."""
    is_done = False

    def on_document(name: str, _: dict[str, Any]) -> None:
        nonlocal is_done
        if name == "event" and bench.n_points() == n_points and not is_done:
            is_done = True
            do()

    return on_document


def files_of(folder: Path) -> set[str]:
    """Names of the standard files in a folder."""
    return {path.name.removesuffix("_std.h5") for path in folder.glob("*_std.h5")}
