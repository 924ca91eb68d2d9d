"""Watermark of one CA channel (event-time completeness): every update up to it is certain to have come.

A channel at rest posts nothing, so silence alone does not say whether it stood still or an update is late. The answer
to a get decides it if its time stamp is that of the last update received: nothing changed in between. A newer stamp
means one of two things: an update is on its way, or the record was processed without a change worth posting. Then only
time tells: what was posted before a get was sent has arrived `DELIVERY_S` later.
"""

from __future__ import annotations

from collections import deque

DELIVERY_S = 0.05
"""Longer than a CA server keeps a posted update to itself."""


class ChannelWatermark:
    """Gets of one channel that wait for an answer, or for time to pass. Times are of one steady clock."""

    def __init__(self) -> None:
        self._asked_s: float | None = None
        self._pending_s: deque[float] = deque()

    def ask(self, now_s: float) -> bool:
        """True if a get is to go out now: not while an earlier one is unanswered, since the answer will be to that."""
        if self._asked_s is not None:
            return False
        self._asked_s = now_s
        return True

    def answer(self, now_s: float, get_ns: int, last_update_ns: int) -> float | None:
        """The answer to the get came, stamped `get_ns`, when the last update was stamped `last_update_ns`.

        Every update posted before the moment given has come for certain; None if nothing new is certain.
        """
        asked_s, self._asked_s = self._asked_s, None
        if asked_s is None:
            return None
        if get_ns <= last_update_ns:
            self._pending_s.clear()
            return asked_s
        self._pending_s.append(asked_s)
        certain_s = None
        while self._pending_s and now_s - self._pending_s[0] >= DELIVERY_S:
            certain_s = self._pending_s.popleft()
        return certain_s

    def restart(self) -> None:
        """The connection was lost: what was asked before proves nothing any more."""
        self._asked_s = None
        self._pending_s.clear()
