"""The polls of the motor controller: at a fixed rate of its own, whenever the moves begin.

By default it is a fast controller: 20 Hz, and once more as soon as the motor has settled after a move, as with
controllers that report the end of a motion by themselves. With a period that is set, the end of a move is seen at the
next poll, as the recorded motor record does at 10 Hz: a move then lasts up to one period longer than the motion.
"""

from __future__ import annotations

import time

from iocsim.fault_values import checked, duration_s, poll_period_s
from iocsim.pv import PvTable
from iocsim.unique_ids import chance

FAST_PERIOD_S = 0.05
SETTLE_S = 0.002
"""From the end of the motion to the report of a fast controller: what a good piezo stage asks for after a step."""


class Polling:
    """`Sim:MotorPollPeriod`: s between two polls; 0 is the fast controller. `Sim:MotorPollJitter`: s by which each is
    early or late at most, by seed and number of the poll."""

    def __init__(self, table: PvTable, period_s: float = 0.0, seed: int = 1) -> None:
        self._period = table.pair("MotorPollPeriod", period_s, units="s", precision=4, on_put=checked(poll_period_s))
        self._jitter = table.pair("MotorPollJitter", 0.0, units="s", precision=4, on_put=checked(duration_s))
        self._seed = seed
        self._first_ns = time.time_ns()

    def next_ns(self, now_ns: int, end_ns: int) -> int:
        """The next poll of a motion that ends at `end_ns` (Unix ns)."""
        is_fast = self._period.value == 0.0
        period_ns = round(1e9 * (FAST_PERIOD_S if is_fast else self._period.value))
        number = (now_ns - self._first_ns) // period_ns
        tick_ns = next(tick_ns for n in (0, 1, 2) if (tick_ns := self._tick_ns(number + n, period_ns)) > now_ns)
        settled_ns = end_ns + round(1e9 * SETTLE_S)
        return min(tick_ns, settled_ns) if is_fast and settled_ns > now_ns else tick_ns

    def _tick_ns(self, number: int, period_ns: int) -> int:
        """A poll of a fixed rate; with jitter, still between the middles to its neighbours."""
        jitter_ns = min(round(1e9 * self._jitter.value), period_ns // 2 - 1)
        early_or_late = 2.0 * chance(self._seed, number, salt=30) - 1.0 if jitter_ns else 0.0
        return self._first_ns + number * period_ns + round(jitter_ns * early_or_late)
