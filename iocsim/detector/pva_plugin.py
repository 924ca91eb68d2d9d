"""Pva1: every frame out as an NTNDArray on `Pva1:Image`, faults included.

Each subscriber has its own queue, and loses frames when it is slow. A new one first gets the last old frame, as from a
real IOC.
"""

from __future__ import annotations

from collections.abc import Callable

from p4p.server.thread import SharedPV

from iocsim.detector import ntndarray
from iocsim.detector.ndarray import NDArray
from iocsim.detector.plugin import Arrays
from iocsim.detector.sending_plugin import SendingPlugin
from iocsim.faults import Faults
from iocsim.pv import PvTable, Text


class PvaPlugin(SendingPlugin):
    """NDPluginPva; disabled on a fresh IOC, as all plugins: frames come once EnableCallbacks is 1."""

    def __init__(
        self, table: PvTable, faults: Callable[[], Faults], source_port: str, is_cut: Callable[[], bool]
    ) -> None:
        """`source_port` is the first value of NDArrayPort; `is_cut`: nobody can be sent anything at present."""
        super().__init__(table, "NDPluginPva", "PVA1", faults, source_port, gives_arrays=True)
        self.pv_name = f"{table.prefix}Image"
        table.readback("PvName_RBV", Text(self.pv_name))
        self.channel = SharedPV(initial=ntndarray.fresh())
        self._encoder = ntndarray.Encoder()
        self._is_cut = is_cut

    @property
    def channels(self) -> dict[str, SharedPV]:
        """What it serves, by name."""
        return {self.pv_name: self.channel}

    def process(self, arrays: Arrays) -> int:
        """As `SendingPlugin`; while the connections are cut the PV takes the frame and nobody gets it."""
        copies = super().process(arrays)
        return 0 if self._is_cut() else copies

    def send(self, arrays: tuple[NDArray, ...]) -> None:
        """Post them."""
        for array in arrays:
            self.channel.post(self._encoder.encode(array))
