"""The rate of the log: of each kind of line one a second, with a count of those like it.

A kind is one place in the program. The last line of a second is never lost: it comes when the second is over, so two
different things told from one place are both told.
"""

from __future__ import annotations

import copy
import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

SECOND_S = 1.0


@dataclass(slots=True)
class _Kind:
    """Lines of one place in the program."""

    until_s: float
    """Until then a line waits."""
    n_waiting: int = 0
    last: logging.LogRecord | None = None


class LogRate(logging.Filter):
    """A filter of one handler, which lines that had to wait are given to when their second is over."""

    def __init__(self, handler: logging.Handler, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._handler = handler
        self._clock = clock
        self._kinds: dict[tuple[str, int], _Kind] = {}
        self._told: logging.LogRecord | None = None
        """The line that is let through now, of those that waited."""
        self._lock = threading.RLock()
        self._timer: threading.Timer | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """False for a line that has to wait."""
        if record is self._told:
            return True
        with self._lock:
            now_s, place = self._clock(), (record.pathname, record.lineno)
            kind = self._kinds.get(place)
            if kind is None or (kind.last is None and now_s >= kind.until_s):
                self._kinds[place] = _Kind(now_s + SECOND_S)
                return True
            kind.n_waiting += 1
            kind.last = record
            if self._timer is None:
                self._tick_after(SECOND_S)
            return False

    def tell(self, now_s: float = math.inf) -> None:
        """Write the last line of every kind whose second is over by `now_s`, with the count of those before it."""
        with self._lock:
            for kind in self._kinds.values():
                if kind.last is None or now_s < kind.until_s:
                    continue
                self._told, n_like_it = copy.copy(kind.last), kind.n_waiting - 1
                if n_like_it:
                    self._told.msg = f"{kind.last.getMessage()} (and {n_like_it} more like it in this second)"
                    self._told.args = ()
                kind.last, kind.n_waiting, kind.until_s = None, 0, now_s + SECOND_S
                self._handler.handle(self._told)
            self._told = None

    def _tick_after(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._tick)
        self._timer.daemon = True
        self._timer.start()

    def _tick(self) -> None:
        with self._lock:
            self._timer = None
            self.tell(self._clock())
            if any(kind.last is not None for kind in self._kinds.values()):
                self._tick_after(SECOND_S / 4)
