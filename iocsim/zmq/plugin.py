"""ZMQ1: frames out as messages of two parts, header and pixels, faults included.

There is no message at the end of an acquisition, and none that says how long a compressed frame is: as from a real IOC,
the second part is as long as the pixels, cut, or filled with what an earlier frame left in the memory.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from iocsim.detector.ndarray import NDArray
from iocsim.detector.sending_plugin import SendingPlugin
from iocsim.faults import Faults
from iocsim.pv import PvTable
from iocsim.zmq.array_header import array_header, old_array_header
from iocsim.zmq.socket import SenderSocket


class ZmqPlugin(SendingPlugin):
    """NDPluginZMQ; disabled on a fresh IOC, as all plugins: frames come once EnableCallbacks is 1."""

    def __init__(
        self, table: PvTable, faults: Callable[[], Faults], source_port: str, socket: SenderSocket, *, old_header: bool
    ) -> None:
        """`source_port` is the first value of NDArrayPort; `old_header`: as ADZMQ before 1.4.0 writes it."""
        super().__init__(table, "NDPluginZMQ", "ZMQ1", faults, source_port)
        self._header = old_array_header if old_header else array_header
        self._socket = socket
        self._lock = threading.Lock()
        self._memory = np.empty(0, np.uint8)
        """The second part of the last message of compressed pixels."""

    def restart(self) -> None:
        """Close the socket and open it again."""
        with self._lock:
            self._socket.reopen()

    def close(self) -> None:
        """Close the socket."""
        with self._lock:
            self._socket.close()

    def send(self, arrays: tuple[NDArray, ...]) -> None:
        """Send them, or count them as dropped."""
        with self._lock:
            for array in arrays:
                if not self._socket.send((self._header(array), self._payload(array))):
                    self.n_dropped_outputs += 1

    def _payload(self, array: NDArray) -> np.ndarray:
        pixels = np.ascontiguousarray(array.pixels)
        if array.compressed is None:
            return pixels
        if not array.codec:  # pixels of which some are missing
            return np.frombuffer(array.compressed.payload, np.uint8)
        if self._memory.size != pixels.nbytes:
            self._memory = pixels.reshape(-1).view(np.uint8)
        blob = self._memory.copy()
        payload = array.compressed.payload[: blob.size]
        blob[: len(payload)] = np.frombuffer(payload, np.uint8)
        self._memory = blob
        return blob
