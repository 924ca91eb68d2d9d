"""The machine beside a measurement: CPU time of each thread of a process, memory, and the disk's own rate."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
BLOCK = bytes(1 << 20)


def cpu_s_by_thread(pid: int) -> dict[str, float]:
    """User and system time of the threads that live now, by their names; threads of one name together."""
    found: dict[str, float] = defaultdict(float)
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            name, _, rest = (task / "stat").read_text().partition("(")[2].rpartition(")")
        except OSError:  # it has just ended
            continue
        user, system = rest.split()[11:13]
        found[name] += (int(user) + int(system)) / TICKS_PER_S
    return found


def used_s(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """What each used in between."""
    return {name: after[name] - before.get(name, 0.0) for name in after}


def peak_MiB(pid: int) -> float:
    """The most memory that a process has had so far."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise LookupError(f"the kernel says nothing of the memory of process {pid}")


def disk_MB_per_s(folder: Path, n_bytes: int) -> dict[str, float]:
    """Rate of a plain write of as many bytes in `folder`: into the page cache, and until they are on the disk.

    They are written twice and the second time counts: on a virtual machine the first touch of a page of memory takes
    ten times as long as what follows.
    """
    path = folder / "plain-write"
    _plain_write(path, n_bytes)
    cached_s, synced_s = _plain_write(path, n_bytes)
    return {"page_cache": n_bytes / 1e6 / cached_s, "disk": n_bytes / 1e6 / synced_s}


def _plain_write(path: Path, n_bytes: int) -> tuple[float, float]:
    """Seconds until all is written, and until all is on the disk; the file is removed."""
    began = time.perf_counter()
    with path.open("wb", buffering=0) as file:
        for _ in range(n_bytes // len(BLOCK)):
            file.write(BLOCK)
        cached = time.perf_counter()
        os.fsync(file.fileno())
    synced = time.perf_counter()
    path.unlink()
    return cached - began, synced - began
