"""`ptychostream demo` as a user would run it, in a process of its own, and what it left in its folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from limits import HANG_S


@dataclass(frozen=True)
class Demonstration:
    """The outcome of one demo."""

    exit_code: int
    output: str
    folder: Path

    @property
    def standard(self) -> Path:
        return self.folder / "demo_std.h5"

    def column(self, path: str) -> Any:
        with h5py.File(self.standard, "r") as file:
            return np.asarray(file[path][()])

    def text(self, path: str) -> str:
        return bytes(self.column(path)).decode()

    def ledger(self) -> dict[str, int]:
        names = ("expected", "stored", "lost", "incomplete", "not_exposed", "backfilled", "duplicates", "unexpected")
        return {name: int(self.column(f"/entry/ledger/{name}")) for name in names}

    def truth(self) -> dict[str, np.ndarray]:
        with np.load(self.folder / "demo_truth.npz") as archive:
            return {name: archive[name] for name in archive if archive[name].dtype != object}


def start_demo(folder: Path, *options: str) -> subprocess.Popen[str]:
    """Start a demo without waiting for it."""
    command = [sys.executable, "-m", "stream_service.cli", "demo", "--out", str(folder), *options]
    environment = {**os.environ, "COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"}
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored where tests run in the background
    )


def finish_demo(process: subprocess.Popen[str], folder: Path) -> Demonstration:
    """Wait for a demo and collect what it says."""
    try:
        output, _ = process.communicate(timeout=HANG_S)
    except subprocess.TimeoutExpired:
        process.terminate()
        output, _ = process.communicate()
    return Demonstration(process.returncode, output, folder)


def run_demo(folder: Path, *options: str) -> Demonstration:
    """Run a demo from start to end."""
    return finish_demo(start_demo(folder, *options), folder)


def processes_mentioning(folder: Path) -> list[str]:
    """Command lines of processes that still name the folder of a demo."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(folder) in words:
                found.append(words)
    return found
