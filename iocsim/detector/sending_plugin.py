"""Common part of the plugins that send frames over the network, faults included.

Sending never waits, so frames are sent in the driver's thread whatever BlockingCallbacks says.
"""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from collections.abc import Callable

from iocsim.delivery import Delivery
from iocsim.detector.ndarray import NDArray
from iocsim.detector.plugin import Arrays, Plugin
from iocsim.faults import Faults
from iocsim.pv import PvTable


class SendingPlugin(Plugin):
    """A plugin whose frames are lost, sent twice or out of order on command."""

    takes_compressed = True

    def __init__(
        self,
        table: PvTable,
        plugin_type: str,
        port: str,
        faults: Callable[[], Faults],
        source_port: str,
        *,
        gives_arrays: bool = False,
    ) -> None:
        """`faults` gives those in force; the others as `Plugin` has them."""
        super().__init__(table, plugin_type, port, source_port=source_port, gives_arrays=gives_arrays)
        self.delivery = Delivery(faults)
        self._sending = threading.Lock()

    def process(self, arrays: Arrays) -> int:
        """Send the array as often as the faults say; gives that number, 0 also if there is no array for this plugin."""
        array = self.wanted(arrays)
        if array is None:
            return 0
        started_s = time.perf_counter()
        self.saw(array)
        self.counter.value += 1
        copies, leaving = self.delivery.take(array)
        with self._sending:
            self.send(leaving)
        self.execution_s = time.perf_counter() - started_s
        return copies

    def end(self) -> None:
        """Send what is held back at the end of an acquisition."""
        with self._sending:
            self.send(self.delivery.rest())

    async def refresh(self) -> None:
        """See `Plugin`; late frames leave whose time has come."""
        await super().refresh()
        if due := self.delivery.due():
            with self._sending:
                self.send(due)

    @abstractmethod
    def send(self, arrays: tuple[NDArray, ...]) -> None:
        """Send these, in order; one thread at a time."""
