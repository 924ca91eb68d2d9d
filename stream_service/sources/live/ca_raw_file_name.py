"""The name of the file that an NDFileHDF5 plugin writes: monitored, so that nobody waits for it."""

from __future__ import annotations

from typing import Any

from stream_service.channel_access.channel import let_go
from stream_service.channel_access.library import PV
from stream_service.text.utf8 import text_in_waveform

NAME = "FullFileName_RBV"
"""Emptied when a capture begins, and set when the file is made."""


class CaRawFileName:
    """That of the plugin with this prefix (`BL1:HDF1:`). A plugin that does not answer tells nothing."""

    def __init__(self, prefix: str) -> None:
        self.latest = ""
        """The last one that is not empty, as the IOC names it."""
        self._pv = PV(prefix + NAME, auto_monitor=True, callback=self._enter)

    def close(self) -> None:
        """Hear no more."""
        let_go(self._pv)

    def _enter(self, value: Any = None, **_: Any) -> None:
        self.latest = text_in_waveform(value) or self.latest
