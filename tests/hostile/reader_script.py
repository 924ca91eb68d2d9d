"""Runs readers of a corpus in processes of their own, one for each core, for tests of what they read."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""So that the reader may fork."""
LEAST_SHARE = 500
"""Files of a reader, so that its start is worth it."""


def outcome(script: str, kind: str, first: int, last: int, folder: Path) -> dict[str, int]:
    """Reports of the readers, each of its share of the files; the test fails if one did not come to its end.

    It fails, too, if one said anything else.
    """
    n_parts = min(os.cpu_count() or 1, max(1, (last - first) // LEAST_SHARE))
    edges = [first + (last - first) * part // n_parts for part in range(n_parts + 1)]
    shares = list(itertools.pairwise(edges))
    started = [_start(script, kind, *share, folder / str(part)) for part, share in enumerate(shares)]
    total: dict[str, int] = {}
    for (start, stop), reader in zip(shares, started, strict=True):
        said, complained = reader.communicate()
        died = f"by signal {-reader.returncode}" if reader.returncode < 0 else f"with exit code {reader.returncode}"
        assert reader.returncode == 0, f"reading {kind} files {start} to {stop} ended {died}:\n{complained}"
        assert complained == "", "nothing may leak to the terminal"
        total = {name: total.get(name, 0) + count for name, count in json.loads(said).items()}
    return total


def _start(script: str, kind: str, first: int, last: int, folder: Path) -> subprocess.Popen[str]:
    folder.mkdir()
    command = [sys.executable, "-W", "error", Path(__file__).with_name(script), kind, str(first), str(last), folder]
    environment = os.environ | ONE_THREAD | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
