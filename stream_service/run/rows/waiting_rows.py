"""Rows on their way from the thread of the run to that which judges them: bounded in bytes."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

Rows = np.ndarray[Any, Any]

MOST_BYTES = 16 << 20
"""Of 14,000 rows, which are judged in half a second: the end of a run waits for no more. So many wait only where the
thread that judges gets no time: then the run gives it some."""


class WaitingRows:
    """A queue of rows for one reader, which takes all of them at once."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.n_bytes = 0
        self._most_bytes = most_bytes
        self._rows: list[Rows] = []
        self._is_closed = False
        self._changed = threading.Condition()

    def put(self, rows: Rows) -> None:
        """Add rows; while there is no room for them, wait. Those that nobody will take are dropped."""
        with self._changed:
            while self.n_bytes and self.n_bytes + rows.nbytes > self._most_bytes and not self._is_closed:
                self._changed.wait()
            if not self._is_closed:
                self._rows.append(rows)
                self.n_bytes += rows.nbytes
                self._changed.notify_all()

    def close(self) -> None:
        """No more rows come, or nobody takes them any more."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def take(self, timeout_s: float | None) -> list[Rows] | None:
        """All that have come, for which it waits so long, None for ever. None once no more come and all were taken."""
        with self._changed:
            self._changed.wait_for(lambda: self._rows or self._is_closed, timeout_s)
            taken, self._rows, self.n_bytes = self._rows, [], 0
            self._changed.notify_all()
            return None if self._is_closed and not taken else taken
