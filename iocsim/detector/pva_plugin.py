"""Pva1: every frame out as an NTNDArray on `Pva1:Image`, faults included.

Posting never blocks (each subscriber has its own queue, and loses frames when it is slow), so arrays are posted in the
driver's thread whatever BlockingCallbacks says. A new subscriber first gets the last old frame, as from a real IOC.
"""

from __future__ import annotations

import time
from dataclasses import replace

from p4p.server.thread import SharedPV

from iocsim.detector import ntndarray
from iocsim.detector.plugin import Arrays, Plugin
from iocsim.faults import FaultPvs
from iocsim.pv import PvTable, Text


class PvaPlugin(Plugin):
    """NDPluginPva; disabled on a fresh IOC, as all plugins: frames come once EnableCallbacks is 1."""

    takes_compressed = True

    def __init__(self, table: PvTable, faults: FaultPvs, source_port: str) -> None:
        """`source_port` is the first value of NDArrayPort."""
        super().__init__(table, "NDPluginPva", "PVA1", source_port=source_port, gives_arrays=True)
        self.pv_name = f"{table.prefix}Image"
        table.readback("PvName_RBV", Text(self.pv_name))
        self.channel = SharedPV(initial=ntndarray.fresh())
        self._encoder = ntndarray.Encoder()
        self._faults = faults
        self.n_sent = 0
        self.n_dropped_on_purpose = 0
        self.n_duplicated = 0

    def process(self, arrays: Arrays) -> int:
        """Post the array as often as the faults say; gives that number, 0 also if there is no array for this plugin."""
        array = self.wanted(arrays)
        if array is None:
            return 0
        started_s = time.perf_counter()
        self.saw(array)
        self.counter.value += 1
        copies = self._faults.now.copies(array.unique_id)
        if copies:
            sent_id = self._faults.now.sent_id(array.unique_id)
            update = self._encoder.encode(array if sent_id == array.unique_id else replace(array, unique_id=sent_id))
            for _ in range(copies):
                self.channel.post(update)
            self.n_sent += 1
            self.n_duplicated += copies - 1
        else:
            self.n_dropped_on_purpose += 1
        self.execution_s = time.perf_counter() - started_s
        return copies
