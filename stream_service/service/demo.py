"""`ptychostream demo`: the whole system on this machine, from a simulated beamline to a finished file.

Real parts only: the simulated IOC, the daemon and a Bluesky plan are three subprocesses that talk CA and PVA on
free loopback ports. This process watches the daemon's PVs, as a screen in a control room would.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import yaml

from stream_service.core.run import RunState
from stream_service.errors import WriteError
from stream_service.output_file import check_is_no_input, whole_file
from stream_service.processes.subprocesses import Subprocess, SubprocessError
from stream_service.qc.pictures import draw_overview
from stream_service.settings.beamlines import profile_path
from stream_service.settings.profile import Profile
from stream_service.settings.profile_file import load_profile
from stream_service.settings.recorded_choices import Translation
from stream_service.settings.status_table import ServicePV, StatusValue
from stream_service.sources.hdf5.recording import Hdf5Recording
from stream_service.standard_file import paths
from stream_service.testing.loopback import LOOPBACK, LoopbackEpics, process_environment

if TYPE_CHECKING:
    from stream_service.service.remote import RemoteService

READY_TIMEOUT_S = 300.0
"""The service compiles its kernels when it is first used on a machine: minutes where much else runs there."""
REPORT_TIMEOUT_S = 120.0
"""A report takes seconds, and yields to whatever else runs."""
SCAN_ID = "demo"
STEP_UM = 0.2
"""Of the spiral: about 70 % overlap for the simulated probe of 0.7 µm."""
EXPOSURE_S = 0.02


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of the demo."""

    step: str
    rows: int = 0
    rows_expected: int = 0
    rows_per_second: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of the demo. `status` holds the service's PVs at the end."""

    status: dict[ServicePV, StatusValue]
    rows_per_second: float
    standard: Path
    raw: Path
    truth: Path
    picture: Path
    report: Path
    notes: tuple[str, ...] = ()
    """What was assumed of a recording that was replayed."""

    @property
    def is_complete(self) -> bool:
        return self.status[ServicePV.STATE] == RunState.COMPLETE


def step_of(message: str) -> str:
    """Step that a service's message tells, without the notes on pixels and references, which are shown at the end."""
    return message.partition("; ")[0]


class Demo:
    """One demonstration; the files of an earlier one in the same folder are replaced."""

    def __init__(
        self,
        out: Path,
        n_points: int,
        replay: Path | None = None,
        ioc_options: tuple[str, ...] = (),
        translation: Translation | None = None,
    ) -> None:
        self._out = out.resolve()
        self._n_points = n_points
        self._replay = replay.resolve() if replay is not None else None
        self._ioc_options = ioc_options
        self._translation = translation
        self._notes: list[str] = []
        self._network = LoopbackEpics.reserve(["ioc", "service"])

    @property
    def status_command(self) -> str:
        """Command line that shows the status of its service in another terminal, whatever EPICS is set to there."""
        address = f"{LOOPBACK}:{self._network.ca_ports['service']}"
        return f"EPICS_CA_AUTO_ADDR_LIST=NO EPICS_CA_ADDR_LIST={address} ptychostream status"

    @property
    def web_command(self) -> str:
        """Command line that serves a page of its service, likewise."""
        address = f"{LOOPBACK}:{self._network.pva_ports['service']}"
        return f"EPICS_PVA_AUTO_ADDR_LIST=NO EPICS_PVA_NAME_SERVERS={address} ptychostream web sim"

    def run(self, report: Callable[[Progress], None]) -> Outcome:
        """Run it; `report` is called a few times a second. No process is left, whatever happens."""
        if self._replay is not None:  # before anything is replaced or started
            Hdf5Recording(self._replay, translation=self._translation).close()
        self._clear()
        standard, truth, picture = self._file("_std.h5"), self._file("_truth.npz"), self._file(".png")
        page = self._file("_report.html")
        with ExitStack() as processes:
            report(Progress("starting the simulated beamline"))
            processes.enter_context(self._start_ioc(truth)).wait_for("ready", READY_TIMEOUT_S)
            report(Progress("starting the streaming service"))
            profile = self._write_profile()
            service = processes.enter_context(self._start_service(profile))
            service.wait_for("ready", READY_TIMEOUT_S)
            status = self._scan(processes, report)

        if standard.exists():
            report(Progress("drawing"))
            draw_overview(standard, picture)
        raw = self._file("_raw.h5")
        page = Path(str(status[ServicePV.REPORT]) or page)
        return Outcome(status, row_rate(standard), standard, raw, truth, picture, page, tuple(self._notes))

    def _scan(self, processes: ExitStack, report: Callable[[Progress], None]) -> dict[ServicePV, StatusValue]:
        plan = self._start_plan()
        # ended by SIGINT, so that the RunEngine aborts the scan and the service in order
        processes.callback(plan.end, signal.SIGINT)
        os.environ.update(self._network.client_environment())  # before anything imports epics
        from stream_service.service.remote import RemoteService

        service = RemoteService("PTYCHO:", timeout_s=5.0)
        while plan.exit_code is None:
            plan.lines(0.1)
            now = service.read()
            rows_expected = int(now[ServicePV.ROWS_EXPECTED]) or self._n_points
            rows, rate = int(now[ServicePV.ROWS]), float(now[ServicePV.ROWS_PER_SECOND])
            report(Progress(step_of(str(now[ServicePV.MESSAGE])), rows, rows_expected, rate))
        if plan.exit_code:
            raise SubprocessError(f"the plan ended with exit code {plan.exit_code}:\n{plan.log_tail()}")
        report(Progress("writing the report"))
        return self._status_with_report(service)

    def _status_with_report(self, service: RemoteService) -> dict[ServicePV, StatusValue]:
        """The status once it names the report of the run, or without it after the time-out."""
        deadline_s = time.monotonic() + REPORT_TIMEOUT_S
        while not (status := service.read())[ServicePV.REPORT] and time.monotonic() < deadline_s:
            if not status[ServicePV.ROWS]:  # nothing to be reported
                break
            time.sleep(0.1)
        return status

    def _start_ioc(self, truth: Path) -> Subprocess:
        options = ["--truth", str(truth)]
        options += (
            ["--replay", str(self._replay), "--translation", (self._translation or Translation.SAMPLE).value]
            if self._replay
            else ["--references", str(self._file("_references.npz"))]
        )
        return self._start("ioc", "iocsim", [*options, *self._ioc_options], "ioc")

    def _start_service(self, profile: Path) -> Subprocess:
        return self._start("service", "stream_service.cli", ["run", str(profile)], "service")

    def _start_plan(self) -> Subprocess:
        options = ["--json", "--scan-id", SCAN_ID, "--raw-dir", str(self._out), "--exposure-s", str(EXPOSURE_S)]
        if self._replay:
            options += ["--positions", str(self._file("_positions.npy"))]
        else:
            options += ["--points", str(self._n_points), "--step-um", str(STEP_UM)]
        return self._start("plan", "ptychostream_plans.scan", options, None)

    def _start(self, name: str, module: str, options: list[str], server: str | None) -> Subprocess:
        network = self._network
        environment = network.server_environment(server) if server else network.client_environment()
        # one thread of the mathematics libraries each: four processes share this machine
        environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        return Subprocess(name, ["-m", module, *options], process_environment(environment), self._file(f"_{name}.log"))

    def _write_profile(self) -> Path:
        """The simulated beamline's profile, with this run's folder and references (or the replayed file's numbers)."""
        profile = load_profile(profile_path("sim"))
        document = profile.model_dump(mode="json", exclude_none=True)
        document["service"]["data_root"] = str(self._out)
        if self._replay:
            self._describe_replay(document)
        else:
            references = str(self._file("_references.npz"))
            document["references"] = {"dark": references, "flat": references, "mask": references}
        Profile.model_validate(document)
        path = self._file("_profile.yaml")
        with whole_file(path) as unfinished, unfinished.open("x", encoding="utf-8") as file:
            yaml.safe_dump(document, file, sort_keys=False)
        return path

    def _describe_replay(self, document: dict[str, Any]) -> None:
        assert self._replay is not None
        with Hdf5Recording(self._replay, translation=self._translation) as recording:
            self._n_points = recording.n_frames
            self._notes += recording.notes
            at = [(frame.attributes["x"], frame.attributes["y"]) for frame in recording.frames()]
            _save(self._file("_positions.npy"), np.array(at, np.float64))
            document["beamline"] = f"replay of {self._replay.name}"
            document["detector"] |= {
                "distance_m": recording.facts.det_dist_m,
                "pixel_m": recording.facts.pixel_m,
                "sensor_shape": list(recording.frame_shape),
                "axis_signs": list(recording.axis_signs or (1, 1)),
            }
            document["optics"] = {"kind": "unknown"}
            document["preprocessing"] |= {"negatives": "keep"}
            for of_our_camera in ("sat", "gain"):
                document["preprocessing"].pop(of_our_camera, None)
            if "mask" in recording.references:
                _save(self._file("_mask.npy"), recording.references["mask"])
                document["references"] = {"mask": str(self._file("_mask.npy"))}

    def _file(self, ending: str) -> Path:
        return self._out / f"{SCAN_ID}{ending}"

    def _clear(self) -> None:
        try:
            self._out.mkdir(parents=True, exist_ok=True)
            earlier = list(self._earlier_files())
            for old in earlier:
                check_is_no_input(old, filter(None, [self._replay]), "in --output,")
            for old in earlier:
                old.unlink()
        except OSError as error:
            raise WriteError(
                f"the demo cannot write into {self._out}: {error.strerror}; choose another --output"
            ) from error

    def _earlier_files(self) -> Iterator[Path]:
        endings = (
            "_std.h5",
            "_raw.h5",
            "_truth.npz",
            ".png",
            "_report.html",
            "_profile.yaml",
            "_references.npz",
            "_positions.npy",
            "_mask.npy",
        )
        yield from (path for ending in endings if os.path.lexists(path := self._file(ending)))


def _save(path: Path, array: np.ndarray[Any, Any]) -> None:
    with whole_file(path) as unfinished, unfinished.open("xb") as file:
        np.save(file, array)


def row_rate(standard: Path) -> float:
    """Rows per second of a scan, moves included, from the stamps of its first and last frame; 0 if there are none."""
    if not standard.exists():
        return 0.0
    with h5py.File(standard, "r") as file:
        stamps_ns = np.asarray(file[paths.STAMPS])[:, 0]
    span_ns = int(np.ptp(stamps_ns)) if len(stamps_ns) > 1 else 0
    return (len(stamps_ns) - 1) / (span_ns / 1e9) if span_ns else 0.0
