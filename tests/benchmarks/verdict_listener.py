"""A program that follows the verdicts on a run: `python verdict_listener.py ADDRESS RESULT` notes when each comes.

RESULT is an .npz with `told_ns`, since 1970 UTC, of the first verdict on every row; 0 for a row of which none was told.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import zmq


def listen(address: str, result: str) -> None:
    """To the end of the run."""
    told: dict[int, int] = {}
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.setsockopt_string(zmq.SUBSCRIBE, "")
        socket.connect(address)
        print("listening", flush=True)
        while True:
            topic, text = socket.recv_multipart()
            now_ns = time.time_ns()
            if topic == b"run.stop":
                break
            if topic == b"qc.row":
                told.setdefault(json.loads(text)["row"], now_ns)
    told_ns = np.zeros(max(told, default=-1) + 1, np.int64)
    told_ns[list(told)] = list(told.values())
    np.savez(result, told_ns=told_ns)


if __name__ == "__main__":
    listen(sys.argv[1], sys.argv[2])
