"""The service seen from outside, over its own PVs: for `status` and the demo."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stream_service.channel_access.channel import let_go
from stream_service.channel_access.library import CA_FAILURES, PV
from stream_service.errors import ConfigError, SourceError
from stream_service.settings.pv_type import Kind
from stream_service.settings.service_status import Severity
from stream_service.settings.status_table import SILENT_S, STATUS, ServicePV, StatusValue
from stream_service.text.utf8 import text_in_waveform

SEARCH_S = 1.0
"""For a service to answer: CA asks five times meanwhile."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The PVs of a service at one moment, in the order of the status table."""

    values: dict[ServicePV, StatusValue]
    """Texts as texts."""
    severities: dict[ServicePV, int]

    @property
    def alarms(self) -> dict[ServicePV, str]:
        """Those that are in alarm, with its word."""
        return {pv: Severity(min(n, Severity.INVALID)).name for pv, n in self.severities.items() if n}


class RemoteService:
    """Connections to the PVs of a running service. Raises `SourceError` if it does not answer, `ConfigError`."""

    def __init__(self, prefix: str, timeout_s: float, on_change: Callable[[], None] = lambda: None) -> None:
        """`on_change` is called in the thread of CA whenever a PV has a new value or alarm; it must not raise."""
        if not prefix.isascii():
            raise ConfigError(f"{prefix!r} is not a prefix of PVs: their names are ASCII")
        self._on_change = on_change
        self._heard_s = time.monotonic()
        self._channels = {pv: PV(prefix + pv, auto_monitor=True, callback=self._changed) for pv in STATUS}
        deadline = time.monotonic() + timeout_s
        for channel in self._channels.values():
            if not channel.wait_for_connection(max(0.01, deadline - time.monotonic())):
                self.close()
                colon = "" if prefix.endswith(":") else " (which has no colon at its end)"
                raise SourceError(
                    f"no service answers at {prefix}{colon} within {timeout_s:g} s: is 'ptychostream run' up, and is "
                    "EPICS_CA_ADDR_LIST right?"
                )

    def read(self) -> dict[ServicePV, StatusValue]:
        """The latest value of every PV of the status, in the order of the status table; texts as texts."""
        return {pv: _value_of(pv, channel) for pv, channel in self._channels.items()}

    def look(self) -> Seen:
        """The latest values and alarms."""
        values = self.read()
        return Seen(values, {pv: int(channel.severity or 0) for pv, channel in self._channels.items()})

    @property
    def answers(self) -> bool:
        """False once it has gone, or its heart does not beat."""
        is_there = all(channel.connected for channel in self._channels.values())
        return is_there and time.monotonic() - self._heard_s < SILENT_S

    def close(self) -> None:
        """Let its PVs go."""
        for channel in self._channels.values():
            let_go(channel)

    def _changed(self, pvname: str = "", **_: Any) -> None:
        if pvname.endswith(ServicePV.HEARTBEAT):
            self._heard_s = time.monotonic()
        self._on_change()


class WatchedService:
    """A service that is looked at again and again, and found again after it was away."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._service: RemoteService | None = None
        self._has_changed = threading.Event()
        self._heartbeat: StatusValue = -1
        self._stood_at: StatusValue = -1
        """The heartbeat at which it went silent: one that hangs is still connected."""

    def wait(self, seconds: float) -> None:
        """Wait for something to change, so long at the most; at once where there is no service to wait for."""
        if self._service is not None:
            self._has_changed.wait(seconds)
            self._has_changed.clear()

    def look(self) -> Seen | None:
        """What it shows now; None if none answers, which is tried for `SEARCH_S` then."""
        try:
            if self._service is None:
                self._service = RemoteService(self._prefix, SEARCH_S, self._has_changed.set)
            if self._service.answers:
                seen = self._service.look()
                self._heartbeat = seen.values[ServicePV.HEARTBEAT]
                return None if self._heartbeat == self._stood_at else seen
        except SourceError:
            pass
        self._stood_at = self._heartbeat
        self.close()
        return None

    def close(self) -> None:
        """Let the service go."""
        if self._service is not None:
            self._service.close()
            self._service = None


def service_host(prefix: str, timeout_s: float = SEARCH_S) -> str:
    """Host and port at which a service with this prefix answers; empty if none does."""
    if not prefix.isascii():
        return ""
    heartbeat = PV(prefix + ServicePV.HEARTBEAT, auto_monitor=False)
    try:
        return str(heartbeat.host) if heartbeat.wait_for_connection(timeout_s) else ""
    finally:
        let_go(heartbeat)


def _value_of(pv: ServicePV, channel: Any) -> StatusValue:
    problem = f"{channel.pvname} gives no value: is 'ptychostream run' still up?"
    try:
        value = channel.get(as_string=pv.type.kind is Kind.ENUM)
    except CA_FAILURES as error:  # it has gone meanwhile
        raise SourceError(problem) from error
    if value is None:
        raise SourceError(problem)
    return text_in_waveform(value) if pv.type.kind is Kind.CHAR else value
