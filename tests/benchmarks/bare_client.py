"""A bare p4p client: `python bare_client.py CHANNEL COUNTS QUEUE` counts frames in the mapped file COUNTS until killed.

It takes them from p4p's raw client in a thread of its own, the cheapest way there is in Python.
"""

from __future__ import annotations

import sys
import threading

import numpy as np
from p4p.client.raw import Context


def main(channel: str, counts: str, queue: int) -> None:
    count = np.memmap(counts, np.int64, "r+", shape=2)
    there = threading.Event()
    with Context("pva", nt=False, useenv=True) as context:
        request = f"field()record[queueSize={queue},pipeline=false]"
        subscription = context.monitor(channel, there.set, request=request)
        n = -1  # the first update is an old one
        while True:
            value = subscription.pop()
            if value is None:
                there.wait()
                there.clear()
            elif isinstance(value, Exception):
                continue
            elif n < 0:
                n = 0
                print("ready", flush=True)
            elif value["uniqueId"] and value["value"] is not None:
                n += 1
                count[0] = count[1] = n


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
