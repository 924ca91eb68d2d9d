"""A bare pyzmq receive loop: `python bare_zmq_client.py ADDRESS COUNTS QUEUE` counts frames in the file COUNTS."""

from __future__ import annotations

import sys

import numpy as np
import zmq


def main(address: str, counts: str, queue: int) -> None:
    count = np.memmap(counts, np.int64, "r+", shape=2)
    socket = zmq.Context().socket(zmq.SUB)
    socket.setsockopt(zmq.RCVHWM, queue)
    socket.setsockopt(zmq.SUBSCRIBE, b"")
    monitor = socket.get_monitor_socket(zmq.Event.HANDSHAKE_SUCCEEDED)
    socket.connect(address)
    monitor.recv_multipart()
    socket.disable_monitor()
    print("ready", flush=True)
    n = 0
    while True:
        socket.recv_multipart(copy=False)
        n += 1
        count[0] = count[1] = n


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
