"""The rows of a run with the latest verdict on each: what those are shown who follow its quality.

The thread that judges brings rows and verdicts; whoever listens is handed the rows whose verdict is new, or another one
than before. A score that changes without that is no news: it moves a little with every row.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from stream_service.core.judged_row import enter_rows, judged_dtype
from stream_service.core.row import FRAME_COLUMNS
from stream_service.qc import Verdicts
from stream_service.settings.service_status import Coverage

Rows = np.ndarray[Any, Any]

FRAMES = FRAME_COLUMNS[0].name
"""The column that tells how many frames a row has."""
FIRST_ROWS = 1024


class NewsListener(Protocol):
    """Whoever wants to know of verdicts at once, in the thread that judges: it never waits for anything."""

    def news(self, rows: Rows) -> None:
        """Take rows (n,) of `judged_dtype`, which are the listener's from now on."""
        ...


class JudgedRows:
    """Those of one run. The thread that judges calls `add` and `judged`; the rest may be asked from any thread."""

    def __init__(
        self, listeners: Sequence[NewsListener] = (), rows_per_position: int = 1, *, n_shares: int = 1
    ) -> None:
        """With `n_shares` only every so many-th planned position is that of a row."""
        self._listeners = listeners
        self._n_shares = n_shares
        self._first_seen = -1
        """Planned position of a row; -1: none came yet."""
        self._rows_per_position = rows_per_position
        self._lock = threading.Lock()
        self._table: Rows | None = None
        """With room for more; None before the first rows."""
        self._n_rows = 0
        self._n_shown = 0
        """Rows up to the last one that was judged."""
        self._is_replaced = np.zeros(0, np.bool_)
        """(capacity,) a later row has taken its place."""
        self._is_good = np.zeros(0, np.bool_)
        """(capacity,) it can be used: trusted, not rejected, not replaced."""
        self._n_good = np.zeros(0, np.int64)
        """Good rows of each planned position up to the latest one seen."""

    def add(self, rows: Rows) -> None:
        """Take rows (n,) of `row_dtype`, and keep a copy of what is told of them: with the first verdict on them."""
        with self._lock:
            first = self._n_rows
            enter_rows(self._room_for(rows)[first:], rows, first)

    def judged(self, verdicts: Verdicts, *, is_final: bool) -> None:
        """Take verdicts on rows that were added, whichever; those that are final do not change any more."""
        with self._lock:
            assert self._table is not None, "rows come before verdicts"
            new = self._table[self._n_shown : verdicts.last]
            self._n_shown = max(self._n_shown, verdicts.last)
            of_verdicts = slice(verdicts.first, verdicts.last)
            news = self._enter(self._table[of_verdicts], verdicts, is_final=is_final)
            replaced = np.unique(new["replaces"][(new["replaces"] >= 0) & new["keep"]])
            self._is_replaced[replaced] = True
            self._count(of_verdicts)
            self._count(replaced)
        if len(news):
            for listener in self._listeners:
                listener.news(news)

    def latest(self, n: int) -> Rows:
        """The latest `n` rows that are judged, a copy of `judged_dtype`; fewer if there are not so many."""
        with self._lock:
            if self._table is None:
                return np.zeros(0, judged_dtype(1))
            return self._table[max(0, self._n_shown - n) : self._n_shown].copy()

    def coverage(self) -> Coverage:
        """The planned positions up to the latest one of which no row can be used."""
        with self._lock:
            lacking = np.flatnonzero(self._n_good < self._rows_per_position)
            lacking = lacking[(lacking - self._first_seen) % self._n_shares == 0]
        return Coverage(len(lacking), tuple(lacking[: Coverage.MOST_NAMED].tolist()))

    def _room_for(self, rows: Rows) -> Rows:
        """The table with room for these rows, up to the last of them."""
        if self._table is None:
            self._table = np.zeros(0, judged_dtype(rows[FRAMES].shape[1]))
        self._n_rows += len(rows)
        n_more = max(self._n_rows, 2 * len(self._table), FIRST_ROWS) - len(self._table)
        if self._n_rows > len(self._table):
            self._table = np.concatenate([self._table, np.zeros(n_more, self._table.dtype)])
            self._is_good, self._is_replaced = (
                np.concatenate([flags, np.zeros(n_more, np.bool_)]) for flags in (self._is_good, self._is_replaced)
            )
        return self._table[: self._n_rows]

    def _enter(self, table: Rows, verdicts: Verdicts, *, is_final: bool) -> Rows:
        """Enter verdicts on these rows; a copy of those that are news."""
        is_news = (table["reason"] != verdicts.reason) | (table["rejected"] != verdicts.is_rejected)
        is_news |= np.isnan(table["score"])
        table["score"], table["reason"], table["numbers"] = verdicts.score, verdicts.reason, verdicts.numbers
        table["rejected"], table["provisional"] = verdicts.is_rejected, not is_final
        return table[is_news]

    def _count(self, places: slice | npt.NDArray[np.int64]) -> None:
        """Count anew what may have changed: whether these rows, each named once, are good ones of their positions."""
        assert self._table is not None, "there are rows"
        of_rows = self._table[places]
        planned = of_rows["planned"]
        n_seen = int(planned.max(initial=-1)) + 1
        if self._first_seen < 0:
            self._first_seen = n_seen - 1
        if n_seen > len(self._n_good):
            self._n_good = np.concatenate([self._n_good, np.zeros(n_seen - len(self._n_good), np.int64)])
        is_good = of_rows["keep"] & ~of_rows["rejected"] & np.isfinite(of_rows["score"]) & (planned >= 0)
        is_good &= ~self._is_replaced[places]
        change = is_good.astype(np.int64) - self._is_good[places]
        np.add.at(self._n_good, planned[change != 0], change[change != 0])
        self._is_good[places] = is_good
