"""Channel Access PVs described by a name and a first value.

All values are written in the event loop of the CA server. Other threads may read `Pv.value` at any time (one dictionary
look-up) and never write: what they have to show, they keep in plain numbers that the loop posts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from caproto import (
    AccessRights,
    CaprotoValueError,
    ChannelChar,
    ChannelData,
    ChannelDouble,
    ChannelEnum,
    ChannelInteger,
    ChannelString,
    ChannelType,
    SkipWrite,
    TimeStamp,
)

EPICS_EPOCH_S = 631152000
"""1990-01-01 in Unix seconds; CA and NDArray.timeStamp count from there."""
UNDEFINED_TIME_NS = EPICS_EPOCH_S * 1_000_000_000
"""The stamp of a record that was never processed: 0 in EPICS time."""


@dataclass(frozen=True, slots=True)
class Choice:
    """An enum record (bo, mbbo): at most 16 strings of at most 25 characters."""

    strings: tuple[str, ...]
    index: int = 0


@dataclass(frozen=True, slots=True)
class Text:
    """A long string: a waveform of CHAR."""

    value: str = ""
    length: int = 256


Initial = float | int | str | Choice | Text
"""float: ao, int: longout, str: stringout (39 characters), Choice: mbbo, Text: a char waveform."""

MONITORS_SENT_S = 0.002
"""How long before a put-callback may be answered; monitor updates pass through two more queues than the answer."""

NO_YES = Choice(("No", "Yes"))
OFF_ON = Choice(("Off", "On"))

PutHook = Callable[[Any], Awaitable[Any]]
"""Called with the value a client puts; gives the value to store, or raises SkipWrite when all is done."""


class Pv(ChannelData):
    """One PV: what a client puts goes through `on_put`, what the simulator posts does not."""

    on_put: PutHook | None = None
    is_read_only = False

    def check_access(self, hostname: str, username: str) -> AccessRights:
        """Clients may read everything and write what has no `is_read_only`."""
        return AccessRights.READ if self.is_read_only else AccessRights.READ | AccessRights.WRITE

    def checked(self, value: Any) -> Any:
        """The value as it is stored; raises CaprotoValueError if it cannot be."""
        return value

    async def verify_value(self, data: Any) -> Any:
        """Called by caproto for every put. Display limits are information here, never a reason to refuse."""
        value = self.checked(data)
        return value if self.on_put is None else await self.on_put(value)

    async def post(self, value: Any, timestamp_ns: int | None = None) -> None:
        """Store and publish a value, stamped with the time it was true (Unix ns; None: now)."""
        stamp = epics_timestamp(time.time_ns() if timestamp_ns is None else timestamp_ns)
        await self.write(self.checked(value), verify_value=False, timestamp=stamp)

    def stamp(self, timestamp_ns: int) -> None:
        """Change the time stamp and post nothing: what a client reads next carries it."""
        self._data["timestamp"] = TimeStamp(*epics_timestamp(timestamp_ns))
        self._content.clear()

    def limit(self, low: float, high: float) -> None:
        """Change the control and display limits and post nothing."""
        self._data["lower_ctrl_limit"] = self._data["lower_disp_limit"] = low
        self._data["upper_ctrl_limit"] = self._data["upper_disp_limit"] = high
        self._content.clear()

    async def follow(self, value: Any) -> None:
        """Publish the value only if it differs from the present one."""
        value = self.checked(value)
        if value != self.value:
            await self.post(value)


class DoublePv(Pv, ChannelDouble):
    """ai, ao."""

    def checked(self, value: Any) -> float:
        """A Python float: caproto hands out numpy scalars."""
        return float(value)


class IntegerPv(Pv, ChannelInteger):
    """longin, longout."""

    def checked(self, value: Any) -> int:
        """A Python int: caproto hands out numpy scalars, and those overflow."""
        return int(value)


class StringPv(Pv, ChannelString):
    """stringin, stringout: at most 39 characters."""


class TextPv(Pv, ChannelChar):
    """A waveform of CHAR that holds a string."""

    def checked(self, value: Any) -> str:
        """The text up to the first NUL."""
        return str(value).split("\0", 1)[0]

    async def write_from_dbr(self, data: Any, data_type: ChannelType, metadata: Any, *, flags: int = 0) -> None:
        """Take a client's text; caproto 1.3 cannot read one that is all NULs, which is how pyepics puts ""."""
        if data_type == ChannelType.CHAR:
            await self.write(bytes(data).decode("utf-8", "replace"), flags=flags)
        else:
            await super().write_from_dbr(data, data_type, metadata, flags=flags)


class EnumPv(Pv, ChannelEnum):
    """bi, bo, mbbi, mbbo; `value` is the string, `index` its number."""

    def checked(self, value: Any) -> str:
        """The string for a string or a number of the enum."""
        if isinstance(value, str):
            if value in self.enum_strings:
                return value
        elif 0 <= int(value) < len(self.enum_strings):
            return self.enum_strings[int(value)]
        raise CaprotoValueError(f"{value!r} is none of {', '.join(self.enum_strings)}")

    @property
    def index(self) -> int:
        """The number of the present string."""
        return self.enum_strings.index(self.value)


async def monitors_sent() -> None:
    """Wait until what was posted before is on its way to the clients; the last thing before a put-callback ends."""
    await asyncio.sleep(MONITORS_SENT_S)


def epics_timestamp(timestamp_ns: int) -> tuple[int, int]:
    """Seconds and nanoseconds since the EPICS epoch."""
    seconds, nanoseconds = divmod(timestamp_ns, 1_000_000_000)
    return seconds - EPICS_EPOCH_S, nanoseconds


def make_pv(initial: Initial, *, is_read_only: bool = False, units: str = "", precision: int = 3) -> Pv:
    """The PV that holds values like `initial`."""
    pv: Pv
    match initial:
        case Choice():
            pv = EnumPv(value=initial.strings[initial.index], enum_strings=initial.strings)
        case Text():
            pv = TextPv(value=initial.value, max_length=initial.length, string_encoding="utf-8")
        case str():
            pv = StringPv(value=initial, string_encoding="utf-8")
        case float():
            pv = DoublePv(value=initial, units=units, precision=precision)
        case int():
            pv = IntegerPv(value=initial, units=units)
    pv.is_read_only = is_read_only
    return pv


class Pair:
    """A setpoint and the readback that follows it, `Name` and `Name_RBV`."""

    def __init__(self, setpoint: Pv, readback: Pv, on_put: PutHook | None = None) -> None:
        """`on_put` gives the value that the readback is to show; the setpoint keeps what was put.

        A value that is not taken leaves the readback as it was: asyn records show what was put all the same.
        """
        self.setpoint = setpoint
        self.readback = readback
        self.after_put: Callable[[], Awaitable[None]] | None = None
        """Called when both have taken a client's value."""
        self._on_put = on_put
        setpoint.on_put = self._put

    @property
    def value(self) -> Any:
        """The readback: what the simulator goes by. Any thread."""
        return self.readback.value

    @property
    def is_on(self) -> bool:
        """For a two-state enum: it stands at its second string. Any thread."""
        return isinstance(self.readback, EnumPv) and self.readback.index == 1

    async def put(self, value: Any) -> None:
        """Take a value as if a client put it; raises what `on_put` does."""
        with suppress(SkipWrite):
            await self._put(self.setpoint.checked(value))

    async def follow(self, value: Any) -> None:
        """Post to both where they differ from the value, the readback first."""
        await self.readback.follow(value)
        await self.setpoint.follow(value)

    async def _put(self, value: Any) -> Any:
        shown = value if self._on_put is None else await self._on_put(value)
        await self.readback.post(shown)
        await self.setpoint.post(value)
        if self.after_put is not None:
            await self.after_put()
        raise SkipWrite


class PvTable:
    """The PVs below one prefix, by full name; what the CA server is given."""

    def __init__(self, prefix: str, pvs: dict[str, Pv] | None = None) -> None:
        """With `pvs`, the entries of a larger table are shared."""
        self.prefix = prefix
        self.pvs: dict[str, Pv] = {} if pvs is None else pvs

    def below(self, prefix: str) -> PvTable:
        """The same table seen from a longer prefix."""
        return PvTable(self.prefix + prefix, self.pvs)

    def add(self, name: str, pv: Pv) -> Pv:
        """Serve a PV under `prefix + name`."""
        full_name = self.prefix + name
        if full_name in self.pvs:
            raise ValueError(f"two PVs are named {full_name}")
        self.pvs[full_name] = pv
        return pv

    def readback(self, name: str, initial: Initial, *, units: str = "", precision: int = 3) -> Pv:
        """A PV that clients only read."""
        return self.add(name, make_pv(initial, is_read_only=True, units=units, precision=precision))

    def setpoint(self, name: str, initial: Initial, *, units: str = "", precision: int = 3) -> Pv:
        """A PV that clients may put, without a readback of its own."""
        return self.add(name, make_pv(initial, units=units, precision=precision))

    def pair(
        self,
        name: str,
        initial: Initial,
        *,
        units: str = "",
        precision: int = 3,
        on_put: PutHook | None = None,
    ) -> Pair:
        """A setpoint and its `_RBV`; `on_put` as for `Pair`."""
        setpoint = self.setpoint(name, initial, units=units, precision=precision)
        readback = self.readback(f"{name}_RBV", initial, units=units, precision=precision)
        return Pair(setpoint, readback, on_put)
