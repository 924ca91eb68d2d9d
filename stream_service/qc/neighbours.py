"""The nearest rows of each row in position."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.qc.row_kernels import nearest
from stream_service.qc.row_table import RowTable

MOST_LOOKED_AT = 4096
"""On either side along x, or y: in a square scan of four million rows the nearest 20 are among them."""
ROWS_TO_SORT_IN = 256
"""Sorting rows into a million costs 10 ms however many they are."""
FEW_ROWS = 4096

Floats = npt.NDArray[np.float64]


class Neighbours:
    """Search among the rows of a table that have a position."""

    def __init__(self, table: RowTable) -> None:
        self._table = table
        self._axes = "x_m", "y_m"
        self._n_sorted = 0
        self._order = np.empty(0, np.int64)
        self._along = self._across = np.empty(0)

    def sort(self) -> None:
        """Sort all rows so far."""
        placed = np.flatnonzero(self._table["is_placed"])
        self._axes = max((("x_m", "y_m"), ("y_m", "x_m")), key=lambda axes: _spread(self._table[axes[0]][placed]))
        along, across = self._coordinates(placed)
        by_place = np.argsort(along, kind="stable")
        self._order, self._along, self._across = placed[by_place], along[by_place], across[by_place]
        self._n_sorted = len(self._table)

    def sort_in(self) -> None:
        """Add the rows since to those that are searched, where they are many enough to be worth it."""
        n = len(self._table)
        if n - self._n_sorted < (1 if n < FEW_ROWS else ROWS_TO_SORT_IN):
            return
        new = self._n_sorted + np.flatnonzero(self._table["is_placed"][self._n_sorted :])
        along, across = self._coordinates(new)
        by_place = np.argsort(along, kind="stable")
        places = np.searchsorted(self._along, along[by_place], side="right")
        self._order, self._along, self._across = (
            np.insert(old, places, more[by_place])
            for old, more in ((self._order, new), (self._along, along), (self._across, across))
        )
        self._n_sorted = n

    def of(self, rows: npt.NDArray[np.int64], k: int) -> npt.NDArray[np.int32]:
        """(m, k) of these rows (m,), nearest first, the earlier of two equally near; -1 where there are no more."""
        found = np.empty((len(rows), k), np.int32)
        along, across = self._coordinates(rows)
        along[~self._table["is_placed"][rows]] = np.nan
        first = np.searchsorted(self._along, along)
        nearest(self._order, self._along, self._across, rows, first, along, across, MOST_LOOKED_AT, found)
        return found

    def _coordinates(self, rows: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
        along, across = (self._table[axis][rows] for axis in self._axes)
        return along, across


def _spread(values_m: npt.NDArray[Any]) -> float:
    if not len(values_m):
        return 0.0
    low, high = np.quantile(values_m, (0.05, 0.95))
    return float(high - low)
