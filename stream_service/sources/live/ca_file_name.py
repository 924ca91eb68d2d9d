"""The names of the files that an IOC writes: monitored, so that nobody waits for it."""

from __future__ import annotations

from collections import deque
from typing import Any

from stream_service.channel_access.channel import let_go
from stream_service.channel_access.library import PV
from stream_service.text.utf8 import text_in_waveform

RAW_FILE_NAME = "FullFileName_RBV"
"""Of an NDFileHDF5 plugin: emptied when a capture begins, and set when the file is made."""

MOST_NAMES = 10_000
"""That are remembered, about 100 bytes each."""


class CaFileName:
    """That in a PV, a char waveform or a string. One that does not answer, or holds numbers, tells nothing."""

    def __init__(self, pv: str) -> None:
        self.latest = ""
        """The last one that is not empty, as the IOC names it."""
        self.problem = ""
        """Why this PV can never tell a name; empty if it can, or has not answered yet."""
        self._names: deque[str] = deque(maxlen=MOST_NAMES)
        self._n_names = 0
        self._pv = PV(pv, auto_monitor=True, callback=self._enter)

    def close(self) -> None:
        """Hear no more."""
        let_go(self._pv)

    def _enter(self, value: Any = None, pvname: str = "", **told: Any) -> None:
        self.problem = no_name_problem(pvname, told.get("type", ""))
        if self.problem:
            return
        name = text_in_waveform(value)
        if name and name != self.latest:
            self.latest = name
            self._names.append(name)
            self._n_names += 1

    @property
    def mark(self) -> int:
        """For `since`: names from the latest one on."""
        return max(0, self._n_names - 1)

    def since(self, mark: int) -> tuple[str, ...]:
        """The names since then, in order, as far as they are remembered."""
        n = self._n_names - mark
        return tuple(self._names)[-n:] if n > 0 else ()


def no_name_problem(pv: str, field_type: str) -> str:
    """Why a PV of this type (as pyepics has it: `time_double`) cannot hold the name of a file; empty if it can."""
    kind = field_type.rpartition("_")[2]
    if kind in ("char", "string", ""):
        return ""
    return f"{pv} holds {'a choice' if kind == 'enum' else 'numbers'}, and not a text that could name a file"
