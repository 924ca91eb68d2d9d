"""A second process that follows a standard file while it grows, and fails if it ever sees half a row.

Run as a script: `python follower.py FILE`. Prints `waiting` and then `rows N` each time it sees more rows.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import h5py
import numpy as np

ROW_PATHS = ("data", "pos", "posx_m", "posy_m", "keep", "frames/unique_id", "frames/timestamp_ns", "frames/energy_eV")
LIVE_KEYS = ("live/key_data", "live/key_x", "live/key_y")
END_STATES = ("COMPLETE", "INCOMPLETE", "ABORTED", "FAILED")


def open_when_there(path: Path, timeout_s: float = 300.0) -> h5py.File:
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return h5py.File(path, "r", libver="latest", swmr=True)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def follow(path: Path) -> None:
    with open_when_there(path) as file:
        entry = file["entry"]
        assert file["/entry_1"].attrs["NX_class"] == "NXentry"
        assert entry["data"].attrs["axes"] == "translation:y:x"
        keys = [entry[name] for name in LIVE_KEYS]
        columns = {name: entry[name] for name in ROW_PATHS}
        state = entry["run/state"]
        checked, ended = 0, False
        while True:
            state.refresh()
            ended = state[()].decode() in END_STATES
            n = check_rows(keys, columns, checked)
            if n > checked:
                print("rows", n, flush=True)
                checked = n
            elif ended:
                return
            time.sleep(0.05)


def check_rows(keys: list[h5py.Dataset], columns: dict[str, h5py.Dataset], checked: int) -> int:
    """Read all rows that the keys promise, and see that they are whole; the number of rows promised."""
    promised = []
    for key in keys:
        key.refresh()
        promised.append(int(np.count_nonzero(key[()])))
    n = min(promised)
    assert key_values_are_hole_free(keys, n)
    for column in columns.values():
        column.refresh()
        assert len(column) >= n, f"{column.name} has {len(column)} rows, the keys promise {n}"
    for row in range(checked, n):
        assert columns["data"][row].max() > 0, f"row {row} has no pixels"
        assert columns["frames/unique_id"][row, 0] > 0
        assert columns["frames/energy_eV"][row] > 0
        assert tuple(columns["pos"][row]) == (columns["posx_m"][row], columns["posy_m"][row])
    return n


def key_values_are_hole_free(keys: list[h5py.Dataset], n: int) -> bool:
    return all(np.array_equal(key[:n], np.arange(1, n + 1)) for key in keys)


if __name__ == "__main__":
    print("waiting", flush=True)
    follow(Path(sys.argv[1]))
