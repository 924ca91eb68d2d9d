"""The service seen from outside, over its own PVs: for `status` and the demo."""

from __future__ import annotations

import time
from typing import Any

from stream_service.channel_access.channel import let_go
from stream_service.channel_access.library import PV
from stream_service.errors import ConfigError, SourceError
from stream_service.settings.status_table import STATUS, Kind, ServicePV, StatusValue
from stream_service.text.utf8 import text_in_waveform

SEARCH_S = 1.0
"""For a service to answer: CA asks five times meanwhile."""


class RemoteService:
    """Connections to the PVs of a running service. Raises `SourceError` if it does not answer, `ConfigError`."""

    def __init__(self, prefix: str, timeout_s: float) -> None:
        if not prefix.isascii():
            raise ConfigError(f"{prefix!r} is not a prefix of PVs: their names are ASCII")
        self._channels = {pv: PV(prefix + pv, auto_monitor=True) for pv in STATUS}
        deadline = time.monotonic() + timeout_s
        for channel in self._channels.values():
            if not channel.wait_for_connection(max(0.01, deadline - time.monotonic())):
                raise SourceError(
                    f"no service answers at {prefix} within {timeout_s:g} s: is 'ptychostream run' up, and is "
                    "EPICS_CA_ADDR_LIST right?"
                )

    def read(self) -> dict[ServicePV, StatusValue]:
        """The latest value of every PV of the status, in the order of the status table; texts as texts."""
        return {pv: _value_of(pv, channel) for pv, channel in self._channels.items()}


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
    value = channel.get(as_string=pv.type.kind is Kind.ENUM)
    if value is None:
        raise SourceError(f"{channel.pvname} gives no value: is 'ptychostream run' still up?")
    return text_in_waveform(value) if pv.type.kind is Kind.CHAR else value


def read_status(prefix: str, timeout_s: float) -> dict[ServicePV, StatusValue]:
    """One look at a running service."""
    return RemoteService(prefix, timeout_s).read()
