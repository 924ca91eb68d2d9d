"""Many runs in one daemon: memory stays flat, and none of them leaves a descriptor or a thread behind."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rig import Rig, Rigs

PERIOD_S = 0.001
N_WARM = 5
"""Runs after which the heap has what a run takes at the most, and all code is loaded."""
MORE_BYTES = 12 << 20
"""Of memory between the first runs that count and the last ones, few or many: what the heap does by itself. Of 7500
frames that each left their 8 KiB it would be 60 MB, of 195,000 frames that left 100 bytes 20 MB."""


@dataclass(frozen=True, slots=True)
class Resources:
    """Of a process between two runs."""

    n_threads: int
    n_descriptors: int
    memory_bytes: int
    """Without files that are mapped."""

    @classmethod
    def of(cls, pid: int) -> Resources:
        process = Path(f"/proc/{pid}")
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        n_descriptors = len(os.listdir(process / "fd"))
        return cls(int(status["Threads"]), n_descriptors, 1024 * int(status["RssAnon"].split()[0]))


@pytest.fixture
def rig(start_ioc: Callable[..., Any], rigs: Rigs) -> Rig:
    return rigs.beside(start_ioc("--stack", "64", "--shape", "64,64").prefix)


def run_scan(rig: Rig, scan_id: str, n_frames: int) -> Resources:
    """One run of so many frames, every one of which is accounted for; what the daemon takes after it."""
    assert rig.arm(scan_id, n_positions=n_frames) == ""
    rig.beamline.acquire(n_frames, PERIOD_S / 2, PERIOD_S)
    assert rig.wait_for_end() in ("COMPLETE", "INCOMPLETE"), rig.service.get("Message")
    assert rig.service.get("FramesStored") + rig.service.get("FramesLost") == n_frames
    rig.service.wait_for("Health", "READY")
    (rig.folder / f"{scan_id}_std.h5").unlink()
    return Resources.of(rig.child.process.pid)


@pytest.mark.parametrize(
    ("n_runs", "n_frames"), [(20, 500), pytest.param(200, 1000, marks=pytest.mark.long)], ids=["10000", "200000"]
)
def test_runs_leave_nothing_behind(rig: Rig, n_runs: int, n_frames: int) -> None:
    warm = [run_scan(rig, f"warm{run}", n_frames) for run in range(N_WARM)]
    most_threads = max(found.n_threads for found in warm)
    most_descriptors = max(found.n_descriptors for found in warm)
    memory_bytes = []

    def has_let_go() -> bool:
        found = Resources.of(rig.child.process.pid)
        return found.n_threads <= most_threads and found.n_descriptors <= most_descriptors

    for run in range(n_runs - N_WARM):
        memory_bytes.append(run_scan(rig, f"soak{run}", n_frames).memory_bytes)
        rig.service.wait_until(has_let_go)
    frames = n_frames * np.arange(len(memory_bytes))
    slope = np.polyfit(frames, memory_bytes, 1)[0]
    third = len(memory_bytes) // 3
    grown_bytes = np.median(memory_bytes[-third:]) - np.median(memory_bytes[:third])
    print(
        f"{frames[-1]} frames: {slope:.1f} bytes of memory per frame, {grown_bytes / 2**20:.2f} MiB from first to last"
    )
    assert grown_bytes < MORE_BYTES
