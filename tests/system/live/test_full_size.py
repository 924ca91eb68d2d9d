"""Full-size runs, with `--long` only: the rate this project promises, on real frame sizes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

MEASURE = Path(__file__).resolve().parents[2] / "benchmarks" / "measure_live.py"
RATE_HZ = 1000
SECONDS = 20
"""5 GB of rows, and as much again free on the disk of temporary files."""


@pytest.mark.long
@pytest.mark.timeout(600)
def test_twenty_seconds_at_1000_frames_a_second_leaves_none_unaccounted() -> None:
    """256 x 256 uint16, everything on; a frame may be lost on a slow machine, but never without being named."""
    command = [sys.executable, str(MEASURE), "service", "256", str(RATE_HZ), str(SECONDS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["offered"] == RATE_HZ * SECONDS
    assert found["unaccounted"] == 0
    assert found["rows"] == found["received"] == found["offered"] - found["lost"]
