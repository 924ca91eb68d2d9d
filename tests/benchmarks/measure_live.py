"""One measurement of the live path, in a process of its own: `python measure_live.py WHO SIZE RATE_HZ SECONDS`.

WHO is `client` (a bare p4p monitor that only counts ids) or `service` (the daemon with everything on: dark, flat, mask,
saturation, positions paired by timestamp from a moving stage, SWMR file, STXM). Prints one line of JSON.
"""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import yaml

from stream_service.processes.subprocesses import Subprocess
from stream_service.settings.beamlines import profile_path
from stream_service.testing.loopback import LoopbackEpics, process_environment

CLIENT = """
import sys, time
from p4p.client.thread import Context
seen = set()
def count(value):
    uid = value["uniqueId"]
    if uid and value["value"] is not None:
        seen.add(int(uid))
with Context("pva", nt=False) as context:
    size = int(sys.argv[1])
    context.monitor("SIM:Pva1:Image", count, request=f"field()record[queueSize={size},pipeline=false]")
    print("ready", flush=True)
    sys.stdin.read()
    print(len(seen), flush=True)
"""


@contextmanager
def beamline(folder: Path, size: int) -> Iterator[LoopbackEpics]:
    """A simulated beamline that sends precomputed frames of size x size uint16."""
    network = LoopbackEpics.reserve(["ioc", "service"])
    options = ["--shape", f"{size},{size}", "--stack", "32", "--references", str(folder / "references.npz")]
    environment = process_environment(network.server_environment("ioc"))
    with Subprocess("ioc", ["-m", "iocsim", *options], environment, folder / "ioc.log") as ioc:
        ioc.wait_for("ready", 120)
        os.environ.update(network.client_environment())
        yield network


def write_profile(folder: Path, size: int) -> Path:
    document = yaml.safe_load(profile_path("sim").read_text(encoding="utf-8"))
    references = str(folder / "references.npz")
    document["references"] = {"dark": references, "flat": references, "mask": references}
    document["detector"]["sensor_shape"] = [size, size]
    document["service"]["data_root"] = str(folder)
    path = folder / "profile.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def touch_memory(folder: Path, n_bytes: int) -> None:
    """Fill the page cache once and let it go: on a virtual machine its first touch costs ten writes."""
    block = b"\1" * (1 << 20)
    path = folder / "touch.bin"
    with path.open("wb") as file:
        for _ in range(n_bytes >> 20):
            file.write(block)
    path.unlink()


class Camera:
    """The simulated camera and stage, driven over CA."""

    def __init__(self) -> None:
        from stream_service.channel_access.library import epics

        self.put = lambda name, value, **options: epics.caput(f"SIM:{name}", value, timeout=30, **options)
        self.get = lambda name: epics.caget(f"SIM:{name}", use_monitor=False, timeout=10)

    def prepare(self, n_frames: int, period_s: float) -> None:
        for name, value in (
            ("Pva1:EnableCallbacks", 1),
            ("cam1:ImageMode", 1),
            ("cam1:NumImages", n_frames),
            ("cam1:AcquireTime", min(period_s / 2, 0.0005)),
            ("cam1:AcquirePeriod", period_s),
        ):
            self.put(name, value, wait=True)

    def acquire(self, seconds: float) -> float:
        """Acquire while the stage moves; the time it took."""
        self.put("X.VELO", 5.0)
        self.put("X.VAL", 5.0 * (seconds + 5))
        began = time.perf_counter()
        self.put("cam1:Acquire", 1)
        time.sleep(0.2)
        while self.get("cam1:Acquire_RBV"):
            time.sleep(0.05)
        return time.perf_counter() - began


def peak_MiB(process: psutil.Process) -> float:
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return math.nan


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def measure_client(folder: Path, size: int, rate_hz: float, seconds: float) -> dict[str, Any]:
    import subprocess

    with beamline(folder, size) as network:
        n = int(rate_hz * seconds)
        queue = max(4, min(4096, (128 << 20) // (size * size * 2)))
        client = subprocess.Popen(
            [sys.executable, "-c", CLIENT, str(queue)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=process_environment(network.client_environment()),
        )
        assert client.stdout is not None
        client.stdout.readline()
        camera = Camera()
        camera.prepare(n, 1 / rate_hz)
        process = psutil.Process(client.pid)
        before = cpu_s(process)
        took = camera.acquire(seconds)
        time.sleep(1.0)
        used, peak = cpu_s(process) - before, peak_MiB(process)
        out, _ = client.communicate("", timeout=30)
        received = int(out)
    return result("bare p4p client", size, n, received, n - received, took, used, peak, rows=0)


def measure_service(folder: Path, size: int, rate_hz: float, seconds: float) -> dict[str, Any]:
    with ExitStack() as stack:
        network = stack.enter_context(beamline(folder, size))
        environment = process_environment(network.server_environment("service"))
        options = ["run", str(write_profile(folder, size))]
        service = stack.enter_context(
            Subprocess("service", ["-m", "stream_service.cli", *options], environment, folder / "service.log")
        )
        service.wait_for("ready", 120)
        from stream_service.channel_access.library import epics
        from stream_service.service.remote import RemoteService

        n = int(rate_hz * seconds)
        touch_memory(folder, int(1.2 * 4 * size * size * n))
        camera = Camera()
        camera.prepare(n, 1 / rate_hz)
        epics.caput("PTYCHO:Request", json.dumps({"scan_id": "bench", "n_positions": n}), wait=True, timeout=10)
        epics.caput("PTYCHO:Arm", 1, wait=True, timeout=30)
        remote = RemoteService("PTYCHO:", 5)
        while remote.read()["State"] != "ARMED":
            time.sleep(0.05)
        process = psutil.Process(service.process.pid)
        before, began = cpu_s(process), time.perf_counter()
        took = camera.acquire(seconds)
        epics.caput("PTYCHO:Stop", 1)
        while remote.read()["State"] not in ("COMPLETE", "INCOMPLETE", "FAILED", "ABORTED"):
            time.sleep(0.05)
        whole = time.perf_counter() - began
        used, peak = cpu_s(process) - before, peak_MiB(process)
        time.sleep(0.3)
        status = remote.read()
        accounted = (
            status["FramesStored"] + status["FramesLost"] + status["FramesNotExposed"] + status["FramesIncomplete"]
        )
        found = result(
            "this service",
            size,
            n,
            int(status["FramesReceived"]),
            int(status["FramesLost"]),
            took,
            used,
            peak,
            rows=int(status["Rows"]),
        )
        return found | {"unaccounted": int(n - accounted), "state": status["State"], "whole_s": whole}


def result(
    who: str, size: int, offered: int, received: int, lost: int, took_s: float, cpu: float, peak: float, rows: int
) -> dict[str, Any]:
    return {
        "who": who,
        "size": size,
        "offered": offered,
        "offered_hz": offered / took_s,
        "received": received,
        "lost": lost,
        "rows": rows,
        "rows_per_s": rows / took_s,
        "cpu_us_per_frame": 1e6 * cpu / max(received, 1),
        "peak_MiB": peak,
        "took_s": took_s,
    }


if __name__ == "__main__":
    who, size, rate_hz, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
    with tempfile.TemporaryDirectory(dir=os.environ.get("PTYCHOSTREAM_BENCH_DIR")) as name:
        measure = {"client": measure_client, "service": measure_service}[who]
        print(json.dumps(measure(Path(name), size, rate_hz, seconds)))
