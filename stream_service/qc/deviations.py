"""How far each row is from its neighbours, in units of what is usual there.

A row is compared with the nearest rows that are good themselves: with their median first, which half of them cannot
mislead, at last with a plane through them, since at the border of a scan they lie to one side. The unit is made of the
scatter of such differences in the whole scan and around the row (median absolute deviations), and of a floor: where the
sample has an edge, differences are large and no fault. Which rows are good is found out by doing it several times: runs
of faulty rows, as whole lines in a raster, are so eaten up from their ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.qc.neighbours import Neighbours
from stream_service.qc.row_kernels import median_of_neighbours, plane_of_neighbours
from stream_service.qc.row_table import N_FEATURES, RowTable

Floats = npt.NDArray[np.float32]

N_CANDIDATES, N_COMPARED = 24, 12
"""Neighbours looked for, two rings of a raster, and the nearest good ones of them that are compared with. Before it is
known which are good, all are: of the nearest twelve seven lie in two lines that may both be faulty."""
FEWEST_ROWS = 12
"""Fewer do not tell what is usual: none of them is doubted."""
FEWEST = 3
"""With fewer good neighbours a row is compared with all rows."""
N_ROUNDS = 4
RIDGE = 3.0
"""Neighbours' worth of level ground under the plane: of 12, enough to keep a slope from running off at a corner."""
MAD = 1.4826
"""Standard deviation of a normal distribution in median absolute deviations."""
SUSPICIOUS = 4.0
"""A row that deviates by more is no measure for others."""
CHUNK = 1 << 16
"""Rows worked on at once: bounds the memory of what lies between."""


@dataclass(frozen=True, slots=True, eq=False)
class Deviations:
    """Of m rows, from row `first` on."""

    first: int
    difference: Floats
    """(m, f) from what the neighbours let expect."""
    ratio: Floats
    """(m, f) the same, in units of what is usual."""
    combined: Floats
    """(m,) one number of them, by the weight of features and embedding."""


class Comparison:
    """Compares the rows of a table with their neighbours: all of them, or new ones by what is known from all."""

    def __init__(self, table: RowTable, w_feat: float) -> None:
        self._table, self._w_feat = table, w_feat
        self._neighbours = Neighbours(table)
        self._middle = self._scatter = np.empty(0, np.float32)

    def of_all(self, may_be_good: npt.NDArray[np.bool_]) -> Iterator[Deviations]:
        """Of every row, in parts; those that are rejected already (n,) are no measure for others."""
        self._neighbours.sort()
        n, is_good = len(self._table), self._table["is_good"]
        found = self._neighbours.of(np.arange(n), N_CANDIDATES)
        is_good[:] = may_be_good
        for most in (N_CANDIDATES, *(N_COMPARED,) * (N_ROUNDS - 2)):
            self._round(found, most, by_plane=False)
            is_unusual = [self._judged(at, found[at], most).combined > SUSPICIOUS for at in _parts(n)]
            is_good[:] = may_be_good & ~np.concatenate([np.empty(0, bool), *is_unusual])
        self._round(found, N_COMPARED, by_plane=True)
        for at in _parts(n):
            yield self._judged(at, found[at], N_COMPARED)

    def of_new(self, first: int, may_be_good: npt.NDArray[np.bool_]) -> Iterator[Deviations]:
        """Of the rows from `first`, which is where the last call ended; provisional."""
        self._neighbours.sort_in()
        at = slice(first, len(self._table))
        found = self._neighbours.of(np.arange(first, len(self._table)), N_CANDIDATES)
        self._compare(self._table["values"], at, found, N_COMPARED, by_plane=True)
        deviations = self._judged(at, found, N_COMPARED)
        self._table["is_good"][at] = may_be_good & (deviations.combined <= SUSPICIOUS)
        yield deviations

    def _round(self, found: npt.NDArray[Any], most: int, *, by_plane: bool) -> None:
        table, values = self._table, self._table["values"]
        is_good = table["is_good"]
        self._middle = _median(values, is_good)
        for at in _parts(len(table)):
            self._compare(values, at, found[at], most, by_plane=by_plane)
        sizes = _median(table["difference"], is_good, np.abs)
        self._scatter = np.maximum(MAD * sizes, table.floors).astype(np.float32)

    def _compare(self, values: Floats, at: slice, found: npt.NDArray[Any], most: int, *, by_plane: bool) -> None:
        """Enter how far rows are from what their neighbours let expect."""
        if by_plane:
            expected, n_used = self._planes(values, at, found)
        else:
            expected, n_used = _medians(values, found, self._table["is_good"], most)
        expected[n_used < FEWEST] = self._middle
        np.subtract(values[at], expected, out=self._table["difference"][at])

    def _planes(self, values: Floats, at: slice, found: npt.NDArray[Any]) -> tuple[Floats, npt.NDArray[np.int64]]:
        planes, n_used = np.empty((len(found), values.shape[1]), np.float32), np.empty(len(found), np.int64)
        x_m, y_m, is_good = (self._table[name] for name in ("x_m", "y_m", "is_good"))
        rows = np.arange(at.start, at.stop)
        plane_of_neighbours(values, x_m, y_m, rows, found, is_good, N_COMPARED, RIDGE, planes, n_used)
        return planes, n_used

    def _judged(self, at: slice, found: npt.NDArray[Any], most: int) -> Deviations:
        difference, is_good = self._table["difference"], self._table["is_good"]
        around, n_used = _medians(difference, found, is_good, most, sizes=True)
        around[n_used < FEWEST] = 0
        ratio = difference[at].copy()
        ratio /= np.sqrt(self._scatter**2 + (MAD * around) ** 2)
        ratio[~np.isfinite(ratio)] = 0
        if np.count_nonzero(is_good) < FEWEST_ROWS:
            ratio[:] = 0
        return Deviations(at.start, difference[at], ratio, combined(ratio, self._w_feat))


def _parts(n: int) -> list[slice]:
    return [slice(first, min(first + CHUNK, n)) for first in range(0, n, CHUNK)]


def combined(ratio: Floats, w_feat: float) -> Floats:
    """The largest deviation of the features and that of the embedding: the root of their weighted mean square."""
    square = np.square(ratio)
    return np.sqrt(w_feat * square[:, :N_FEATURES].max(axis=1) + (1 - w_feat) * square[:, N_FEATURES:].max(axis=1))


def _medians(
    values: Floats, found: npt.NDArray[Any], is_good: npt.NDArray[np.bool_], most: int, *, sizes: bool = False
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Median of the good neighbours, or of their sizes (m, f), and how many those were (m,)."""
    medians, n_used = np.empty((len(found), values.shape[1]), np.float32), np.empty(len(found), np.int64)
    median_of_neighbours(values, found, is_good, most, sizes, medians, n_used)
    return medians, n_used


def _median(values: Floats, counts: npt.NDArray[np.bool_], of: Callable[[Floats], Floats] = np.asarray) -> Floats:
    """(f,) of the columns (n, f), of rows that count (n,), without what is no number; 0 of none."""
    columns = (of(column[counts & np.isfinite(column)]) for column in values.T)
    return np.array([np.median(column) if len(column) else 0.0 for column in columns], np.float32)
