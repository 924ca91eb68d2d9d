"""The spread of the exposures of one position, and the limit beyond which they are no row.

The sum of frames taken at different places is a frame of no place. What counts is the step of the scan: exposures of a
position lie as closely as the stage stands still, exposures of a wrong number of frames a position lie a whole step
apart, whatever the step is. The step is measured on the rows themselves, from one row to the next.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

Place = tuple[float, float]
"""x and y in metres."""

SHARE_OF_STEP = 0.25
"""At the usual overlap of 60 to 75 % a step is a quarter to two fifths of the probe, so this is a tenth of it or less;
grouping that is wrong spreads a row over at least half a step."""
STANDSTILL_M = 20e-9
"""Positions that differ by less are one: readings of stages at rest scatter by 1 to 20 nm (interferometer, encoder)."""
FEWEST_GROUPS = 4
"""Fewer say nothing about the number of frames a position."""
MOST_PLACES = 256
"""Of the first frames, that are looked at to tell the right number of frames a position."""
MOST_STEPS = 255
"""Remembered; a scan changes its step seldom."""


def spread_m(places: Sequence[Place]) -> float:
    """Diagonal of the rectangle around these places; 0 for those that are not known."""
    known = [place for place in places if math.isfinite(place[0]) and math.isfinite(place[1])]
    if len(known) < 2:
        return 0.0
    xs, ys = zip(*known, strict=True)
    return math.hypot(max(xs) - min(xs), max(ys) - min(ys))


class SpreadJudge:
    """Spread of the exposures of each group. `see` each in order; then `is_apart` tells one that is not a position."""

    def __init__(self) -> None:
        self.n_judged = self.n_apart = 0
        self.widest_m = 0.0
        """The largest spread that was too large."""
        self._last: Place | None = None
        self._steps_m: deque[float] = deque(maxlen=MOST_STEPS)
        self._first_places: list[Place] = []

    def see(self, places: Sequence[Place]) -> None:
        """Take the places of the next group, whose row is a step away from the last one, or at the same place."""
        if len(self._first_places) < MOST_PLACES:
            self._first_places += places
        center = (sum(x for x, _ in places) / len(places), sum(y for _, y in places) / len(places))
        if not (math.isfinite(center[0]) and math.isfinite(center[1])):
            return
        if self._last is not None and (step_m := math.dist(center, self._last)) > STANDSTILL_M:
            self._steps_m.append(step_m)
        self._last = center

    def must_wait(self, places: Sequence[Place]) -> bool:
        """True if a group can only be judged when the next one has been seen, because no step is known yet."""
        return not self._steps_m and spread_m(places) > STANDSTILL_M

    def is_apart(self, places: Sequence[Place]) -> bool:
        """True if the exposures of a group are too far apart to be one position; counted."""
        self.n_judged += 1
        spread = spread_m(places)
        if spread <= STANDSTILL_M or spread <= self.limit_m:
            return False
        self.n_apart += 1
        self.widest_m = max(self.widest_m, spread)
        return True

    @property
    def limit_m(self) -> float:
        """The largest spread of a row that is one position."""
        return max(STANDSTILL_M, SHARE_OF_STEP * median(self._steps_m)) if self._steps_m else STANDSTILL_M

    @property
    def is_plainly_wrong(self) -> bool:
        """True if most groups are no position: then it is the number of frames a position that is wrong."""
        return self.n_judged >= FEWEST_GROUPS and 2 * self.n_apart > self.n_judged

    def visits(self) -> list[int]:
        """Numbers of frames at each place, one place after the other, as far as the first groups tell."""
        apart_m = [math.dist(one, other) for one, other in pairwise(self._first_places)]
        moves_m = [distance_m for distance_m in apart_m if distance_m > STANDSTILL_M]
        limit_m = max(STANDSTILL_M, SHARE_OF_STEP * median(moves_m)) if moves_m else STANDSTILL_M
        found = [1]
        for distance_m in apart_m:
            if distance_m <= limit_m:
                found[-1] += 1
            else:
                found.append(1)
        return found
