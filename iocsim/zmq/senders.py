"""All that sends frames over ZMQ: the plugin ZMQ1, and the streams of the control unit, SIMPLON v1 and Stream2."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from iocsim.delivery import Delivery
from iocsim.detector.acquisition import Series
from iocsim.detector.ndarray import NDArray
from iocsim.detector.plugin import Arrays
from iocsim.faults import Faults
from iocsim.pv import Choice, PvTable
from iocsim.truth import Copies
from iocsim.zmq.address import Address, AddressError
from iocsim.zmq.control_unit import HANDED_TO_ZMQ, ControlUnit
from iocsim.zmq.plugin import ZmqPlugin
from iocsim.zmq.series import MakeStream
from iocsim.zmq.settings import ZmqSettings
from iocsim.zmq.simplon import SimplonSeries
from iocsim.zmq.socket import SenderSocket


class ZmqSenders:
    """The senders, and `Sim:ZmqRestart`: put 1, back to 0 when their sockets were closed and opened again."""

    def __init__(self, table: PvTable, faults: Callable[[], Faults], source_port: str, settings: ZmqSettings) -> None:
        """`source_port` is the first value of `ZMQ1:NDArrayPort`. Raises AddressError if one cannot be had."""
        sim, keys = table.below("Sim:"), settings.keys

        def unit(name: str, address: Address, make_stream: MakeStream) -> ControlUnit:
            socket = SenderSocket(address, keys, high_water_mark=HANDED_TO_ZMQ)
            return ControlUnit(sim, name, faults, socket, make_stream, settings.n_kept)

        self._plugin: ZmqPlugin | None = None
        self._simplon: ControlUnit | None = None
        self._stream2: ControlUnit | None = None
        if settings.array is not None:
            socket = SenderSocket(settings.array, keys)
            self._plugin = ZmqPlugin(table.below("ZMQ1:"), faults, source_port, socket, old_header=settings.old_header)
        if settings.simplon is not None:
            self._simplon = unit(
                "Simplon",
                settings.simplon,
                lambda announced: SimplonSeries(announced, settings.detail, settings.encoding),
            )
        if settings.stream2 is not None:
            try:
                from iocsim.zmq.stream2 import Stream2Series
            except ModuleNotFoundError as error:
                raise AddressError(f"--stream2 needs {error.name}: pip install 'ptychostream[sim]'") from error
            self._stream2 = unit(
                "Stream2",
                settings.stream2,
                lambda announced: Stream2Series(announced, settings.n_channels, settings.encoding),
            )
        self._units = [unit for unit in (self._simplon, self._stream2) if unit is not None]
        self._all = [sender for sender in (self._plugin, *self._units) if sender is not None]
        sim.setpoint("ZmqRestart", Choice(("Done", "Restart"))).on_put = self._put_restart

    @property
    def deliveries(self) -> list[Delivery]:
        """The faulty way of each sender's frames."""
        return [sender.delivery for sender in self._all]

    def begin(self, series: Series) -> None:
        """The detector is armed."""
        for unit in self._units:
            unit.begin(series)

    def process(self, array: NDArray, arrays: Arrays) -> Copies:
        """Send a frame: the control unit as the camera made it, ZMQ1 as the port of its NDArrayPort gives it."""
        return Copies(
            zmq=0 if self._plugin is None else self._plugin.process(arrays),
            simplon=0 if self._simplon is None else self._simplon.process(array),
            stream2=0 if self._stream2 is None else self._stream2.process(array),
        )

    def end(self) -> None:
        """The acquisition is over: what is held back leaves."""
        for sender in self._all:
            sender.end()

    async def refresh(self) -> None:
        """Show what was sent."""
        for sender in self._all:
            await sender.refresh()

    async def close(self) -> None:
        """Close the sockets, each once what was sent is taken, or a second has passed."""
        for sender in self._all:
            await asyncio.to_thread(sender.close)

    async def _put_restart(self, value: str) -> str:
        if value == "Restart":
            for sender in self._all:
                await asyncio.to_thread(sender.restart)
        return "Done"
