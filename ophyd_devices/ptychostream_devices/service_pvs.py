"""The PVs of one streaming service as a client last heard them.

Monitors only store the latest value and wake whoever waits; nothing here polls the network. Values are plain
`str` and `int`: enums arrive as their strings, char waveforms as text.
"""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from stream_service.channel_access.channel import let_go
from stream_service.channel_access.library import PV, attach_thread
from stream_service.settings.pv_type import Kind
from stream_service.settings.status_table import RECORDED, ServicePV
from stream_service.text.utf8 import text_in_waveform, waveform_of

logger = logging.getLogger(__name__)

MONITORED = (
    *(ServicePV.ARM, ServicePV.STOP, ServicePV.ABORT),
    *RECORDED,
    *(ServicePV.ARM_ERROR, ServicePV.MESSAGE, ServicePV.RUN_NUMBER, ServicePV.SCAN_ID),
    *(ServicePV.FRAMES_RECEIVED, ServicePV.ROWS_EXPECTED, ServicePV.RESUMING),
    *(ServicePV.REPEAT, ServicePV.ROWS_REJECTED, ServicePV.TO_REPEAT),
)
"""What the device listens to: whether a command is answered, whose run is the newest, how far it is."""
ENUMS = tuple(pv for pv in MONITORED if pv.type.kind is Kind.ENUM)

FIRST_WAIT_SHARE = 0.6
"""Of the time to connect, before channels that are silent are opened again."""
TEXT_TIMEOUT_S = 10.0  # a request of 4 MiB over a slow link; a daemon that lives takes it in milliseconds


@dataclass(frozen=True, slots=True)
class Heard:
    """The latest value of one PV."""

    value: str | int
    timestamp_s: float
    """When the value was true, by the service's clock, seconds since 1970."""
    count: int
    """How many updates came so far: a later one has a higher count, even with the same value."""


class ServicePVs(ABC):
    """The latest value of each PV, and a way to wait for what they say; the transport of `StreamServiceDevice`.

    Safe to use from any thread.
    """

    prefix: str

    def __init__(self) -> None:
        self._heard: dict[str, Heard] = {}
        self._changed = threading.Condition()

    @property
    @abstractmethod
    def is_connected(self) -> bool:
        """True if the service answers at this moment."""

    @property
    def is_current(self) -> bool:
        """True if the service answers, and every value is one that it has told since it does."""
        return self.is_connected

    @abstractmethod
    def connect(self, timeout_s: float) -> None:
        """Return when every PV has delivered a value on this connection; raises `TimeoutError` naming the others."""

    @abstractmethod
    def put(self, name: str, value: int | str) -> None:
        """Write a PV: a text is taken when this returns, a command only sent. Raises `TimeoutError`, `ValueError`.

        Whether a command was obeyed is told by the other PVs; its own put may stay open as long as it works.
        """

    def post(self, name: str, value: str | int, timestamp_s: float) -> None:
        """Take an update and wake everyone who waits."""
        with self._changed:
            before = self._heard.get(name)
            self._heard[name] = Heard(value, timestamp_s, before.count + 1 if before else 1)
            self._changed.notify_all()

    def wake(self) -> None:
        """Let everyone who waits look again, because something else than a value has changed."""
        with self._changed:
            self._changed.notify_all()

    def latest(self, name: str) -> Heard:
        """The latest value of a PV; raises `LookupError` when it has never delivered one."""
        with self._changed:
            if name not in self._heard:
                raise LookupError(f"{name} has not delivered a value: stage the device first")
            return self._heard[name]

    def text(self, name: str) -> str:
        """The latest value of a text or an enum."""
        return str(self.latest(name).value)

    def number(self, name: str) -> int:
        """The latest value of a count."""
        return int(self.latest(name).value)

    def has(self, name: str) -> bool:
        with self._changed:
            return name in self._heard

    def wait_until(self, claim: Callable[[], bool], timeout_s: float) -> bool:
        """Return True as soon as the claim holds; False if it does not within `timeout_s`."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            with self._changed:
                if claim():
                    return True
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    return False
                self._changed.wait(left_s)


class EpicsServicePVs(ServicePVs):
    """The service's PVs over Channel Access, by pyepics. Channels are opened by the first `connect`."""

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self.prefix = prefix
        self._channels: dict[ServicePV, PV] = {}
        self._enum_names: dict[str, tuple[str, ...]] = {}
        self._from_before: set[str] = set()
        """PVs whose latest value is from before the connection was lost, maybe of a service that is no more."""
        self._opening = threading.Lock()

    @property
    def is_connected(self) -> bool:
        return bool(self._channels) and all(channel.connected for channel in self._channels.values())

    @property
    def is_current(self) -> bool:
        return bool(self._channels) and not self._silent()

    def connect(self, timeout_s: float) -> None:
        attach_thread()
        with self._opening:
            if not any(channel.connected for channel in self._channels.values()):
                for channel in self._channels.values():
                    let_go(channel)
                self._channels = {name: self._open(name) for name in (ServicePV.REQUEST, *MONITORED)}
        if not self._all_speak(timeout_s * FIRST_WAIT_SHARE):
            self._reopen_silent()
            if not self._all_speak(timeout_s * (1 - FIRST_WAIT_SHARE)):
                raise TimeoutError(self._describe_silence(timeout_s))
        for name in ENUMS:  # asked for here, because a monitor brings only the number
            self._enum_names[name] = tuple(self._channels[name].enum_strs or ())

    def _all_speak(self, timeout_s: float) -> bool:
        return self.wait_until(lambda: not self._silent(), timeout_s)

    def _reopen_silent(self) -> None:
        """Open the channels anew that say nothing, where others do: their subscription, or its answer, was lost."""
        with self._opening:
            silent = self._silent()
            if len(silent) == len(self._channels):
                return
            logger.warning("%s: no value yet, opened again", ", ".join(self.prefix + name for name in silent))
            for name in silent:
                let_go(self._channels[name])
                self._channels[name] = self._open(name)

    def _describe_silence(self, timeout_s: float) -> str:
        silent = self._silent()
        if len(silent) == len(self._channels):
            return (
                f"nothing answers at {self.prefix} within {timeout_s:g} s: is `ptychostream run` running, "
                f"and is the prefix right?"
            )
        names = ", ".join(self.prefix + name for name in silent)
        if all(self._channels[name].connected for name in silent):
            return (
                f"{names} gave no value within {timeout_s:g} s, also when opened again: is the service, or the "
                "network, overloaded?"
            )
        return (
            f"{names} did not answer within {timeout_s:g} s, also when opened again: the service at {self.prefix} is "
            "of another version than this device"
        )

    def _open(self, name: ServicePV) -> PV:
        """A new channel; what was heard on an old one no longer counts."""
        if name is ServicePV.REQUEST:
            return PV(f"{self.prefix}{name}", auto_monitor=False, connection_callback=self._connection_changed)
        self._from_before.add(name)
        return PV(
            f"{self.prefix}{name}",
            auto_monitor=True,
            callback=self._heard_of(name),
            connection_callback=self._connection_of(name),
        )

    def put(self, name: str, value: int | str) -> None:
        attach_thread()
        channel = self._channels[ServicePV(name)]
        if not isinstance(value, str):
            channel.put(value, use_complete=True)  # so that the service knows who waits, and sees when nobody does
            return
        text = waveform_of(value)
        if len(text) > channel.nelm:
            raise ValueError(
                f"{channel.pvname} takes {channel.nelm} bytes, the text has {len(text)}: "
                f"ask for fewer positions in one scan"
            )
        if channel.put(text, wait=True, timeout=TEXT_TIMEOUT_S) != 1:
            raise TimeoutError(f"{channel.pvname} did not take the text within {TEXT_TIMEOUT_S:g} s")

    def latest(self, name: str) -> Heard:
        heard = super().latest(name)
        names = self._enum_names.get(name)
        return heard if names is None else replace(heard, value=names[int(heard.value)])

    def _silent(self) -> list[ServicePV]:
        return [
            name
            for name, channel in self._channels.items()
            if not channel.connected or (name in MONITORED and (name in self._from_before or not self.has(name)))
        ]

    def _connection_changed(self, **_: Any) -> None:
        self.wake()

    def _connection_of(self, name: str) -> Callable[..., None]:
        def changed(conn: bool = False, **_: Any) -> None:
            if not conn:
                self._from_before.add(name)
            self.wake()

        return changed

    def _heard_of(self, name: ServicePV) -> Callable[..., None]:
        def heard(value: Any = None, timestamp: float = 0.0, **_: Any) -> None:
            self._from_before.discard(name)
            self.post(name, text_in_waveform(value) if name.type.kind is Kind.CHAR else int(value), timestamp)

        return heard
