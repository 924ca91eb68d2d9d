"""Deviations of rows from their neighbours, in units of what is usual there.

A row is compared with the nearest rows that are good themselves: with their median first, which half of them cannot
mislead, at last with a plane through them, since at the border of a scan they lie to one side. The unit is made of the
scatter of such differences among all rows and around the row (median absolute deviations), and of a floor: where the
sample has an edge, differences are large and no fault. Which rows are good is found out by doing it several times: runs
of faulty rows, as whole lines in a raster, are so eaten up from their ends.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.qc.kernels.codes import LOG_INTENSITY
from stream_service.qc.kernels.neighbours import MAD, compare, in_units, scatter_around
from stream_service.qc.neighbours import Neighbours
from stream_service.qc.row_table import N_FEATURES, Columns

Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]

N_CANDIDATES, N_COMPARED = 24, 12
"""Neighbours looked for, two rings of a raster, and the nearest good ones of them that are compared with. Before it is
known which are good, all are: of the nearest twelve seven lie in two lines that may both be faulty."""
FEWEST_ROWS = 12
"""Fewer do not tell what is usual: where nothing was before them, none of them is doubted."""
FEWEST = 3
"""With fewer good neighbours a row is compared with all rows."""
N_ROUNDS = 3
"""With medians."""
RIDGE = 3.0
"""Neighbours' worth of level ground under the plane: of 12, enough to keep a slope from running off at a corner."""
SUSPICIOUS = 4.0
"""A row that deviates by more is no measure for others."""
MOST_SORTED = 4096
"""Rows of which medians are taken, at equal steps of all: as good as those of all to a fiftieth of the scatter."""
CHUNK = 2048
"""Rows worked on at once: some milliseconds."""


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """What is usual of all rows (f,): their median, and the scatter of how far they are from their neighbours."""

    middle: Floats
    scatter: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Deviations:
    """Of n rows."""

    difference: Floats
    """(n, f) from what the neighbours let expect."""
    ratio: Floats
    """(n, f) the same, in units of what is usual."""
    combined: npt.NDArray[np.float64]
    """(n,) one number of them, by the weight of features and embedding."""
    is_good: Flags
    """(n,) rows that others are compared with."""
    unit: Unit


def neighbours_among(columns: Columns) -> Generator[None, None, npt.NDArray[np.int32]]:
    """(n, `N_CANDIDATES`) the neighbours of rows among each other, in steps of some milliseconds."""
    places = columns["x_m"], columns["y_m"], columns["is_placed"]
    neighbours, n = Neighbours(), len(columns["x_m"])
    neighbours.sort(*places)
    found = np.empty((n, N_CANDIDATES), np.int32)
    for rows in _parts(np.arange(n)):
        found[rows] = neighbours.of(rows, *places, N_CANDIDATES)
        yield
    return found


class Together:
    """The comparison of all rows of some columns with each other."""

    def __init__(
        self,
        columns: Columns,
        found: npt.NDArray[np.int32],
        may_be_good: Flags,
        dumped: Floats,
        floors: npt.NDArray[np.float64],
        w_feat: float,
        before: Unit | None,
    ) -> None:
        """`found` (n, k) are the neighbours of the rows, `floors` (f,) units at the least.

        Rows that are rejected already are not in `may_be_good` (n,), and others were `dumped` (n,), see `Dumps.sizes`:
        they are no measure. Where too few rows are good to tell what is usual, it is what it was `before`.
        """
        self._columns, self._found, self._dumped, self._floors = columns, found, dumped, floors
        self._may_be_good = may_be_good & (dumped == 0)
        self._w_feat, self._before = w_feat, before
        self._values: Floats = columns["values"]
        self._rows = np.arange(len(self._values))
        self._is_good = self._may_be_good.copy()
        self._difference, self._around = np.zeros_like(self._values), np.zeros_like(self._values)
        self._unit = Unit(*np.zeros((2, self._values.shape[1]), np.float32))

    def steps(self) -> Generator[None, None, Deviations]:
        """What it comes to, in steps of some milliseconds."""
        is_stale = np.ones(len(self._rows), bool)
        for n_round in range(N_ROUNDS):
            most = N_CANDIDATES if n_round == 0 else N_COMPARED
            yield from self._renew(is_stale, most, by_plane=False)
            is_good = self._may_be_good & ~(self._in_units().combined > SUSPICIOUS)
            has_changed, self._is_good = is_good != self._is_good, is_good
            if n_round and not has_changed.any():
                break
            if n_round:
                is_stale = self._near(has_changed) | (self._count_near(is_good) < FEWEST)
            yield
        yield from self._renew(np.ones(len(self._rows), bool), N_COMPARED, by_plane=True)
        return self._in_units()

    def _renew(self, is_stale: Flags, most: int, *, by_plane: bool) -> Iterator[None]:
        """Work out the differences of rows anew, and what depends on them; the others stay what they are."""
        x_m, y_m, good = self._columns["x_m"], self._columns["y_m"], self._is_good
        middle = _medians(self._values, good) if self.has_good else self._unit_before.middle
        for rows in _parts(np.flatnonzero(is_stale)):
            found = self._found[rows]
            compare(self._values, x_m, y_m, rows, found, good, most, FEWEST, by_plane, RIDGE, middle, self._difference)
            yield
        if self._dumped.any():
            is_inside = (self._dumped != 0) & (self._count_near(good) < FEWEST)
            self._difference[is_inside, LOG_INTENSITY] = self._dumped[is_inside]
        scatter = self._unit_before.scatter
        if self.has_good:
            scatter = np.maximum(MAD * _medians(self._difference, good, sizes=True), self._floors)
        self._unit = Unit(middle, scatter.astype(np.float32))
        for rows in _parts(np.flatnonzero(is_stale | self._near(is_stale))):
            around = np.empty((len(rows), self._values.shape[1]), np.float32)
            scatter_around(self._difference, self._found[rows], good, most, FEWEST, around)
            self._around[rows] = around
            yield

    @property
    def has_good(self) -> bool:
        """Enough of the rows are good to tell what is usual."""
        return int(np.count_nonzero(self._is_good)) >= FEWEST_ROWS

    @property
    def _unit_before(self) -> Unit:
        if self._before is not None:
            return self._before
        return Unit(np.zeros_like(self._unit.middle), np.full_like(self._unit.scatter, np.inf))

    def _in_units(self) -> Deviations:
        ratio, combined = np.empty_like(self._difference), np.empty(len(self._difference))
        in_units(self._difference, self._around, self._unit.scatter, N_FEATURES, self._w_feat, ratio, combined)
        return Deviations(self._difference, ratio, combined, self._is_good, self._unit)

    def _near(self, which: Flags) -> Flags:
        """(n,) whether any neighbour of a row is one of these."""
        return np.asarray(np.append(which, False)[self._found].any(axis=1))

    def _count_near(self, which: Flags) -> npt.NDArray[np.int64]:
        return np.append(which, False)[self._found].sum(axis=1)


def of_new(
    columns: Columns, rows: Rows, found: npt.NDArray[Any], may_be_good: Flags, w_feat: float, unit: Unit
) -> Deviations:
    """Of the last rows of some columns, `rows` (m,), by what was usual before them; what comes of it is entered there.

    `found` (m, k) are their neighbours.
    """
    values, is_good, x_m, y_m = columns["values"], columns["is_good"], columns["x_m"], columns["y_m"]
    compare(values, x_m, y_m, rows, found, is_good, N_COMPARED, FEWEST, True, RIDGE, unit.middle, columns["difference"])
    difference = columns["difference"][len(values) - len(rows) :]
    around, ratio, combined = np.empty_like(difference), np.empty_like(difference), np.empty(len(rows))
    scatter_around(columns["difference"], found, is_good, N_COMPARED, FEWEST, around)
    in_units(difference, around, unit.scatter, N_FEATURES, w_feat, ratio, combined)
    now_good = is_good[len(values) - len(rows) :]
    now_good[:] = may_be_good & (combined <= SUSPICIOUS)
    return Deviations(difference, ratio, combined, now_good, unit)


def _parts(rows: Rows) -> Iterator[Rows]:
    for first in range(0, len(rows), CHUNK):
        yield rows[first : first + CHUNK]


def _medians(values: Floats, counts: Flags, *, sizes: bool = False) -> Floats:
    """(f,) of the columns (n, f), or their sizes, of rows that count (n,), without what is no number; 0 of none."""
    rows = np.flatnonzero(counts)
    columns = np.ascontiguousarray(values[rows[:: -(-len(rows) // MOST_SORTED) or 1]].T)
    if sizes:
        np.abs(columns, out=columns)
    n = columns.shape[1]
    is_known = np.isfinite(columns)
    if n and is_known.all():
        middle = (n - 1) // 2, n // 2
        parted = np.partition(columns, middle, axis=1)
        return np.float32(0.5) * (parted[:, middle[0]] + parted[:, middle[1]])
    known = (column[which] for column, which in zip(columns, is_known, strict=True))
    return np.array([np.median(column) if len(column) else 0.0 for column in known], np.float32)
