"""The experiment around the detector: stage, energy, ring current and shutter, and what they are at a given time."""

from __future__ import annotations

from collections.abc import Callable

from iocsim.clocks import FaultyClock
from iocsim.detector.frames import Conditions
from iocsim.detector.ndarray import NDAttribute, SourceType
from iocsim.motors.motor import Motor
from iocsim.motors.polling import Polling
from iocsim.physics.beam import Energy, RingCurrent, Shutter
from iocsim.pv import PvTable

UM = 1e-6


class Endstation:
    """All that is not the detector. The stage moves the sample, so the beam on the sample is minus the stage."""

    def __init__(
        self,
        table: PvTable,
        energy_eV: float,
        energy_limits_eV: tuple[float, float],
        seed: int,
        polling: Polling,
        motor_clock: FaultyClock,
        shown: Callable[[float], float],
    ) -> None:
        """`motor_clock` stamps what the motors post, `shown` is what their readbacks make of a place."""
        self.x = Motor(table, "X", polling, motor_clock.stamp, shown)
        self.y = Motor(table, "Y", polling, motor_clock.stamp, shown)
        self.energy = Energy(table, energy_eV, energy_limits_eV)
        self.ring_current = RingCurrent(table, seed)
        self.shutter = Shutter(table)
        self._prefix = table.prefix

    def conditions_at(self, time_ns: int) -> Conditions:
        """The truth at a time in the past (Unix ns). Any thread."""
        return Conditions(
            x_m=-UM * self.x.position_at(time_ns),
            y_m=-UM * self.y.position_at(time_ns),
            energy_eV=self.energy.energy_eV_at(time_ns),
            ring_current_mA=self.ring_current.mA_at(time_ns),
            shutter_open=self.shutter.is_open_at(time_ns),
        )

    def attributes(self) -> tuple[NDAttribute, ...]:
        """NDAttributes of the PVs: the last value that CA has shown, as a detector driver would have it. Any thread."""
        return tuple(
            NDAttribute(name, pv.value, about, SourceType.EPICS_PV, self._prefix + pv_name)
            for name, pv, about, pv_name in (
                ("posx", self.x.readback, "stage x, um", "X.RBV"),
                ("posy", self.y.readback, "stage y, um", "Y.RBV"),
                ("energy", self.energy.readback, "photon energy, eV", "Energy_RBV"),
                ("ring_current", self.ring_current.readback, "stored current, mA", "RingCurrent"),
            )
        )
