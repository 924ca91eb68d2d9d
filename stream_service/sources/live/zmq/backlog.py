"""Backlog of a sender that pushes: the messages that it made while nobody was there come as soon as somebody is.

They are received one after the other, and their receipts tell nothing of when they were made.
"""

from __future__ import annotations

import math

PAUSE_S = 0.1
"""What comes so long after the greeting, or after the message before it, was not kept: a sender makes no such pause."""
LONGEST_S = 5.0
"""For messages that come without a pause, as those of a fast detector do: the kept ones have all come by then."""


class Backlog:
    """Of one socket."""

    def __init__(self) -> None:
        self._n_greetings = 0
        self._began_s = -math.inf
        self._newest_s = -math.inf

    def greeted(self, n_greetings: int, now_s: float) -> None:
        """So many senders have been greeted by now, each time they connected."""
        if n_greetings != self._n_greetings:
            self._n_greetings = n_greetings
            self._began_s = self._newest_s = now_s

    def has(self, now_s: float) -> bool:
        """A message comes now: True if it may have been kept."""
        if now_s - self._newest_s > PAUSE_S or now_s - self._began_s > LONGEST_S:
            self._began_s = -math.inf
        self._newest_s = now_s
        return self._began_s > -math.inf
