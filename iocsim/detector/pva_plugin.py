"""Pva1: every frame out as an NTNDArray on `Pva1:Image`, faults included.

Posting never blocks (each subscriber has its own queue, and loses frames when it is slow), so arrays are posted in the
driver's thread whatever BlockingCallbacks says. A new subscriber first gets the last old frame, as from a real IOC.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from p4p.server.thread import SharedPV

from iocsim.delivery import Delivery
from iocsim.detector import ntndarray
from iocsim.detector.ndarray import NDArray
from iocsim.detector.plugin import Arrays, Plugin
from iocsim.faults import Faults
from iocsim.pv import PvTable, Text


class PvaPlugin(Plugin):
    """NDPluginPva; disabled on a fresh IOC, as all plugins: frames come once EnableCallbacks is 1."""

    takes_compressed = True

    def __init__(self, table: PvTable, faults: Callable[[], Faults], source_port: str) -> None:
        """`source_port` is the first value of NDArrayPort."""
        super().__init__(table, "NDPluginPva", "PVA1", source_port=source_port, gives_arrays=True)
        self.pv_name = f"{table.prefix}Image"
        table.readback("PvName_RBV", Text(self.pv_name))
        self.channel = SharedPV(initial=ntndarray.fresh())
        self._encoder = ntndarray.Encoder()
        self.delivery = Delivery(faults)

    def process(self, arrays: Arrays) -> int:
        """Post the array as often as the faults say; gives that number, 0 also if there is no array for this plugin."""
        array = self.wanted(arrays)
        if array is None:
            return 0
        started_s = time.perf_counter()
        self.saw(array)
        self.counter.value += 1
        copies, leaving = self.delivery.take(array)
        self._post(leaving)
        self.execution_s = time.perf_counter() - started_s
        return copies

    def end(self) -> None:
        """Post what is held back at the end of an acquisition."""
        self._post(self.delivery.rest())

    def _post(self, arrays: tuple[NDArray, ...]) -> None:
        for array in arrays:
            self.channel.post(self._encoder.encode(array))
