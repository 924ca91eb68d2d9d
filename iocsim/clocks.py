"""Clocks that are wrong on purpose: that of the detector, which stamps frames, and that of the motors' readbacks.

Where things are at which time stays true, and the truth file keeps the true times: only the stamps are wrong. What
happens when is told by uniqueIds, so a run can be repeated; for the motors that is the frame that the detector takes
next. A clock that is off, steps or stands is so for everything that it stamps, HDF1's files included.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from iocsim.fault_values import MOST_CLOCK_S, clock_error_s, clock_gain_ppm
from iocsim.faults import ids_text, sets
from iocsim.pv import PvTable, Text
from iocsim.unique_ids import FaultError, parse_ids


@dataclass(frozen=True, slots=True)
class Step:
    """A clock that is set anew: `step_s` later (or earlier) from the frame `unique_id` on; 0 for never."""

    step_s: float = 0.0
    unique_id: int = 0
    last_id: int = 0
    """It is set right again after this frame; 0 for never."""

    @classmethod
    def parse(cls, text: str) -> Step:
        """From text such as `-2.5@100` or `3600@100-100`; empty text is not a step. Raises FaultError."""
        if not text:
            return cls()
        seconds, _, ids = text.partition("@")
        unique_id, dash, last_id = ids.partition("-")
        try:
            step = cls(float(seconds), int(unique_id), int(last_id) if dash else 0)
        except ValueError:
            step = cls()
        if step.unique_id < 1 or not abs(step.step_s) <= MOST_CLOCK_S or (dash and step.last_id < step.unique_id):
            raise FaultError(
                f"{text!r} is no clock step: write seconds and the first uniqueId, or the first and the last one, "
                f"as -2.5@100 or 3600@100-100; seconds are from {-MOST_CLOCK_S:,g} to {MOST_CLOCK_S:,g}"
            )
        return step

    def __str__(self) -> str:
        """As `parse` reads it."""
        until = f"-{self.last_id}" if self.last_id else ""
        return f"{self.step_s:g}@{self.unique_id}{until}" if self.unique_id else ""

    def at(self, unique_id: int) -> float:
        """Error of the clock at this frame, in s."""
        is_set = 0 < self.unique_id <= unique_id and (not self.last_id or unique_id <= self.last_id)
        return self.step_s if is_set else 0.0


@dataclass(frozen=True, slots=True)
class ClockFaults:
    """Errors of a clock."""

    offset_s: float = 0.0
    """Always added."""
    step: Step = field(default_factory=Step)
    frozen_ids: frozenset[int] = frozenset()
    """Frames during which the clock stands: they carry the last stamp of before."""
    drift_ppm: float = 0.0
    """Microseconds by which it gains in each second."""
    drifts_since_ns: int = 0
    """When it was right, but for the other errors (Unix ns)."""


class FaultyClock:
    """`Sim:<name>Offset` (s), `Sim:<name>Drift` (ppm), `Sim:<name>Step` (`-2.5@100`, `3600@100-100`) and
    `Sim:<name>Freeze` (`100-104`)."""

    def __init__(self, table: PvTable, name: str, faults: ClockFaults, next_id: Callable[[], int]) -> None:
        """`next_id` is the uniqueId of the frame that is taken next; in any thread."""
        self.now = faults
        self._next_id = next_id
        self._last_ns: int | None = None
        table.pair(
            f"{name}Offset", faults.offset_s, units="s", precision=6, on_put=sets(self, "offset_s", clock_error_s)
        )
        table.pair(f"{name}Drift", faults.drift_ppm, units="ppm", on_put=self._put_drift)
        table.pair(f"{name}Step", Text(str(faults.step)), on_put=sets(self, "step", Step.parse))
        table.pair(f"{name}Freeze", ids_text(faults.frozen_ids), on_put=sets(self, "frozen_ids", parse_ids))

    def stamp(self, true_ns: int, unique_id: int | None = None) -> int:
        """Stamp of this clock at a true time (Unix ns), while this frame (None: the next one) is taken."""
        unique_id = self._next_id() if unique_id is None else unique_id
        if unique_id not in self.now.frozen_ids or self._last_ns is None:
            self._last_ns = self.moving(true_ns, unique_id)
        return self._last_ns

    def moving(self, true_ns: int, unique_id: int) -> int:
        """The same of a clock that never stands still."""
        faults = self.now
        gained_ns = 1e-6 * faults.drift_ppm * (true_ns - faults.drifts_since_ns)
        return true_ns + round(1e9 * (faults.offset_s + faults.step.at(unique_id)) + gained_ns)

    async def _put_drift(self, drift_ppm: float) -> float:
        """From now on: it begins with no error."""
        clock_gain_ppm(drift_ppm)
        self.now = replace(self.now, drift_ppm=drift_ppm, drifts_since_ns=time.time_ns())
        return drift_ppm
