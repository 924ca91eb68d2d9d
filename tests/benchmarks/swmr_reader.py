"""A program that follows a growing file: `python swmr_reader.py FILE RESULT` notes when it sees each row.

As any reader of the file does, it goes by the live keys, refreshes and reads; that it is told of nothing else makes it
the judge of latency. RESULT is an .npz with `seen_ns` and `stamp_ns` of every row, both since 1970 UTC.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import h5py
import numpy as np

POLL_S = 0.005
"""It adds half of this to every latency."""
LOOKAHEAD = 4096
END_STATES = {"COMPLETE", "INCOMPLETE", "ABORTED", "FAILED"}


def opened(path: str) -> h5py.File:
    """The file, once it is there: the service makes it with the first frame."""
    while True:
        try:
            return h5py.File(path, "r", swmr=True)
        except OSError:
            time.sleep(POLL_S)


def follow(path: str, result: str) -> None:
    seen: list[tuple[int, int]] = []
    print("following", flush=True)
    with opened(path) as file:
        names = ("live/key_data", "data", "run/state", "frames/timestamp_ns")
        datasets: list[Any] = [file[f"entry/{name}"] for name in names]
        keys, data, state, stamps = datasets
        n_seen = 0
        while True:
            state.refresh()
            has_ended = state[()].decode() in END_STATES
            keys.refresh()
            n_new = int(np.count_nonzero(keys[n_seen : n_seen + LOOKAHEAD]))
            if n_new:
                n_seen += n_new
                data.refresh()
                data[n_seen - 1]  # it is there, and can be read
                seen.append((n_seen, time.time_ns()))
            elif has_ended:
                break
            else:
                time.sleep(POLL_S)
        stamps.refresh()
        stamp_ns = stamps[:n_seen].max(axis=1)
    seen_ns = np.zeros(n_seen, np.int64)
    first = 0
    for end, at_ns in seen:
        seen_ns[first:end] = at_ns
        first = end
    np.savez(result, seen_ns=seen_ns, stamp_ns=stamp_ns)


if __name__ == "__main__":
    follow(sys.argv[1], sys.argv[2])
