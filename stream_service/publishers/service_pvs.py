"""The service's PVs over Channel Access: status to read, and three commands.

A command is handed out as an order. A put of it is complete when the order has been answered, as with an EPICS busy
record: arming is decided, the run has ended. A put without a callback is the same for those who do not wait.
"""

from __future__ import annotations

import asyncio
import queue
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from caproto import CaprotoRuntimeError, ChannelType
from caproto.server import PVGroup, pvproperty
from caproto.server.server import PvpropertyChar

REQUEST_BYTES = 4 << 20
TEXT_BYTES = 4096
ENCODING = "utf-8"
STATES = ("IDLE", "ARMED", "RECEIVING", "DRAINING", "COMPLETE", "INCOMPLETE", "ABORTED", "FAILED")
HEALTHS = ("READY", "BUSY", "FAULTED")
UPDATES_WAITING = 10
"""Of one PV for a client that does not keep up: it wants the latest values. Of `Request`, up to 4 MiB each, one."""
MOST_PENDING = 16
"""Puts of one command that have not been answered; each holds a request of up to 4 MiB."""
ALARMED = ("Message", "Health", "State")
"""The PVs that carry the alarm of a run: what it says, and what screens and alarm handlers look at."""

# caproto takes a ChannelType wherever it says that it takes a Python type
LONG: Any = ChannelType.LONG
CHAR: Any = ChannelType.CHAR
ENUM: Any = ChannelType.ENUM

CHARACTERS = (
    ChannelType.CHAR,
    ChannelType.STS_CHAR,
    ChannelType.TIME_CHAR,
    ChannelType.GR_CHAR,
    ChannelType.CTRL_CHAR,
)
BEGINNING = 1024
"""Characters of `Request` for a client that wants strings or numbers."""

StatusValue = str | int | float


class Command(StrEnum):
    """What a plan or an operator can ask for."""

    ARM = "Arm"
    STOP = "Stop"
    ABORT = "Abort"


@dataclass(frozen=True, slots=True)
class Order:
    """A command as it came in, with the request that stood in `Request` at that moment."""

    command: Command
    request: str
    answered: asyncio.Event
    """Of the server's loop: the put is complete once it is set."""


def _number(doc: str, **options: Any) -> Any:
    return pvproperty(value=0, dtype=LONG, read_only=True, doc=doc, **options)


def _text(doc: str) -> Any:
    return pvproperty(value="", dtype=CHAR, max_length=TEXT_BYTES, string_encoding=ENCODING, read_only=True, doc=doc)


def _choice(names: tuple[str, ...], doc: str) -> Any:
    return pvproperty(value=names[0], dtype=ENUM, enum_strings=names, read_only=True, doc=doc)


def _ordering(command: Command) -> Any:
    """A put of 1: the PV is 1 until the order has been answered, and only then is the put complete."""

    async def put(group: ServicePVs, instance: Any, value: Any) -> int:
        if int(value) == 1:
            await instance.write(1, verify_value=False)
            await group.give(command)
        return int(group.is_pending(command))

    return put


class RequestText(PvpropertyChar[Any]):
    """A char waveform that takes anything: what is wrong with a request is said when it is armed.

    Bytes that are no UTF-8 (pyepics sends such for a `str` beyond ASCII) are not guessed at: escapes are no JSON. All
    who read it as characters are given the same bytes. caproto would make a list of 4 million numbers of it, and
    160 MiB of strings for a client that wants those: such a client is given the beginning.
    """

    text = ""
    """The whole of it."""
    _bytes = b""

    async def write_from_dbr(self, data: Any, data_type: ChannelType, metadata: Any, *, flags: int = 0) -> None:
        """Take a client's characters up to a NUL."""
        if data_type == ChannelType.CHAR:
            text = bytes(data[:REQUEST_BYTES]).split(b"\0", 1)[0].decode(ENCODING, "backslashreplace")
            await self.write(text, flags=flags)
        else:
            await super().write_from_dbr(data, data_type, metadata, flags=flags)

    async def write(self, value: Any, **options: Any) -> None:
        """Take a text, and tell who subscribed."""
        self.text = str(self.preprocess_value(value))
        self._bytes = self.text.encode(ENCODING, "backslashreplace")
        await super().write(self.text[:BEGINNING], **options)

    async def _read(self, data_type: Any) -> tuple[Any, Any]:
        metadata, beginning = await super()._read(data_type)
        is_characters = data_type in CHARACTERS
        return metadata, self._bytes if is_characters else beginning


class ServicePVs(PVGroup):
    """The PVs below the service's prefix."""

    request = pvproperty(
        name="Request",
        value="",
        dtype=RequestText,
        string_encoding=ENCODING,
        max_length=REQUEST_BYTES,
        doc="ScanRequest as JSON; then put Arm",
    )
    arm = pvproperty(
        name="Arm",
        value=0,
        dtype=LONG,
        put=_ordering(Command.ARM),
        doc="put 1: arm for Request; 0, and the put complete, when decided",
    )
    stop = pvproperty(
        name="Stop",
        value=0,
        dtype=LONG,
        put=_ordering(Command.STOP),
        doc="put 1: stop gracefully (drain and close); 0, and the put complete, when the run has ended",
    )
    abort = pvproperty(
        name="Abort",
        value=0,
        dtype=LONG,
        put=_ordering(Command.ABORT),
        doc="put 1: end now, keep the rows; 0, and the put complete, when the run has ended",
    )

    State = _choice(STATES, "state of the newest run")
    Health = _choice(HEALTHS, "state of the service")
    ScanId = _text("scan of the newest run")
    RunNumber = _number("runs armed since the service started")
    File = _text("file of the newest run")
    Message = _text("what happens, in words")
    ArmError = _text("why the last arming failed; empty if it did not")
    EndReason = _text("why the newest run ended")
    FramesExpected = _number("frames the run should have")
    FramesReceived = _number("frames that came in, each counted once")
    FramesStored = _number("frames in the file")
    FramesLost = _number("frames exposed and not in the file; gaps so far while the run goes on")
    FramesDuplicate = _number("frames that came more than once")
    FramesIncomplete = _number("frames whose group never filled")
    FramesNotExposed = _number("frames planned that the detector never made")
    FramesSurplus = _number("frames beyond those expected, or with an id that cannot be; not stored")
    FramesBeforeRun = _number("frames that came from before the run; not stored")
    BadMessages = _number("messages that were no usable frame")
    Rows = _number("rows in the file, visible to readers")
    RowsExpected = _number("rows the file should have; 0 if not known")
    RowsPerSecond = pvproperty(value=0.0, read_only=True, precision=1, doc="rate of rows", units="1/s")
    QueueBytes = pvproperty(value=0.0, read_only=True, precision=0, doc="frames waiting in memory", units="bytes")
    Standby = _number("1: auto mode, armed for whatever the detector does next")
    Heartbeat = _number("counts seconds")

    def __init__(self, prefix: str, orders: queue.Queue[Order]) -> None:
        super().__init__(prefix=prefix)
        self._orders = orders
        self._pending: list[Order] = []
        for channel in self.pvdb.values():
            channel.max_subscription_backlog = UPDATES_WAITING
        self.request.max_subscription_backlog = 1

    def is_pending(self, command: Command) -> bool:
        """Whether an order of this kind has not been answered yet."""
        return any(order.command is command for order in self._pending)

    async def give(self, command: Command) -> None:
        """Hand out an order, with the request as it stands now; done when it has been answered."""
        if sum(order.command is command for order in self._pending) >= MOST_PENDING:
            raise CaprotoRuntimeError(f"{command} is refused: {MOST_PENDING} puts of it wait for their answer already")
        order = Order(command, self.request.text, asyncio.Event())
        self._pending.append(order)
        self._orders.put(order)
        try:
            await order.answered.wait()
        finally:
            self._pending.remove(order)
