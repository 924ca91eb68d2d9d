"""The planned positions of rows that are grouped by position: found by where they lie, in the order of the scan.

Frames do not tell to which planned position they belong, since each may have any number of them. So a row is that of
the first planned position, from that of the row before it on, at which it lies; a row that lies at none of these has
none (-1). Nothing is repeated by announcement: a position that is returned to is a row of its own.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.core.exposure import Flag
from stream_service.core.spread import SHARE_OF_STEP, STANDSTILL_M
from stream_service.run.rows.planned_positions import PlannedPositions
from stream_service.run.rows.planned_rows import Floats


class VisitedPositions(PlannedPositions):
    """Those of one run."""

    def __init__(self, planned_m: Floats | None = None) -> None:
        """`planned_m` (N, 2) is where the beam is to be on the sample; None if that is not known."""
        super().__init__()
        self._planned_m = np.zeros((0, 2)) if planned_m is None else planned_m
        steps_m = np.hypot(*np.diff(self._planned_m, axis=0).T)
        steps_m = steps_m[steps_m > STANDSTILL_M]
        self._limit_m = max(STANDSTILL_M, SHARE_OF_STEP * float(np.median(steps_m))) if len(steps_m) else STANDSTILL_M
        self._ordinals: list[int] = []
        """First frames of the rows that have planned positions, in order."""
        self._positions: list[int] = []
        """These."""

    def enter(self, rows: np.ndarray[Any, Any], first_ordinals: npt.NDArray[np.int64], first_row: int) -> None:
        """See `PlannedPositions`."""
        rows["planned"] = -1
        if not len(self._planned_m):
            return
        for n in np.flatnonzero(rows["flags"] & Flag.MOVING == 0).tolist():
            row = rows[n : n + 1]
            row["planned"] = self._visit(int(first_ordinals[n]), float(row["x_m"][0]), float(row["y_m"][0]))

    def restore(self, rows: np.ndarray[Any, Any], first_ordinals: npt.NDArray[np.int64], first_row: int) -> None:
        """The same."""
        self._replaced += rows["replaces"][rows["replaces"] >= 0].tolist()
        for n in np.flatnonzero(rows["planned"] >= 0).tolist():
            self._note(int(first_ordinals[n]), int(rows["planned"][n]))

    def _visit(self, ordinal: int, x_m: float, y_m: float) -> int:
        """The planned position of a row; -1 if it lies at none that may be its own."""
        at = bisect_left(self._ordinals, ordinal)
        first = self._positions[at - 1] if at else 0
        last = self._positions[at] if at < len(self._positions) else len(self._planned_m) - 1
        distances_m = np.hypot(*(self._planned_m[first : last + 1] - (x_m, y_m)).T)
        near = np.flatnonzero(distances_m <= self._limit_m)
        if not len(near):
            return -1
        found = int(near[0])
        if found + 1 < len(distances_m) and distances_m[found + 1] < distances_m[found]:
            found += 1
        self._note(ordinal, first + found)
        return first + found

    def _note(self, ordinal: int, position: int) -> None:
        at = bisect_left(self._ordinals, ordinal)
        if at < len(self._ordinals) and self._ordinals[at] == ordinal:
            self._positions[at] = position
        else:
            self._ordinals.insert(at, ordinal)
            self._positions.insert(at, position)
