"""The motion of one axis as a function of time: the truth that the detector sees.

Pure: time is an argument, in Unix nanoseconds. Positions have the unit of the axis.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass

HISTORY = 4096
"""Moves remembered: at 100 steps a second, the last 40 s; an exposure looks back by its own length only."""


@dataclass(frozen=True, slots=True)
class Move:
    """A move from rest to rest with a trapezoid of velocity; before it the axis is at `start`, after it at `target`."""

    start_ns: int
    start: float
    target: float
    velocity: float
    """Speed on the flat of the trapezoid, in units per second; > 0."""
    ramp_s: float = 0.0
    """Seconds from rest to `velocity` (the motor record's ACCL); 0 starts and stops at once."""

    @property
    def distance(self) -> float:
        """Length of the way, not negative."""
        return abs(self.target - self.start)

    @property
    def duration_s(self) -> float:
        """Time from start to target; a way too short for the full speed has a triangle of velocity."""
        if self.distance >= self.velocity * self.ramp_s:
            return self.distance / self.velocity + self.ramp_s
        return 2.0 * math.sqrt(self.distance * self.ramp_s / self.velocity)

    @property
    def end_ns(self) -> int:
        """Time at which the axis is at the target for the first time."""
        return self.start_ns + round(self.duration_s * 1e9)

    def position_at(self, time_ns: int) -> float:
        """Position of the axis; exactly `start` before and exactly `target` after the move."""
        elapsed_s = (time_ns - self.start_ns) / 1e9
        if elapsed_s <= 0.0 or self.start == self.target:  # at rest there is no duration to work out
            return self.start
        remaining_s = self.duration_s - elapsed_s
        if remaining_s <= 0.0:
            return self.target
        direction = math.copysign(1.0, self.target - self.start)
        ramp_s = min(self.ramp_s, self.duration_s / 2.0)
        if elapsed_s < ramp_s:
            return self.start + direction * 0.5 * (self.velocity / self.ramp_s) * elapsed_s**2
        if remaining_s < ramp_s:
            return self.target - direction * 0.5 * (self.velocity / self.ramp_s) * remaining_s**2
        return self.start + direction * self.velocity * (elapsed_s - 0.5 * self.ramp_s)

    def speed_at(self, time_ns: int) -> float:
        """The velocity with its sign; 0 at rest."""
        elapsed_s = (time_ns - self.start_ns) / 1e9
        remaining_s = self.duration_s - elapsed_s
        if elapsed_s <= 0.0 or remaining_s <= 0.0:
            return 0.0
        ramp_s = min(self.ramp_s, self.duration_s / 2.0)
        share = min(1.0, elapsed_s / self.ramp_s, remaining_s / self.ramp_s) if ramp_s else 1.0
        return math.copysign(self.velocity * share, self.target - self.start)


@dataclass(frozen=True, slots=True)
class Stop:
    """A move given up on its way: the axis slows down to rest as steeply as it would have at the end."""

    start_ns: int
    start: float
    target: float
    ramp_s: float
    """Time to come to rest; 0 stops at once."""

    @classmethod
    def of(cls, move: Move, now_ns: int, step: float = 0.0) -> Stop:
        """The end of a move that is stopped now; it comes to rest on a whole number of steps."""
        here = move.position_at(now_ns)
        speed = move.speed_at(now_ns)
        ramp_s = abs(speed) * move.ramp_s / move.velocity
        target = here + 0.5 * speed * ramp_s
        return cls(now_ns, here, round(target / step) * step if step else target, ramp_s)

    @property
    def end_ns(self) -> int:
        """Time from which on the axis is at rest."""
        return self.start_ns + round(self.ramp_s * 1e9)

    def position_at(self, time_ns: int) -> float:
        """Position of the axis; exactly `start` before and exactly `target` after."""
        if time_ns <= self.start_ns:
            return self.start
        if time_ns >= self.end_ns:
            return self.target
        remaining = 1.0 - (time_ns - self.start_ns) / 1e9 / self.ramp_s
        return self.target + (self.start - self.target) * remaining**2


Motion = Move | Stop


class Track:
    """All motions of one axis. One thread adds them, in the order of their start; any thread may ask for positions."""

    def __init__(self, position: float) -> None:
        self._moves: list[Motion] = [Move(0, position, position, velocity=1.0)]
        self.present = threading.RLock()
        """To be held from the reading of the clock until the motion that begins then is added: so what was true at a
        time stays true, wherever the process is held up."""

    @property
    def last(self) -> Motion:
        """The newest motion: under way, or where the axis rests."""
        return self._moves[-1]

    def add(self, move: Motion) -> None:
        """Start a motion; what an earlier one had still to do is given up."""
        if len(self._moves) >= 2 * HISTORY:
            del self._moves[:-HISTORY]
        self._moves.append(move)

    def jump(self, time_ns: int, position: float) -> None:
        """Be there from this time on."""
        self.add(Move(time_ns, position, position, velocity=1.0))

    def position_at(self, time_ns: int) -> float:
        """Position of the axis at a time; times before the remembered history give its first position."""
        with self.present:
            for move in reversed(self._moves):
                if time_ns >= move.start_ns:
                    return move.position_at(time_ns)
            return self._moves[0].start
