"""Contenders side by side in front of one detector: `python measure_live.py SIZE [--only full,pvapy] [--codec bslz4]`.

Each is offered more than it carries, but no more than `BEYOND`, since every frame that is sent takes its share of the
machine, from source and contender. In moments of `PROBE_S` the rate goes up by `PROBE_STEP` until the contender is left
behind, or the source cannot send any faster. From what it carried then the rate goes up by `BEYOND` in the same way, so
that all are as far beyond what they carry. Then its queue fills, and what it does per second until the detector sends
its last frame is what it sustains. Contenders take turns, round by round, in front of the same simulated beamline; each
begins as a new process. Nothing is tied to a core: source and contender share the machine as the kernel gives it to
them. Prints one line of JSON for each measurement.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from contenders import CONTENDERS, PVAPY_PYTHON, Contender
from machine import cpu_s_by_thread, disk_MB_per_s, peak_MiB, used_s
from source import Camera, beamline

PROBE_STEP, BEYOND = 1.25, 1.08
PROBE_S = 2.0
WARM_UP_S = 0.7
"""Of each acquisition, not counted: the first frames, and pages that are touched for the first time."""
FIRST_BYTES_PER_S, FIRST_MOST_HZ = 1e8, 1200.0
"""The rate of the first moment: less than any contender carries, in bytes of pixels and in frames."""
OUTPUT_BYTES = 3 << 30
"""Most that one measurement may write."""
KEEPS_UP = 0.97


@dataclass(frozen=True)
class Case:
    """What the detector sends, and what of it is kept."""

    size: int
    codec: str = "none"
    crop: int = 0
    frames_per_position: int = 1

    @property
    def first_rate_hz(self) -> float:
        return min(FIRST_MOST_HZ, FIRST_BYTES_PER_S / (2 * self.size * self.size))


def measure(contender: Contender, camera: Camera, rate_hz: float, seconds: float) -> dict[str, Any]:
    """One acquisition at `rate_hz`, and what became of it."""
    seconds = min(seconds, OUTPUT_BYTES / max(1.0, contender.bytes_per_frame * rate_hz))
    n = max(2, round(rate_hz * seconds / contender.frames_per_position)) * contender.frames_per_position
    contender.arm(n)
    camera.plugin = contender.plugin
    sent_before = camera.n_sent
    samples: list[tuple[float, int, int, int]] = []
    began = time.perf_counter()
    camera.start(n, rate_hz)
    cpu: list[tuple[float, dict[str, float], dict[str, float]]] = []
    while camera.is_acquiring:
        received, done = contender.counts()
        now = time.perf_counter()
        samples.append((now, camera.n_sent - sent_before, received, done))
        cpu.append((now, cpu_s_by_thread(contender.pid), cpu_s_by_thread(camera.pid)))
        time.sleep(0.05)
    took = time.perf_counter() - began
    kept = [index for index, sample in enumerate(samples) if sample[0] >= samples[0][0] + min(WARM_UP_S, seconds / 4)]
    if len(kept) < 5:
        raise SystemExit(f"{contender.name}: the acquisition was too short to be measured")
    table = np.array([samples[index] for index in kept])
    sent_hz, received_hz, done_hz = (
        np.polyfit(table[:, 0] - table[0, 0], table[:, column], 1)[0] for column in (1, 2, 3)
    )
    first, last = cpu[kept[0]], cpu[kept[-1]]
    n_done, n_sent = (max(1.0, slope * (last[0] - first[0])) for slope in (done_hz, sent_hz))
    own, of_source = used_s(first[1], last[1]), used_s(first[2], last[2])
    found = {
        "who": contender.name,
        "asked_hz": rate_hz,
        "offered": n,
        "offered_hz": sent_hz,
        "received_hz": received_hz,
        "sustained_hz": done_hz,
        "is_beyond": bool(done_hz < KEEPS_UP * sent_hz),
        "cpu_us_per_frame": 1e6 * sum(own.values()) / n_done,
        "cpu_us_by_thread": {name: 1e6 * s / n_done for name, s in sorted(own.items()) if 1e6 * s / n_done >= 0.5},
        "source_us_per_frame": 1e6 * sum(of_source.values()) / n_sent,
        "MB_per_s": contender.bytes_per_frame * done_hz / 1e6,
        "took_s": took,
    }
    return found | contender.finish(n) | {"peak_MiB": peak_MiB(contender.pid)}


def measure_beyond(contender: Contender, camera: Camera, rate_hz: float, seconds: float, step: float) -> dict[str, Any]:
    """As `measure`, at this rate or the first higher one, step by step, of which the contender does not carry all.

    If the source cannot send so fast, and not because something held it up once, it is the fastest that it can.
    """
    n_slow = 0
    while True:
        found = measure(contender, camera, rate_hz, seconds)
        is_slow = found["offered_hz"] < rate_hz / step
        n_slow += is_slow
        if found["is_beyond"] or n_slow == 2:
            return found
        if not is_slow:
            rate_hz *= step


def measure_case(case: Case, names: list[str], rounds: int, seconds: float, rate_hz: float, folder: Path) -> None:
    """All contenders, turn by turn, each as often as there are rounds."""
    crop = case.crop or case.size
    disk = disk_MB_per_s(folder, OUTPUT_BYTES)
    print(json.dumps({"disk_MB_per_s": disk}), flush=True)
    offered_hz: dict[str, float] = {}
    with beamline(folder, case.size, case.codec, sees="service") as (network, camera):
        for number in range(rounds):
            for name in names:
                made = CONTENDERS[name](folder, network, case.size, crop, case.frames_per_position, camera.zmq_address)
                with made as contender:
                    if rate_hz:
                        found = measure(contender, camera, rate_hz, seconds)
                    else:
                        if name not in offered_hz:
                            probed = measure_beyond(contender, camera, case.first_rate_hz, PROBE_S, PROBE_STEP)
                            offered_hz[name] = BEYOND * probed["sustained_hz"]
                        found = measure_beyond(contender, camera, offered_hz[name], seconds, BEYOND)
                        offered_hz[name] = BEYOND * found["sustained_hz"]
                said = {"size": case.size, "codec": case.codec, "crop": crop, "per_position": case.frames_per_position}
                print(json.dumps(said | {"round": number} | found), flush=True)


def main(
    size: Annotated[int, typer.Argument(help="Rows and columns of a frame.")],
    codec: Annotated[str, typer.Option(help="none or bslz4.")] = "none",
    crop: Annotated[int, typer.Option(help="Rows and columns that are kept; else all.")] = 0,
    per_position: Annotated[int, typer.Option(help="Frames at each position, summed.")] = 1,
    only: Annotated[str, typer.Option(help=f"Some of {', '.join(CONTENDERS)}; else all.")] = "",
    rounds: Annotated[int, typer.Option(help="Measurements of each.")] = 3,
    seconds: Annotated[float, typer.Option(help="Length of each.")] = 5.0,
    rate: Annotated[float, typer.Option(help="Frames per second offered; else more than it carries.")] = 0.0,
) -> None:
    """Print one line of JSON for each measurement."""
    names = only.split(",") if only else list(CONTENDERS)
    if codec != "none":
        names = [name for name in names if not name.startswith("zmq")]  # ADZMQ cannot send what is compressed
    if "pvapy" in names and (codec != "none" or PVAPY_PYTHON not in os.environ):
        names.remove("pvapy")
        why = "it has no bslz4" if codec != "none" else f"{PVAPY_PYTHON} names no Python that has it"
        print(json.dumps({"note": f"pvapy is left out: {why}"}), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        measure_case(Case(size, codec, crop, per_position), names, rounds, seconds, rate, Path(folder))


if __name__ == "__main__":
    typer.run(main)
