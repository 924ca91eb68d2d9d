"""A shutter that is told to be open or closed, and says when it is."""

from __future__ import annotations

from typing import Any, Literal

from ophyd import Component, Device
from ophyd.areadetector.base import EpicsSignalWithRBV
from ophyd.status import StatusBase

MOVING_TIMEOUT_S = 10.0

Position = Literal["open", "closed"]


class Shutter(Device):
    """`<prefix>` sets it, `<prefix>_RBV` reads it back; `open_value` and `closed_value` are what they say."""

    state = Component(EpicsSignalWithRBV, "", kind="hinted")

    def __init__(self, prefix: str, *, name: str, open_value: int = 1, closed_value: int = 0, **kwargs: Any) -> None:
        super().__init__(prefix, name=name, **kwargs)
        self._values: dict[str, int] = {"open": open_value, "closed": closed_value}
        self.state.name = name

    def set(self, value: Position) -> StatusBase:
        """Open or close it; done when it reads back so, failed after some seconds. Raises `ValueError`."""
        if value not in self._values:
            raise ValueError(f"{self.name} can be open or closed, not {value!r}")
        return self.state.set(self._values[value], timeout=MOVING_TIMEOUT_S)

    @property
    def position(self) -> Position:
        """Present position."""
        return "open" if self.state.get() == self._values["open"] else "closed"
