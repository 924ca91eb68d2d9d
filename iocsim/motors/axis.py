"""One axis and its motor controller: takes moves and stops, and says at a poll where it is. Positions are dial units.

The controller counts in steps, so what it is sent to, and what it reports, is a whole number of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

from iocsim.motors.trajectory import Move, Stop, Track

STEP_UM = 0.0001
"""MRES: 0.1 nm, of a piezo stage; finer than any scan here asks for. (The recorded motors had 1 nm.)"""


class Msta(IntFlag):
    """The bits of the motor record's MSTA that are used here (motor.h); NONE: a command was just sent."""

    NONE = 0
    FORWARD = 1 << 0
    DONE = 1 << 1
    MOVING = 1 << 10


@dataclass(frozen=True, slots=True)
class AxisStatus:
    """Answer of a controller to a poll."""

    steps: int
    msta: Msta


class Axis:
    """The motion is exact at any time; the controller shows it in steps. One thread moves, any thread may look."""

    def __init__(self, position: float = 0.0) -> None:
        self._track = Track(position)
        self.present = self._track.present

    def position_at(self, time_ns: int) -> float:
        """The true position at a time in the past (Unix ns). Any thread."""
        return self._track.position_at(time_ns)

    @property
    def end_ns(self) -> int:
        """End of the newest motion."""
        return self._track.last.end_ns

    def move(self, target: float, velocity: float, ramp_s: float, now_ns: int) -> None:
        """Go to the step nearest to the target."""
        target = steps_at(target) * STEP_UM
        self._track.add(Move(now_ns, self._track.position_at(now_ns), target, velocity, ramp_s))

    def stop(self, now_ns: int) -> None:
        """Slow down to rest; at rest this does nothing."""
        motion = self._track.last
        if isinstance(motion, Move) and now_ns < motion.end_ns:
            self._track.add(Stop.of(motion, now_ns, STEP_UM))

    def status_at(self, now_ns: int) -> AxisStatus:
        """The answer to a poll."""
        motion = self._track.last
        steps = steps_at(motion.position_at(now_ns))
        if now_ns >= motion.end_ns:
            return AxisStatus(steps, Msta.DONE)
        is_forward = motion.target > motion.start
        return AxisStatus(steps, Msta.MOVING | Msta.FORWARD if is_forward else Msta.MOVING)


def steps_at(position: float) -> int:
    """The whole number of steps nearest to a position."""
    return round(position / STEP_UM)
