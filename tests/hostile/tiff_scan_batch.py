"""Runs `tiff_scan_reader.py` in a process of its own, for tests of what it reads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

READER = Path(__file__).with_name("tiff_scan_reader.py")


def outcome(kind: str, first: int, last: int, folder: Path) -> dict[str, float]:
    """What the reader says became of its files; the test fails if it did not come to its end, or said anything else."""
    command = [sys.executable, str(READER), kind, str(first), str(last), str(folder)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    died = f"by signal {-done.returncode}" if done.returncode < 0 else f"with exit code {done.returncode}"
    assert done.returncode == 0, f"reading {kind} files {first} to {last} ended {died}:\n{done.stderr}"
    assert done.stderr == "", "nothing may leak to the terminal"
    return json.loads(done.stdout)
