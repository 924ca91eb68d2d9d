"""One simulated beamline whose frames go out by every transport, and a daemon for each, which all get the same ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from beamline_client import BeamlineClient
from limits import HANG_S
from rig import Rig, begin_rig

from stream_service.core.frame_status import FrameStatus
from stream_service.standard_file.rules.validate import validate_file
from stream_service.testing.loopback import LoopbackEpics, free_port

SERVERS = {"pva": "service", "adzmq": "adzmq", "simplon": "simplon", "stream2": "stream2"}
"""Of the network, by transport."""
DIALECTS = ("adzmq", "simplon", "stream2")
SERIES = ("simplon", "stream2")
"""Those that count the frames of each series from 1, and have no NDAttributes."""
SHAPE = (96, 128)
"""Of frames of which few fit into the buffers of the network."""
MOST_KEPT = 100
"""Messages, by a control unit."""


@dataclass(frozen=True)
class Senders:
    """Where the beamline sends."""

    ports: Mapping[str, int]

    @classmethod
    def on_free_ports(cls) -> Senders:
        return cls({name: free_port() for name in DIALECTS})

    @property
    def options(self) -> tuple[str, ...]:
        """Of `iocsim`."""
        address = {name: f"tcp://127.0.0.1:{port}" for name, port in self.ports.items()}
        zmq = ("--zmq", f"{address['adzmq']} PUB", "--simplon", address["simplon"], "--stream2", address["stream2"])
        return ("--shape", f"{SHAPE[0]},{SHAPE[1]}", "--dcu-queue", str(MOST_KEPT), *zmq)

    def profile(self, transport: str, prefix: str) -> dict[str, dict[str, Any]]:
        """What the profile of a daemon says that gets its frames by this transport."""
        connect = f"tcp://127.0.0.1:{self.ports[transport]}" if transport in DIALECTS else ""
        return profile_of(transport, prefix, SHAPE, connect=connect)


def profile_of(transport: str, prefix: str, shape: tuple[int, int], **zmq: Any) -> dict[str, dict[str, Any]]:
    """The sections of a profile that depend on the transport; `zmq` are settings of its socket."""
    detector: dict[str, Any] = {"sensor_shape": list(shape)}
    channels = {"y": {"how": "attribute", "attribute": "posy", "pv": f"{prefix}Y.RBV", "unit": "um"}}
    if transport in DIALECTS:
        detector["frames"] = {transport: zmq}
    if transport == "adzmq":
        zmq["plugin"] = f"{prefix}ZMQ1:"
        detector["frame_time"] = {"marks": "end"}
    if transport in SERIES:
        detector |= {"frame_time": {}, "exposure_attribute": "real_time"}
        channels = {"energy": {"how": "timestamp", "pv": f"{prefix}Energy_RBV", "unit": "eV", "continuous": False}}
    return {"detector": detector, "channels": channels}


class Transports:
    """The daemons, by transport."""

    def __init__(self, ioc_prefix: str, senders: Senders, epics: LoopbackEpics, folder: Path, **service: Any) -> None:
        """`service` are settings of all."""
        self._start = lambda name, path: begin_rig(
            ioc_prefix, epics, path, server=SERVERS[name], service=service, **senders.profile(name, ioc_prefix)
        )
        self.folder = folder
        self.rigs: dict[str, Rig] = {}
        self.begin(*SERVERS)
        self.beamline.put("ZMQ1:EnableCallbacks", 1)

    def begin(self, *names: str) -> None:
        """Start the daemons of these transports, in the place of those that were killed."""
        for name in names:
            if name in self.rigs:
                self.rigs[name].close()
            path = self.folder / f"{name}{len(list(self.folder.glob(f'{name}*')))}"
            path.mkdir()
            self.rigs[name] = self._start(name, path)
        for name in names:
            self.rigs[name].child.wait_for("ready", HANG_S)

    @property
    def beamline(self) -> BeamlineClient:
        """A client of it."""
        return self.rigs["pva"].beamline

    def begin_exposing(self, n_images: int, period_s: float) -> None:
        """Have the detector begin to take images."""
        self.beamline.put_all(cam1__ImageMode="Multiple", cam1__NumImages=n_images, cam1__AcquirePeriod=period_s)
        self.beamline.put("cam1:Acquire", 1, wait=False)
        self.beamline.wait_for("cam1:Acquire_RBV", "Acquiring")

    def arm(self, scan_id: str, *names: str, **request: Any) -> int:
        """Arm these daemons, or all, at once; gives the uniqueId of the detector's latest frame."""
        rigs = self._named(*names)
        for rig in rigs.values():
            rig.service.put("Request", json.dumps({"scan_id": scan_id, **request}))
            rig.service.pv("Arm").put(1, use_complete=True)
        for name, rig in rigs.items():
            rig.service.wait_until(lambda rig=rig: rig.service.pv("Arm").put_complete)
            assert rig.service.get("ArmError") == "", name
        return self.rigs["pva"].counter()

    def stop(self, *names: str) -> None:
        """Have these runs end, at once."""
        for rig in self._named(*names).values():
            rig.service.put("Stop", 1, wait=False)

    def wait_for_ends(self, *names: str) -> dict[str, str]:
        """The states in which the runs end."""
        return {name: rig.wait_for_end() for name, rig in self._named(*names).items()}

    def each(self, scan_id: str, *names: str) -> Iterator[tuple[str, h5py.File]]:
        """The file of each daemon, which is sound."""
        for name, rig in self._named(*names).items():
            with rig.open(scan_id) as file:
                assert [str(found) for found in validate_file(file.filename) if found.level == "error"] == [], name
                yield name, file

    def say(self, pv: str, *names: str) -> dict[str, Any]:
        """What a PV of each daemon says."""
        return {name: rig.service.get(pv) for name, rig in self._named(*names).items()}

    def wait_until_each(self, claim: Callable[[Rig], bool], *names: str) -> None:
        """Wait until it is true of each daemon."""
        for rig in self._named(*names).values():
            rig.service.wait_until(lambda rig=rig: claim(rig))

    def n_dropped(self, name: str) -> int:
        """Messages for which a control unit has had no room."""
        return int(self.beamline.get(f"Sim:{name.title()}Dropped_RBV"))

    def close(self) -> None:
        for rig in self.rigs.values():
            rig.close()

    def _named(self, *names: str) -> dict[str, Rig]:
        return {name: self.rigs[name] for name in names or SERVERS}


def identities(file: h5py.File) -> list[tuple[int, int]]:
    """Epoch and uniqueId of every row."""
    columns = (file[f"/entry/frames/{name}"][()].reshape(-1).tolist() for name in ("epoch", "unique_id"))
    return list(zip(*columns, strict=True))


def status_of(file: h5py.File, status: FrameStatus) -> list[tuple[int, int]]:
    """Epoch and uniqueId of the frames that have it."""
    group = file["/entry/ledger"]
    has_it = group["status"][()] == status
    return list(zip(group["epoch"][()][has_it].tolist(), group["unique_id"][()][has_it].tolist(), strict=True))


def ledger(file: h5py.File) -> dict[str, int]:
    """The counts of the account that are not zero."""
    group = file["/entry/ledger"]
    counts = {name: int(item[()]) for name, item in group.items() if np.ndim(item) == 0}
    return {name: count for name, count in counts.items() if count}
