"""The source of all live measurements: one simulated beamline, whose camera is started at a given rate."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stream_service.processes.subprocesses import Subprocess
from stream_service.testing.loopback import LOOPBACK, LoopbackEpics, free_port, process_environment

STACK_BYTES = 64 << 20
SPEED_UM_PER_S = 5.0
MOST_TO_BEGIN_S = 10.0
PLUGINS = ("Pva1", "ZMQ1")
FURTHEST_UM = 1e6
"""Soft limits of the stage: it is to move until the last frame of a million."""


class Camera:
    """The simulated camera and stage over CA, and the process behind them."""

    def __init__(self, pid: int, log: Path, zmq_address: str) -> None:
        from stream_service.channel_access.library import PV

        self.pid = pid
        self.log = log
        self.zmq_address = zmq_address
        self.plugin = "Pva1"
        """That sends the frames; the others are disabled."""
        names = (
            *(f"{plugin}:EnableCallbacks" for plugin in PLUGINS),
            "cam1:ImageMode",
            "cam1:NumImages",
            "cam1:AcquireTime",
            "cam1:AcquirePeriod",
        )
        names += ("cam1:Acquire", "cam1:Acquire_RBV", "cam1:ArrayCounter_RBV", "X.VELO", "X.VAL", "X.HLM", "X.LLM")
        self._pvs: dict[str, Any] = {name: PV(f"SIM:{name}", auto_monitor=True) for name in names}
        for pv in self._pvs.values():
            pv.wait_for_connection(20)
        self.put("X.HLM", FURTHEST_UM)
        self.put("X.LLM", -FURTHEST_UM)

    def put(self, name: str, value: float, *, wait: bool = True) -> None:
        self._pvs[name].put(value, wait=wait, timeout=30)

    def start(self, n_frames: int, rate_hz: float) -> None:
        """Acquire `n_frames` while the stage moves."""
        period_s = 1 / rate_hz
        for name, value in (
            *((f"{plugin}:EnableCallbacks", int(plugin == self.plugin)) for plugin in PLUGINS),
            ("cam1:ImageMode", 1),
            ("cam1:NumImages", n_frames),
            ("cam1:AcquireTime", min(period_s / 2, 0.0005)),
            ("cam1:AcquirePeriod", period_s),
            ("X.VELO", SPEED_UM_PER_S),
        ):
            self.put(name, value)
        here = self._pvs["X.VAL"].get(use_monitor=False)
        way = SPEED_UM_PER_S * (n_frames * period_s * 2 + 5)
        self.put("X.VAL", here + way if here <= 0 else here - way, wait=False)
        before = self.n_sent
        self.put("cam1:Acquire", 1, wait=False)
        until = time.monotonic() + MOST_TO_BEGIN_S
        while not self.is_acquiring and self.n_sent == before:  # a short acquisition may have ended by now
            if time.monotonic() > until:
                raise SystemExit(f"the simulated camera has not begun to acquire after {MOST_TO_BEGIN_S:g} s")

    def stop(self) -> None:
        self.put("cam1:Acquire", 0)

    @property
    def is_acquiring(self) -> bool:
        return bool(self._pvs["cam1:Acquire_RBV"].get(use_monitor=False, timeout=10))

    @property
    def n_sent(self) -> int:
        return int(self._pvs["cam1:ArrayCounter_RBV"].get(use_monitor=False, timeout=10))


@contextmanager
def beamline(folder: Path, size: int, codec: str, *, sees: str) -> Iterator[tuple[LoopbackEpics, Camera]]:
    """A simulated beamline that sends precomputed frames of size x size uint16; this process is its client.

    `sees` names the second server of its network.
    """
    network = LoopbackEpics.reserve(["ioc", sees])
    n_stack = max(4, min(32, STACK_BYTES // (2 * size * size)))
    options = ["--shape", f"{size},{size}", "--stack", str(n_stack), "--codec", codec]
    options += ["--references", str(folder / "references.npz")]
    zmq_address = f"tcp://{LOOPBACK}:{free_port()}"
    options += ["--zmq", f"{zmq_address} PUB"]
    environment = process_environment(network.server_environment("ioc"))
    script = str(Path(__file__).with_name("named_threads.py"))
    with Subprocess("ioc", [script, "iocsim", *options], environment, folder / "ioc.log") as ioc:
        ioc.wait_for("ready", 300)
        os.environ.update(network.client_environment())
        camera = Camera(ioc.process.pid, ioc.log, zmq_address)
        yield network, camera
