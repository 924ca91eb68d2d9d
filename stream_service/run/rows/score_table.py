"""The scores of the rows of a run where the beam was on the sample, as a map is drawn of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream_service.qc import Verdicts

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """x and y in metres, and score (n, 3), of the rows of a run that have a position which is trusted."""

    table: Floats
    """Not a copy: the scores of those that are not final are replaced."""
    n_final: int
    """The first rows, which never change."""


class ScoreTable:
    """Positions and scores of all rows so far."""

    def __init__(self) -> None:
        self._table = np.empty((1024, 3))
        self._n = self._n_final = 0
        self._places = np.empty(1024, np.int64)
        """Of the rows from `_first` on, in the table; -1 for those without a position; with room for more."""
        self._first = self._last = 0

    def add(self, x_m: Floats, y_m: Floats) -> None:
        """Add rows, which are not judged yet."""
        is_placed = np.isfinite(x_m) & np.isfinite(y_m)
        n = self._n + int(np.count_nonzero(is_placed))
        if n > len(self._table):
            self._table = np.concatenate([self._table, np.empty((max(n, len(self._table)), 3))])
        self._table[self._n : n, 0], self._table[self._n : n, 1] = x_m[is_placed], y_m[is_placed]
        last = self._last - self._first + len(x_m)
        if last > len(self._places):
            more = max(len(x_m), len(self._places))
            self._places = np.concatenate([self._places, np.empty(more, np.int64)])
        self._places[last - len(x_m) : last] = np.where(is_placed, self._n + np.cumsum(is_placed) - 1, -1)
        self._n, self._last = n, self._last + len(x_m)

    def enter(self, verdicts: Verdicts, *, is_final: bool) -> None:
        """Enter scores; those that are final come in the order of the rows, and once."""
        at = slice(verdicts.first - self._first, verdicts.last - self._first)
        places, is_placed = self._places[at], self._places[at] >= 0
        self._table[places[is_placed], 2] = verdicts.score[is_placed]
        if is_final:
            self._n_final += int(np.count_nonzero(is_placed))
            self._places, self._first = self._places[at.stop :].copy(), verdicts.last

    @property
    def scores(self) -> Scores:
        """As they are."""
        return Scores(self._table[: self._n], self._n_final)
