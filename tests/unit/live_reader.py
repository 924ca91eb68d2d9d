"""A second process that has a growing file open, and looks into it when asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Self

READER = r"""
import json, sys, h5py, numpy as np
entry = h5py.File(sys.argv[1], "r", swmr=True)["entry"]
def fresh(name):
    found[name].refresh()
    return found[name][()]
found = {name: entry[name] for name in (
    "run/state", "run/end_reason", "run/message", "ledger/expected", "ledger/stored", "ledger/lost", "live/key_data")}
for line in sys.stdin:
    state = fresh("run/state").decode()  # in this order: what a state or a count promises must be there after it
    counts = [int(fresh("ledger/" + name)) for name in ("expected", "stored", "lost")]
    texts = [fresh("run/" + name).decode() for name in ("end_reason", "message")]
    print(json.dumps([state, *counts, *texts, int(np.count_nonzero(fresh("live/key_data")))]), flush=True)
"""


@dataclass(frozen=True)
class Look:
    """View of a reader."""

    state: str
    expected: int
    stored: int
    lost: int
    end_reason: str
    message: str
    n_rows: int


class LiveReader:
    """Opens the file with `swmr=True` once, and refreshes what it looks at."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", READER, os.fspath(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def look(self) -> Look:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("look\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the reader died"
        return Look(*json.loads(answer))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()
