"""The motion of one axis as a function of time: the truth that the detector sees.

Pure: time is an argument, in Unix nanoseconds. Positions have the unit of the axis.
"""

from __future__ import annotations

import math
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
        """When the axis is at the target for the first time."""
        return self.start_ns + round(self.duration_s * 1e9)

    def position_at(self, time_ns: int) -> float:
        """Where the axis is; exactly `start` before and exactly `target` after the move."""
        elapsed_s = (time_ns - self.start_ns) / 1e9
        remaining_s = self.duration_s - elapsed_s
        if elapsed_s <= 0.0:
            return self.start
        if remaining_s <= 0.0:
            return self.target
        direction = math.copysign(1.0, self.target - self.start)
        ramp_s = min(self.ramp_s, self.duration_s / 2.0)
        if elapsed_s < ramp_s:
            return self.start + direction * 0.5 * (self.velocity / self.ramp_s) * elapsed_s**2
        if remaining_s < ramp_s:
            return self.target - direction * 0.5 * (self.velocity / self.ramp_s) * remaining_s**2
        return self.start + direction * self.velocity * (elapsed_s - 0.5 * self.ramp_s)


class Track:
    """All moves of one axis. One thread adds moves, in the order of their start; any thread may ask for positions."""

    def __init__(self, position: float) -> None:
        self._moves = [Move(0, position, position, velocity=1.0)]

    @property
    def last(self) -> Move:
        """The newest move: under way, or where the axis rests."""
        return self._moves[-1]

    def add(self, move: Move) -> None:
        """Start a move; what an earlier one had still to do is given up."""
        # A reader walks the list backwards while this appends, which is safe; old moves go by replacing the list.
        if len(self._moves) >= 2 * HISTORY:
            self._moves = self._moves[-HISTORY:]
        self._moves.append(move)

    def position_at(self, time_ns: int) -> float:
        """Where the axis was, or is; times before the remembered history give its first position."""
        moves = self._moves
        for move in reversed(moves):
            if time_ns >= move.start_ns:
                return move.position_at(time_ns)
        return moves[0].start
