"""The monochromator: a photon energy in electronvolts that is set, read back, and done or not."""

from __future__ import annotations

from typing import Any

from ophyd import Component, EpicsSignal, EpicsSignalRO, PVPositioner

THERE_EV = 1e-3  # closer than any soft X-ray monochromator resolves


class Monochromator(PVPositioner):
    """`<prefix>` sets the energy, `<prefix>_RBV` reads it back, `<prefix>Done` is 1 when it is there; all in eV."""

    setpoint = Component(EpicsSignal, "", kind="normal")
    readback = Component(EpicsSignalRO, "_RBV", auto_monitor=True, kind="hinted")
    done = Component(EpicsSignalRO, "Done", auto_monitor=True, kind="omitted")
    done_value = 1

    def __init__(self, prefix: str, *, name: str, **kwargs: Any) -> None:
        super().__init__(prefix, name=name, egu="eV", **kwargs)
        self.readback.name = name

    def _setup_move(self, position: float) -> None:
        is_there = self.done.get() == self.done_value and abs(float(self.readback.get()) - position) <= THERE_EV
        super()._setup_move(position)
        if is_there:  # nothing will move, so `done` will not change and would be waited for without end
            self._done_moving(success=True)
