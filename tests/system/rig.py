"""A simulated beamline, a daemon for it, and a CA client of both: what tests of the live path work with."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml
from beamline_client import BeamlineClient
from limits import HANG_S

from stream_service.processes.subprocesses import Subprocess
from stream_service.settings.beamlines import profile_path
from stream_service.testing.loopback import LoopbackEpics, process_environment

ENDED = ("COMPLETE", "INCOMPLETE", "ABORTED", "FAILED")
HELD_UP = {"drain_s": 10.0, "pairing_timeout_s": 60.0, "clock_limit_s": 10.0}
"""Time limits of the profile that a process may exceed which is held up; tests of such a limit give their own."""


def profile_for(ioc_prefix: str, service_prefix: str, folder: Path, **changes: Any) -> Path:
    """The simulated beamline's profile under other prefixes; `changes` are merged into its sections.

    Without reports, of which each takes seconds: a test that wants them says so.
    """
    text = profile_path("sim").read_text(encoding="utf-8").replace("SIM:", ioc_prefix)
    document = yaml.safe_load(text)
    document["service"] |= {"prefix": service_prefix, "data_root": str(folder), "report": False} | HELD_UP
    for section, values in changes.items():
        document[section] = document.get(section, {}) | values
    path = folder / "profile.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


@dataclass
class Rig:
    """A simulated beamline, a daemon for it, and a CA client of both."""

    beamline: BeamlineClient
    service: BeamlineClient
    child: Subprocess
    folder: Path
    start: Callable[[Path], Subprocess]
    """Starts the daemon, with this log."""
    starts: int = 1

    def close(self) -> None:
        self.beamline.close()
        self.service.close()
        self.child.end()

    def kill_and_start_again(self) -> None:
        """Kill the daemon (SIGKILL), and start it again with the same command."""
        self.kill()
        self.start_again()

    def kill(self) -> None:
        """Kill the daemon."""
        self.child.process.kill()
        self.child.process.wait(HANG_S)

    def launch(self) -> None:
        """Start it once more, with the same command, without waiting until it is ready."""
        self.child.end()
        self.starts += 1
        self.child = self.start(self.folder / f"service{self.starts}.log")

    def start_again(self) -> None:
        """Start it once more; it is ready then."""
        self.launch()
        self.child.wait_for("ready", HANG_S)

    def arm(self, scan_id: str, **request: Any) -> str:
        """Arm for a scan; the service's sentence if it refuses."""
        self.service.put("Request", json.dumps({"scan_id": scan_id, **request}))
        self.service.put("Arm", 1, timeout_s=HANG_S)
        self.service.wait_for("Arm", 0)
        return str(self.service.get("ArmError"))

    def slow_reference(self) -> str:
        """A dark below the data root that takes seconds to read: a stack of frames, of which the disk holds nothing."""
        np.lib.format.open_memmap(self.folder / "slow.npy", "w+", np.uint8, (96, 2048, 2048)).flush()
        return "slow.npy"

    def readers(self) -> list[int]:
        """The daemon's processes that read references; one that is being started is a copy of the daemon still."""
        found = []
        for children in Path(f"/proc/{self.child.process.pid}/task").glob("*/children"):
            with suppress(OSError):  # one that has just ended
                numbers = [int(number) for number in children.read_text().split()]
                found += [n for n in numbers if "reference_reader" in Path(f"/proc/{n}/cmdline").read_text()]
        return found

    def hold_reader(self) -> int:
        """Stop the process that reads a reference as soon as there is one, so that it never ends by itself; its id."""
        while True:
            self.service.wait_until(self.readers)
            with suppress(ValueError, ProcessLookupError):  # it has just ended
                (reader,) = self.readers()
                os.kill(reader, signal.SIGSTOP)
                return reader

    def record(self, name: str, n_frames: int, *, column_chunk: int = 1, swmr: bool = True) -> Path:
        """Let HDF1 record the next frames, too; the file it makes at the first one."""
        self.beamline.set_hdf1(
            self.folder,
            name,
            "%s%s_raw.h5",
            HDF1__BlockingCallbacks="Yes",
            HDF1__SWMRMode="On" if swmr else "Off",
            HDF1__NDAttributeChunk=column_chunk,
            HDF1__NumFramesFlush=1,
            HDF1__NumCapture=n_frames,
        )
        self.beamline.begin_capture()
        return self.folder / f"{name}_raw.h5"

    def counter(self) -> int:
        """The uniqueId of the detector's latest frame."""
        return int(self.beamline.get("cam1:ArrayCounter_RBV"))

    def wait_for_end(self) -> str:
        self.service.wait_until(lambda: self.service.get("State") in ENDED)
        return str(self.service.get("State"))

    def open(self, scan_id: str) -> h5py.File:
        return h5py.File(self.folder / f"{scan_id}_std.h5")

    def truth(self) -> dict[str, np.ndarray]:
        path = self.folder / "truth.npz"
        self.beamline.put("Sim:TruthFile", str(path))
        self.beamline.put("Sim:SaveTruth", 1)
        self.beamline.wait_until(path.exists)
        with np.load(path) as archive:
            return {name: archive[name] for name in ("unique_id", "x_m", "y_m", "status")}


LIMITED = """
import resource, runpy, sys
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
runpy.run_module("stream_service.cli", run_name="__main__")
"""
"""The command `ptychostream` with a limit on its file descriptors, as a script."""


def start_rig(
    ioc_prefix: str,
    epics: LoopbackEpics,
    folder: Path,
    descriptors: int | None = None,
    variables: Mapping[str, str] | None = None,
    server: str = "service",
    **changes: Any,
) -> Rig:
    """A daemon beside a running beamline, with so many file descriptors and these environment variables; `changes` go
    into sections of its profile. It has the ports of a server of the network."""
    rig = begin_rig(ioc_prefix, epics, folder, descriptors, variables, server, **changes)
    rig.child.wait_for("ready", HANG_S)
    return rig


def begin_rig(
    ioc_prefix: str,
    epics: LoopbackEpics,
    folder: Path,
    descriptors: int | None = None,
    variables: Mapping[str, str] | None = None,
    server: str = "service",
    **changes: Any,
) -> Rig:
    """The same while the daemon is not ready yet."""
    prefix = f"{ioc_prefix}{folder.name}:"
    profile = profile_for(ioc_prefix, prefix, folder, **changes)
    environment = process_environment(epics.server_environment(server) | dict(variables or {}))
    how = ["-m", "stream_service.cli"] if descriptors is None else ["-c", LIMITED, str(descriptors)]

    def start(log: Path) -> Subprocess:
        return Subprocess("service", [*how, "run", str(profile)], environment, log)

    child = start(folder / "service.log")
    beamline = BeamlineClient(ioc_prefix)
    beamline.put("Pva1:EnableCallbacks", 1)
    return Rig(beamline, BeamlineClient(prefix), child, folder, start)


class Rigs:
    """The daemon of a module's tests: that of the test before, if it still runs and its settings are the same.

    There is one at a time: two cannot share the CA port.
    """

    def __init__(self, epics: LoopbackEpics, new_folder: Callable[[], Path]) -> None:
        self._epics = epics
        self._new_folder = new_folder
        self._running: tuple[Rig, tuple[str, dict[str, Any]]] | None = None

    def beside(self, ioc_prefix: str, **settings: Any) -> Rig:
        """A daemon beside this beamline, ready for a run; `settings` are those of `start_rig`."""
        if self._running is not None:
            rig, made_for = self._running
            if made_for == (ioc_prefix, settings) and rig.child.exit_code is None:
                return rig
        self.close()
        rig = start_rig(ioc_prefix, self._epics, self._new_folder(), **settings)
        self._running = rig, (ioc_prefix, settings)
        return rig

    @property
    def folder(self) -> Path | None:
        """Folder of the daemon that runs."""
        return None if self._running is None else self._running[0].folder

    def close(self) -> None:
        """End the daemon that runs, if any."""
        if self._running is not None:
            self._running[0].close()
            self._running = None
