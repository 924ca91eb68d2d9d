"""The service's PVs over Channel Access: status to read, and three commands.

A command is handed out as an order. A put of it is complete when the order has been answered, as with an EPICS busy
record: arming is decided, the run has ended. A put without a callback is the same for those who do not wait.
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from types import new_class
from typing import Any, Protocol, cast

from caproto import AlarmSeverity, AlarmStatus, CaprotoRuntimeError, ChannelType
from caproto.server import PVGroup, pvproperty
from caproto.server.server import PvpropertyChar

from stream_service.publishers.pv_fields import PvFields, record_of
from stream_service.publishers.shown import Shown
from stream_service.settings.pv_type import REQUEST_BYTES, Kind
from stream_service.settings.status_table import ServicePV

ENCODING = "utf-8"
UPDATES_WAITING = 10
"""Of one PV for a client that does not keep up: it wants the latest values. Of `Request`, up to 4 MiB each, one."""
MOST_PENDING = 16
"""Puts of one command that have not been answered; each holds a request of up to 4 MiB."""

CHARACTERS = (
    ChannelType.CHAR,
    ChannelType.STS_CHAR,
    ChannelType.TIME_CHAR,
    ChannelType.GR_CHAR,
    ChannelType.CTRL_CHAR,
)
BEGINNING = 1024
"""Characters of `Request` for a client that wants strings or numbers."""


class Command(StrEnum):
    """Orders of a plan or an operator."""

    ARM = ServicePV.ARM
    REPEAT = ServicePV.REPEAT
    STOP = ServicePV.STOP
    ABORT = ServicePV.ABORT


class PutClient(Protocol):
    """The connection of a client that waits for the completion of its put."""

    @property
    def connected(self) -> bool: ...


PUT_CLIENT: ContextVar[PutClient | None] = ContextVar("put_client", default=None)
"""Of the put that is being worked on; None for a put without callback."""


@dataclass(frozen=True, slots=True)
class Order:
    """A command as it came in, with the request that stood in `Request` at that moment."""

    command: Command
    request: str
    answered: asyncio.Event
    """Of the server's loop: the put is complete once it is set."""
    client: PutClient | None = None
    """Who waits for that; None if nobody does, as far as is known."""

    @property
    def is_abandoned(self) -> bool:
        """True when who waited for the answer has disconnected."""
        return self.client is not None and not self.client.connected


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


def property_of(pv: ServicePV) -> pvproperty[Any, Any]:
    """A PV of the status table as caproto declares it."""
    about = pv.type
    options: dict[str, Any] = {"name": pv.value, "doc": pv.meaning, "read_only": not pv.takes_puts}
    options["alarm_group"] = pv.value  # its own: caproto has one for a whole group, and any post would clear it
    if pv in set(Command):
        options["put"] = _ordering(Command(pv))
    if about.limits is not None:
        options["lower_disp_limit"], options["upper_disp_limit"] = about.limits
    match about.kind:
        case Kind.CHAR:
            dtype: Any = RequestText if pv is ServicePV.REQUEST else ChannelType.CHAR
            return pvproperty(value="", dtype=dtype, max_length=about.max_bytes, string_encoding=ENCODING, **options)
        case Kind.ENUM:
            names = about.choices
            return pvproperty(value=names[0], dtype=cast(Any, ChannelType.ENUM), enum_strings=names, **options)
        case Kind.LONG:
            return pvproperty(value=0, dtype=cast(Any, ChannelType.LONG), units=about.unit, **options)
        case Kind.DOUBLE:
            return pvproperty(value=0.0, units=about.unit, precision=about.precision, **options)


def metadata_of(pv: ServicePV, shown: Shown) -> dict[str, Any]:
    """What goes with a value: its alarm, and where alarms begin, as far as the type of the PV has room for that.

    caproto makes an alarm of its own by these limits, unless it is told not to verify the value.
    """
    alarm = shown.alarm
    metadata: dict[str, Any] = {"status": AlarmStatus[alarm.condition], "severity": AlarmSeverity(alarm.severity)}
    if pv.type.kind is Kind.DOUBLE:
        limits = shown.limits
        metadata["lower_alarm_limit"], metadata["lower_warning_limit"] = limits.lolo, limits.low
        metadata["upper_warning_limit"], metadata["upper_alarm_limit"] = limits.high, limits.hihi
    return metadata


def group_of(pvs: Iterable[ServicePV]) -> Any:
    """A class of caproto with these PVs of the status table as its properties."""
    properties = {pv.value: property_of(pv) for pv in pvs}
    return new_class("StatusTable", (PVGroup,), exec_body=lambda names: names.update(properties))


class ServicePVs(group_of(ServicePV)):
    """The PVs below the service's prefix, and the orders that came by them."""

    pvdb: dict[str, Any]

    def __init__(self, prefix: str, orders: queue.Queue[Order]) -> None:
        super().__init__(prefix=prefix)
        self._orders = orders
        self._pending: list[Order] = []
        for pv, channel in zip(ServicePV, self.pvdb.values(), strict=True):
            channel.max_subscription_backlog = UPDATES_WAITING
            channel.reported_record_type = record_of(pv)
            channel.fields = PvFields(pv, channel)
        self.channel(ServicePV.REQUEST).max_subscription_backlog = 1

    def channel(self, pv: ServicePV) -> Any:
        """The PV as caproto serves it."""
        return self.pvdb[self.prefix + pv]

    def is_pending(self, command: Command) -> bool:
        """True if an order of this kind has not been answered yet."""
        return any(order.command is command for order in self._pending)

    async def give(self, command: Command) -> None:
        """Hand out an order, with the request as it stands now; done when it has been answered."""
        if sum(order.command is command for order in self._pending) >= MOST_PENDING:
            raise CaprotoRuntimeError(f"{command} is refused: {MOST_PENDING} puts of it wait for their answer already")
        order = Order(command, self.channel(ServicePV.REQUEST).text, asyncio.Event(), PUT_CLIENT.get())
        self._pending.append(order)
        self._orders.put(order)
        try:
            await order.answered.wait()
        finally:
            self._pending.remove(order)
