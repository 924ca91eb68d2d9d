"""Something outside of the service that is looked at again and again, in a thread of its own.

A look may hang, as at the disk of a file server that is away: who asks is given the latest one, and told its age.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

Look = TypeVar("Look")
ENDS_S = 1.0
"""For a look that goes on when the service ends; one that hangs is left to the end of the process."""


class Watched(Generic[Look]):
    """The latest look, from any thread; the first one is begun by `start`."""

    def __init__(self, what: str, look: Callable[[], Look], before: Look, period_s: float) -> None:
        """`what` names the thread; `before` stands for the look until there is one."""
        self.latest = before
        self._look = look
        self._period_s = period_s
        self._looked_s = math.nan
        self._has_failed = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"watching {what}", daemon=True)

    def start(self) -> None:
        """Look from now on."""
        self._looked_s = time.monotonic()
        self._thread.start()

    def age_s(self, now_s: float) -> float:
        """How long there has been no new look, by the monotonic clock; NaN before `start`."""
        return now_s - self._looked_s

    def close(self) -> None:
        """Look no more."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(ENDS_S)

    def _work(self) -> None:
        while not self._ended.is_set():
            try:
                self.latest, self._looked_s = self._look(), time.monotonic()
            except Exception:  # a defect here must not hide what is looked at for ever; its age tells
                if not self._has_failed:
                    log.exception("%s: a defect of the service", self._thread.name)
                self._has_failed = True
            self._ended.wait(self._period_s)
