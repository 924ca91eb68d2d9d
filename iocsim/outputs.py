"""Everything that the frames of the detector go to: the plugins, the file, and what sends them over the network.

What a frame is and what becomes of it on its way is the same for every transport; each counts for itself.
"""

from __future__ import annotations

from collections.abc import Callable

from iocsim.delivery import Delivery
from iocsim.detector.acquisition import Series
from iocsim.detector.codec_plugin import CODEC_PORT, CodecPlugin
from iocsim.detector.codecs import NO_COMPRESSOR
from iocsim.detector.ndarray import NDArray
from iocsim.detector.plugin import DRIVER_PORT, Plugin
from iocsim.detector.pva_plugin import PvaPlugin
from iocsim.detector.stats_plugin import StatsPlugin
from iocsim.faults import FaultPvs
from iocsim.hdf5.faults import Hdf5FaultPvs
from iocsim.hdf5.plugin import Hdf5Plugin
from iocsim.pv import PvTable
from iocsim.truth import Copies
from iocsim.zmq.senders import ZmqSenders
from iocsim.zmq.settings import ZmqSettings


class Outputs:
    """Codec1, Pva1, HDF1 and Stats1, and what sends over ZMQ.

    `begin`, `send` and `end` are called in the driver's thread.
    """

    def __init__(
        self,
        table: PvTable,
        faults: FaultPvs,
        hdf5_faults: Hdf5FaultPvs,
        compressor: str,
        zmq: ZmqSettings,
        example: Callable[[], NDArray],
        pva_is_cut: Callable[[], bool],
    ) -> None:
        """With a compressor, Codec1 and what comes after it begin set up to send with it; `example` gives a frame like
        those that come.

        Raises AddressError if an address of `zmq` cannot be had.
        """
        source = DRIVER_PORT if compressor == NO_COMPRESSOR else CODEC_PORT
        self.codec = CodecPlugin(table.below("Codec1:"), compressor)
        self.pva = PvaPlugin(table.below("Pva1:"), lambda: faults.now, source, pva_is_cut)
        self.hdf5 = Hdf5Plugin(table.below("HDF1:"), lambda: hdf5_faults.now, example)
        self._stats = StatsPlugin(table.below("Stats1:"))
        self._plugins: tuple[Plugin, ...] = (self.codec, self.pva, self.hdf5, self._stats)
        self._zmq = ZmqSenders(table, lambda: faults.now, source, zmq)

    @property
    def deliveries(self) -> list[Delivery]:
        """The faulty way of each transport's frames."""
        return [self.pva.delivery, *self._zmq.deliveries]

    def begin(self, series: Series) -> None:
        """An acquisition begins."""
        self._zmq.begin(series)

    def send(self, array: NDArray, *, to_plugins: bool) -> Copies:
        """Hand on a frame; gives the times it was given to each transport.

        Each plugin takes it from the port that its NDArrayPort names: as the camera made it, or as Codec1 did.
        """
        arrays = {DRIVER_PORT: array} if to_plugins else {}
        if (coded := self.codec.process(arrays)) is not None:
            arrays[CODEC_PORT] = coded
        n_pva = self.pva.process(arrays)
        copies = self._zmq.process(array, arrays)._replace(pva=n_pva)
        self.hdf5.process(arrays)
        self._stats.process(arrays)
        return copies

    def end(self) -> None:
        """The acquisition is over: what is held back leaves."""
        self.pva.end()
        self._zmq.end()

    async def refresh(self) -> None:
        """Show what the plugins have done."""
        for plugin in self._plugins:
            await plugin.refresh()
        await self._zmq.refresh()

    async def abandon(self) -> None:
        """The IOC dies: an open file stays as it is, the sockets of ZMQ close."""
        await self.hdf5.abandon()
        await self._zmq.close()

    async def close(self) -> None:
        """Close the file and the sockets of ZMQ."""
        await self.hdf5.close()
        await self._zmq.close()
