"""The service seen from outside, over its own PVs: for `status` and the demo."""

from __future__ import annotations

import time
from typing import Any

from stream_service.channel_access.library import PV
from stream_service.errors import ConfigError, SourceError
from stream_service.text.utf8 import text_in_waveform

SHOWN = (
    "Health",
    "State",
    "ScanId",
    "File",
    "Message",
    "EndReason",
    "Rows",
    "RowsExpected",
    "RowsPerSecond",
    "FramesExpected",
    "FramesReceived",
    "FramesStored",
    "FramesLost",
    "FramesDuplicate",
    "FramesIncomplete",
    "FramesNotExposed",
    "FramesSurplus",
    "FramesBeforeRun",
    "BadMessages",
    "QueueBytes",
    "Heartbeat",
)


class RemoteService:
    """Connections to the PVs of a running service. Raises `SourceError` if it does not answer, `ConfigError`."""

    def __init__(self, prefix: str, timeout_s: float) -> None:
        if not prefix.isascii():
            raise ConfigError(f"{prefix!r} is no prefix of PVs: their names are ASCII")
        self._pvs = {name: PV(prefix + name, auto_monitor=True) for name in SHOWN}
        deadline = time.monotonic() + timeout_s
        for pv in self._pvs.values():
            if not pv.wait_for_connection(max(0.01, deadline - time.monotonic())):
                raise SourceError(
                    f"no service answers at {prefix} within {timeout_s:g} s: is 'ptychostream run' up, and is "
                    "EPICS_CA_ADDR_LIST right?"
                )

    def read(self) -> dict[str, Any]:
        """The latest value of every PV that is shown; texts as texts."""
        return {name: _value_of(pv) for name, pv in self._pvs.items()}


def _value_of(pv: Any) -> Any:
    if str(pv.type).endswith("char"):
        return text_in_waveform(pv.get())
    return pv.get(as_string=str(pv.type).endswith("enum"))


def read_status(prefix: str, timeout_s: float) -> dict[str, Any]:
    """One look at a running service."""
    return RemoteService(prefix, timeout_s).read()
