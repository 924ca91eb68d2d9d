"""Time from the detector's stamp until another process reads the row, and until one is told of the verdict on it, along
a scan; and from its end to COMPLETE.

`python measure_latency.py [--rows N] [--size S] [--rate HZ]`; a line of JSON for each tenfold of rows, for the end of
the scan, and for the state. Everything is on, as in `measure_live.py`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from contenders import RawService, Service
from machine import peak_MiB
from source import Camera, beamline

WINDOW = 1000
PERCENTILES = (50, 90, 99, 100)
SERVICES = {"full": Service, "raw": RawService}
READER = Path(__file__).with_name("swmr_reader.py")
LISTENER = Path(__file__).with_name("verdict_listener.py")


def along(latency_ms: np.ndarray, what: str) -> list[dict[str, Any]]:
    """Percentiles around rows 1e3, 1e4, ..., of the last rows, and of all."""
    places = [10**power for power in range(3, 8) if 10**power + WINDOW / 2 < len(latency_ms)]
    windows = [(f"row {place}", latency_ms[place - WINDOW // 2 : place + WINDOW // 2]) for place in places]
    windows.append((f"last {WINDOW} of {len(latency_ms)}", latency_ms[-WINDOW:]))
    windows.append((f"all {len(latency_ms)} rows", latency_ms))
    return [
        {"where": where, "what": what}
        | {f"p{percent}_ms".replace("p100", "max"): float(np.percentile(part, percent)) for percent in PERCENTILES}
        for where, part in windows
    ]


def one_scan(service: Service, camera: Camera, n: int, rate_hz: float, folder: Path) -> dict[str, Any]:
    """A scan of n frames; latency of every row in ms, and how long after the last frame the state was COMPLETE."""
    from stream_service.channel_access.library import PV

    ended = threading.Event()
    ends: list[float] = []

    def look(char_value: str = "", **_: Any) -> None:
        if char_value in ("COMPLETE", "INCOMPLETE", "FAILED", "ABORTED"):
            ends.append(time.time())
            ended.set()

    state = PV("PTYCHO:State")
    state.wait_for_connection(10)
    service.arm(n)
    result = folder / "seen.npz"
    reader = subprocess.Popen(
        [sys.executable, str(READER), str(service.next_file), str(result)], stdout=subprocess.PIPE
    )
    told = folder / "told.npz"
    listener = subprocess.Popen([sys.executable, str(LISTENER), service.messages, str(told)], stdout=subprocess.PIPE)
    for follower in (reader, listener):
        assert follower.stdout is not None
        follower.stdout.readline()
    ends.clear()
    ended.clear()
    state.add_callback(look)
    camera.start(n, rate_hz)
    ended.wait(n / rate_hz * 3 + 120)
    state.clear_callbacks()
    reader.wait(60)
    listener.wait(60)
    said = service.finish(n)
    seen = np.load(result)
    if not len(seen["stamp_ns"]):
        raise SystemExit(f"the reader has seen no row; the run ended {said['state']}")
    told_ns, n = np.load(told)["told_ns"], len(seen["stamp_ns"])
    untold = int(np.count_nonzero(told_ns == 0)) + n - len(told_ns)
    told_ns = np.where(told_ns == 0, seen["seen_ns"].max(), told_ns)[:n]
    ways = {
        "row read": seen["seen_ns"] - seen["stamp_ns"],
        "verdict told": told_ns - seen["stamp_ns"][: len(told_ns)],
        "verdict told after the row is read": told_ns - seen["seen_ns"][: len(told_ns)],
    }
    latency_ms = {what: nanoseconds / 1e6 for what, nanoseconds in ways.items()}
    return said | {"latency_ms": latency_ms, "untold": untold, "to_end_s": ends[-1] - seen["stamp_ns"].max() / 1e9}


def main(
    rows: Annotated[int, typer.Option(help="Length of the long scan.")] = 20_000,
    size: Annotated[int, typer.Option(help="Rows and columns of a frame.")] = 128,
    rate: Annotated[float, typer.Option(help="Frames per second.")] = 1000.0,
    who: Annotated[str, typer.Option(help="full, or raw: positions by attribute, no correction.")] = "full",
) -> None:
    """A scan of 1,000 rows, then one of as many as asked for."""
    with (
        tempfile.TemporaryDirectory() as name,
        beamline(Path(name), size, "none", sees="service") as (network, camera),
        SERVICES[who](Path(name), network, size, size, 1) as service,
    ):
        said = {"who": who, "frame": f"{size}²", "rate_hz": rate}
        for n in (1000, rows):
            found = one_scan(service, camera, n, rate, Path(name))
            for what, latency_ms in found["latency_ms"].items() if n > 1000 else ():
                for line in along(latency_ms, what):
                    print(json.dumps(said | line), flush=True)
            last = {"where": f"last frame to {found['state']}, {n} rows", "end_s": found["to_end_s"]}
            last |= {
                "untold": found["untold"],
                "lost": found["lost"],
                "unaccounted": found["unaccounted"],
                "peak_MiB": peak_MiB(service.pid),
            }
            print(json.dumps(said | last), flush=True)


if __name__ == "__main__":
    typer.run(main)
