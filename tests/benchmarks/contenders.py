"""The programs that are measured side by side: each takes the frames of one PVA channel, or of one ZMQ address.

`client` is a bare p4p client that counts, `pvapy` is pvapy's writer of HDF5 files in its consumer, `raw` is this
service with ids, positions and SWMR and no correction, `full` is this service with everything on. `zmq_client` is a
bare pyzmq loop that counts, `zmq_full` is this service with everything on, over ADZMQ.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Self

import numpy as np
import yaml

from stream_service.errors import SourceError
from stream_service.processes.subprocesses import Subprocess
from stream_service.settings.beamlines import profile_path
from stream_service.testing.loopback import LoopbackEpics, process_environment

HERE = Path(__file__).parent
FRAMES = "SIM:Pva1:Image"
PVAPY_PYTHON = "PTYCHOSTREAM_PVAPY_PYTHON"
QUEUE_BYTES = 128 << 20
"""Of the bare client: what the service's profile gives to its PVA queue."""
PVAPY_SERVER_QUEUE, PVAPY_RECEIVER_QUEUE = 1000, 20_000
PVAPY_QUEUE_BYTES = 3 << 30
"""Its receiving queue is bounded in frames, of which 20,000 large ones do not fit into memory."""


class Contender(ABC):
    """One program in a process of its own, from `start` to `close`."""

    name: str
    plugin = "Pva1"
    """Of the simulated camera, which sends its frames."""

    def __init__(
        self,
        folder: Path,
        network: LoopbackEpics,
        size: int,
        crop: int,
        frames_per_position: int,
        zmq_address: str = "",
    ) -> None:
        self.zmq_address = zmq_address
        self.folder = folder
        self.network = network
        self.size = size
        self.crop = crop
        self.frames_per_position = frames_per_position

    @property
    def bytes_per_frame(self) -> float:
        """Written to its file for every frame received."""
        return 0.0

    @abstractmethod
    def start(self) -> None:
        """Start it, and wait until it is connected to the frames."""

    def arm(self, n_frames: int) -> None:  # noqa: B027  (only the service is armed)
        """Make ready for an acquisition."""

    @property
    @abstractmethod
    def pid(self) -> int: ...

    @abstractmethod
    def counts(self) -> tuple[int, int]:
        """Frames received and frames done with since it was armed."""

    @abstractmethod
    def finish(self, n_frames: int) -> dict[str, Any]:
        """Wait for the end of what it still holds; `received`, `lost` and what else it knows."""

    @abstractmethod
    def close(self) -> None:
        """End it, and remove what it wrote."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Counting(Contender):
    """A program that counts in a file which is mapped into its memory and ours."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._path = self.folder / f"{self.name}.counts"
        self._count = np.memmap(self._path, np.int64, "w+", shape=2)
        self._first = (0, 0)
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def arm(self, n_frames: int) -> None:
        self._first = (int(self._count[0]), int(self._count[1]))

    def counts(self) -> tuple[int, int]:
        received, done = (int(count) - first for count, first in zip(self._count, self._first, strict=True))
        return received, done

    def finish(self, n_frames: int) -> dict[str, Any]:
        last = -1
        while (done := self.counts()[1]) != last:
            last = done
            time.sleep(0.5)
        return {"received": self.counts()[0], "lost": n_frames - done}

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()  # it need not end well: its file is not looked at
            self._process.wait()


class BareClient(Counting):
    """A p4p client that does nothing but take frames and look at their ids."""

    name = "client"
    script = "bare_client.py"

    @property
    def source(self) -> str:
        """Where its frames come from."""
        return FRAMES

    def start(self) -> None:
        queue = max(4, min(4096, QUEUE_BYTES // (2 * self.size * self.size)))
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / self.script), self.source, str(self._path), str(queue)],
            stdout=subprocess.PIPE,
            text=True,
            env=process_environment(self.network.client_environment()),
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()


class BareZmqClient(BareClient):
    """A pyzmq loop that does nothing but receive."""

    name = "zmq_client"
    plugin = "ZMQ1"
    script = "bare_zmq_client.py"

    @property
    def source(self) -> str:
        return self.zmq_address


class Pvapy(Counting):
    """`pvapy-hpc-consumer` with `Hdf5AdImageWriter`, one file, queues as long as they may be."""

    name = "pvapy"

    @property
    def bytes_per_frame(self) -> float:
        return 2.0 * self.size * self.size

    def start(self) -> None:
        frame_bytes = 2 * self.size * self.size
        folder = self.folder / "pvapy"
        settings = {"outputDirectory": str(folder), "nImagesPerFile": 1_000_000, "counts": str(self._path)}
        environment = process_environment(self.network.client_environment())
        environment["EPICS_PVA_BROADCAST_PORT"] = str(self.network.pva_ports["ioc"])
        python = os.environ[PVAPY_PYTHON]
        environment["PATH"] = f"{Path(python).parent}{os.pathsep}{environment.get('PATH', '')}"
        environment.pop("PYTHONPATH", None)
        options = ["--input-channel", FRAMES, "--report-period", "0", "--disable-curses"]
        options += ["--processor-file", str(HERE / "pvapy_writer.py"), "--processor-class", "CountingWriter"]
        options += ["--processor-args", json.dumps(settings)]
        options += ["--server-queue-size", str(min(PVAPY_SERVER_QUEUE, PVAPY_QUEUE_BYTES // 4 // frame_bytes))]
        options += ["--receiver-queue-size", str(min(PVAPY_RECEIVER_QUEUE, PVAPY_QUEUE_BYTES // frame_bytes))]
        self._process = subprocess.Popen(
            [python, str(Path(python).parent / "pvapy-hpc-consumer"), *options],
            stdin=subprocess.PIPE,  # it reads commands, and ends where there are none
            stdout=(self.folder / "pvapy.log").open("w"),
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
        )
        time.sleep(3.0)  # it does not say when it is connected

    def close(self) -> None:
        super().close()
        for path in (self.folder / "pvapy").glob("*.hdf"):
            path.unlink()


class Service(Contender):
    """This service, run after run."""

    name = "full"

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._process: Subprocess | None = None
        self._n_armed = 0
        self.queue_MiB = QUEUE_BYTES >> 20

    @property
    def bytes_per_frame(self) -> float:
        return 4.0 * self.crop * self.crop / self.frames_per_position

    @property
    def messages(self) -> str:
        """Address at which verdicts are told."""
        return f"ipc://{self.folder}/messages"

    def profile(self) -> dict[str, Any]:
        """Everything on: dark, flat, mask, saturation, positions paired by timestamp."""
        document = yaml.safe_load(profile_path("sim").read_text(encoding="utf-8"))
        references = str(self.folder / "references.npz")
        document["references"] = {"dark": references, "flat": references, "mask": references}
        document["detector"]["sensor_shape"] = [self.size, self.size]
        document["service"] |= {"data_root": str(self.folder), "frame_queue_MiB": self.queue_MiB}
        document["service"]["messages"] = self.messages
        preprocessing = document["preprocessing"]
        preprocessing["frames_per_position"] = self.frames_per_position
        if self.crop != self.size:
            preprocessing |= {"roi": [self.crop, self.crop], "roi_center": "0.5,0.5"}
        return document

    def start(self) -> None:
        profile = self.folder / f"{self.name}.yaml"
        profile.write_text(yaml.safe_dump(self.profile()), encoding="utf-8")
        environment = process_environment(self.network.server_environment("service"))
        arguments = [str(HERE / "named_threads.py"), "stream_service.cli", "run", str(profile)]
        self._process = Subprocess("service", arguments, environment, self.folder / f"{self.name}.log")
        self._process.wait_for("ready", 120)
        from stream_service.channel_access.library import PV
        from stream_service.service.remote import RemoteService

        try:
            self._remote = RemoteService("PTYCHO:", 20)
        except SourceError as error:
            said = (self.folder / f"{self.name}.log").read_text(encoding="utf-8")[-2000:]
            raise SystemExit(f"{error}; the service said:\n{said}") from error
        self._commands = {name: PV(f"PTYCHO:{name}") for name in ("Request", "Arm", "Stop")}

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.process.pid

    def arm(self, n_frames: int) -> None:
        self._n_armed += 1
        request = {
            "scan_id": f"bench{self._n_armed}",
            "n_positions": n_frames // self.frames_per_position,
            "frames_per_position": self.frames_per_position,
        }
        self._put("Request", json.dumps(request), timeout=10)
        self._put("Arm", 1, timeout=60)
        status = self._status()
        if status["ArmError"]:
            raise SystemExit(f"the service did not arm: {status['ArmError']}")

    def counts(self) -> tuple[int, int]:
        status = self._status()
        return int(status["FramesReceived"]), int(status["Rows"]) * self.frames_per_position

    @property
    def next_file(self) -> Path:
        """Of the run that is armed: it is made with its first frame."""
        return self.folder / f"bench{self._n_armed}_std.h5"

    @property
    def file(self) -> Path:
        """Of the newest run."""
        return Path(self._status()["File"])

    def stop(self) -> float:
        """Ask for the end of the run; seconds until its state says that it was heard."""
        began = time.perf_counter()
        self._put("Stop", 1)
        while self._status()["State"] in ("ARMED", "RECEIVING"):
            time.sleep(0.005)
        return time.perf_counter() - began

    def finish(self, n_frames: int) -> dict[str, Any]:
        found = self.account(n_frames)
        self.file.unlink(missing_ok=True)
        return found

    def account(self, n_frames: int) -> dict[str, Any]:
        """End the run if it has not ended; what became of the frames. Its file is left."""
        began = time.perf_counter()
        self.stop()
        while self._status()["State"] not in ("COMPLETE", "INCOMPLETE", "FAILED", "ABORTED"):
            time.sleep(0.02)
        ended_s = time.perf_counter() - began
        time.sleep(0.3)
        status = self._status()
        accounted = sum(status[f"Frames{name}"] for name in ("Stored", "Lost", "NotExposed", "Incomplete"))
        return {
            "received": int(status["FramesReceived"]),
            "lost": int(status["FramesLost"]),
            "unaccounted": int(n_frames - accounted),
            "state": status["State"],
            "end_s": ended_s,
        }

    def _put(self, name: str, value: Any, timeout: float | None = None) -> None:
        """Put to a command's PV, and wait until it is done where a time is given."""
        self._commands[name].wait_for_connection(10)
        self._commands[name].put(value, wait=timeout is not None, timeout=timeout or 10)

    def _status(self) -> dict[str, Any]:
        return {str(name): value for name, value in self._remote.read().items()}

    def close(self) -> None:
        """End it, and its channels: CA searches ever more seldom for lost ones, and finds the next service too late."""
        from stream_service.channel_access.channel import let_go

        if self._process is None:
            return
        self._process.end()
        until = time.monotonic() + 5.0
        for channel in (*self._remote._channels.values(), *self._commands.values()):
            while channel.connected and time.monotonic() < until:
                time.sleep(0.01)
            let_go(channel)


class RawService(Service):
    """This service as a writer: ids, positions from the NDAttributes, SWMR; no correction."""

    name = "raw"

    def profile(self) -> dict[str, Any]:
        document = super().profile()
        del document["references"], document["preprocessing"]["sat"], document["preprocessing"]["gain"]
        for axis in "xy":
            document["channels"][axis] = {"how": "attribute", "attribute": f"pos{axis}", "unit": "um"}
        return document


class ZmqService(Service):
    """This service with everything on, its frames over ADZMQ."""

    name = "zmq_full"
    plugin = "ZMQ1"

    def profile(self) -> dict[str, Any]:
        document = super().profile()
        document["detector"]["frames"] = {"adzmq": {"connect": self.zmq_address, "plugin": "SIM:ZMQ1:"}}
        del document["detector"]["frame_time"]["field"]
        return document


KINDS: tuple[type[Contender], ...] = (BareClient, Pvapy, RawService, Service, BareZmqClient, ZmqService)
CONTENDERS = {kind.name: kind for kind in KINDS}
