"""Runs a reader of a corpus in a process of its own, for tests of what it reads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""So that the reader may fork."""


def outcome(script: str, kind: str, first: int, last: int, folder: Path) -> dict[str, int]:
    """What the reader says became of its files; the test fails if it did not come to its end, or said anything else."""
    command = [sys.executable, "-W", "error", Path(__file__).with_name(script), kind, str(first), str(last), folder]
    environment = os.environ | ONE_THREAD | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    died = f"by signal {-done.returncode}" if done.returncode < 0 else f"with exit code {done.returncode}"
    assert done.returncode == 0, f"reading {kind} files {first} to {last} ended {died}:\n{done.stderr}"
    assert done.stderr == "", "nothing may leak to the terminal"
    return json.loads(done.stdout)
