"""Cancellation of work that waits for others: asked for by one thread, noticed by the one that works."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from stream_service.errors import PtychostreamError

LOOK_S = 0.01
"""Between two looks at what is waited for: a fiftieth of the time in which the service answers."""


class CancelledError(PtychostreamError):
    """The work was given up on request."""


class Cancellation:
    """The request to give up one piece of work. Whatever waits in that work waits here."""

    def __init__(self) -> None:
        self._asked = threading.Event()

    def cancel(self) -> None:
        """Ask for the end of the work; returns at once."""
        self._asked.set()

    @property
    def is_asked(self) -> bool:
        return self._asked.is_set()

    def check(self) -> None:
        """Raise `CancelledError` if the work is to be given up."""
        if self._asked.is_set():
            raise CancelledError("it was cancelled")

    def wait_until(self, claim: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until the claim holds; False if it does not within the time-out. Raises `CancelledError`."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            self.check()
            if claim():
                return True
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return False
            self._asked.wait(min(LOOK_S, left_s))
