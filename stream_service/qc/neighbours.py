"""The nearest rows of each row in position."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.qc.kernels.neighbours import nearest

MOST_LOOKED_AT = 4096
"""On either side along x, or y: in a square scan of four million rows the nearest 20 are among them."""
ROWS_TO_SORT_IN = 512
"""Sorting rows into some ten thousand costs 0.1 ms however many they are; to look at each of them, 1 ns a row."""

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class Neighbours:
    """Search among rows that have a position. Rows are counted from that at the beginning of the arrays (n,) given."""

    def __init__(self) -> None:
        self._is_x_first = True
        """Rows are sorted by x."""
        self._n_sorted = 0
        self._order = np.empty(0, np.int64)
        self._along = self._across = np.empty(0)

    def sort(self, x_m: Floats, y_m: Floats, is_placed: Flags) -> None:
        """Sort all rows, in place of those so far."""
        placed = np.flatnonzero(is_placed)
        self._is_x_first = _spread(x_m[placed]) >= _spread(y_m[placed])
        along, across = (values_m[placed] for values_m in self._axes(x_m, y_m))
        by_place = np.argsort(along, kind="stable")
        self._order, self._along, self._across = placed[by_place], along[by_place], across[by_place]
        self._n_sorted = len(x_m)

    def of(
        self, rows: npt.NDArray[np.int64], x_m: Floats, y_m: Floats, is_placed: Flags, k: int
    ) -> npt.NDArray[np.int32]:
        """(m, k) of these rows (m,), nearest first, the earlier of two equally near; -1 where there are no more.

        The arrays (n,) begin with the rows that were sorted.
        """
        if len(x_m) - self._n_sorted >= ROWS_TO_SORT_IN:
            self._sort_in(x_m, y_m, is_placed)
        found = np.empty((len(rows), k), np.int32)
        axes = self._axes(x_m, y_m)
        along, across = (values_m[rows] for values_m in axes)
        along[~is_placed[rows]] = np.nan
        tail = self._n_sorted + np.flatnonzero(is_placed[self._n_sorted :])
        tail_along, tail_across = (values_m[tail] for values_m in axes)
        first = np.searchsorted(self._along, along)
        nearest(
            self._order,
            self._along,
            self._across,
            tail,
            tail_along,
            tail_across,
            rows,
            first,
            along,
            across,
            MOST_LOOKED_AT,
            found,
        )
        return found

    def _sort_in(self, x_m: Floats, y_m: Floats, is_placed: Flags) -> None:
        new = self._n_sorted + np.flatnonzero(is_placed[self._n_sorted :])
        along, across = (values_m[new] for values_m in self._axes(x_m, y_m))
        by_place = np.argsort(along, kind="stable")
        places = np.searchsorted(self._along, along[by_place], side="right")
        self._order, self._along, self._across = (
            np.insert(old, places, more[by_place])
            for old, more in ((self._order, new), (self._along, along), (self._across, across))
        )
        self._n_sorted = len(x_m)

    def _axes(self, x_m: Floats, y_m: Floats) -> tuple[Floats, Floats]:
        return (x_m, y_m) if self._is_x_first else (y_m, x_m)


def _spread(values_m: npt.NDArray[Any]) -> float:
    if not len(values_m):
        return 0.0
    low, high = np.quantile(values_m, (0.05, 0.95))
    return float(high - low)
