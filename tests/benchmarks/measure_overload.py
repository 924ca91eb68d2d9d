"""Offered a fifth more than it carries, for long: `python measure_overload.py [--seconds S] [--size N]`.

Every frame that is lost must be named in the ledger, memory must stay within the bound of the profile, and `Stop` must
be answered at once. Prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import h5py
import numpy as np
import typer
from contenders import Service
from machine import cpu_s_by_thread, peak_MiB, used_s
from measure_live import PROBE_STEP, Case, measure_beyond
from source import beamline

from stream_service.testing.loopback import LoopbackEpics

BEYOND = 1.2
STORED, LOST = 1, 3
"""In the ledger of the file."""
BYTES_LEFT_FREE = 4 << 30


def service_of(folder: Path, network: LoopbackEpics, size: int, queue_MiB: int) -> Service:
    """With everything on, and the queues of the profile as long as said."""
    service = Service(folder, network, size, size, 1)
    service.queue_MiB = queue_MiB
    return service


def main(
    seconds: Annotated[float, typer.Option(help="How long.")] = 10.0,
    size: Annotated[int, typer.Option(help="Rows and columns of a frame.")] = 256,
    queue: Annotated[int, typer.Option(help="frame_queue_MiB of the profile.")] = 128,
) -> None:
    """Find what it carries, offer a fifth more, stop in the middle of it."""
    with (
        tempfile.TemporaryDirectory() as name,
        beamline(Path(name), size, "none", sees="service") as (network, camera),
        service_of(Path(name), network, size, queue) as service,
    ):
        carried = measure_beyond(service, camera, Case(size).first_rate_hz, 3.0, PROBE_STEP)["sustained_hz"]
        rate_hz = BEYOND * carried
        free = os.statvfs(name)
        room = free.f_bavail * free.f_frsize - BYTES_LEFT_FREE
        n = min(round(rate_hz * seconds), int(room / service.bytes_per_frame))
        service.arm(2 * n)
        camera.start(2 * n, rate_hz)
        before, sent_before, began = cpu_s_by_thread(service.pid), camera.n_sent, time.perf_counter()
        time.sleep(n / rate_hz)
        used = sum(used_s(before, cpu_s_by_thread(service.pid)).values())
        offered_hz = (camera.n_sent - sent_before) / (time.perf_counter() - began)
        answered_s = service.stop()
        camera.stop()
        found = service.account(2 * n)
        with h5py.File(service.file) as file:
            datasets: list[Any] = [file[f"entry/ledger/{column}"] for column in ("unique_id", "status")]
            ids, status = (dataset[()] for dataset in datasets)
        exposed = ids[np.isin(status, (STORED, LOST))]
        line = {
            "frame": f"{size}²",
            "carried_hz": carried,
            "offered_hz": offered_hz,
            "seconds": n / rate_hz,
            "exposed": len(exposed),
            "lost": found["lost"],
            "lost_and_named": int((status == LOST).sum()),
            "ids_without_account": int(np.ptp(exposed) + 1 - len(exposed)),
            "unaccounted": found["unaccounted"],
            "peak_MiB": peak_MiB(service.pid),
            "CPU_us_per_frame": 1e6 * used / max(1, len(exposed) - found["lost"]),
            "stop_answered_s": answered_s,
            "stop_to_closed_s": answered_s + found["end_s"],
            "state": found["state"],
        }
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    typer.run(main)
