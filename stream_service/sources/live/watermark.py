"""Watermark of one CA channel (event-time completeness): every update up to it is certain to have come.

A channel at rest posts nothing, so silence alone does not say whether it stood still or an update is late. The answer
to a get decides it if its time stamp is that of the last update received: nothing changed in between. A newer stamp
means one of two things: an update is on its way, or the record was processed without a change worth posting. The value
tells which: one that differs was posted, and has not come, however long that takes. Of one that is as before only time
tells: what was posted before a get was sent has arrived `DELIVERY_S` later. In between, what an encoder shows at rest
may be less than the record posts (its deadband, `MDEL`): then nothing more is to come `LATE_S` later.
"""

from __future__ import annotations

import math
from collections import deque

DELIVERY_S = 0.05
"""Longer than a CA server keeps a posted update to itself."""
LATE_S = 1.0
"""Longer than an update of a small change is late, on a network that is not cut."""
REST_JITTER = 5
"""Times the tolerance: what a good encoder shows of an axis at rest, as in pairing."""


def longest_delivery_s(difference: float, tolerance: float) -> float:
    """How late an update may be if the record shows a value this far from that of the last one that came.

    `tolerance` is what makes no difference to anybody, in the same unit; infinite where every value is taken as it is.
    """
    if difference <= tolerance or math.isinf(tolerance):
        return DELIVERY_S
    return LATE_S if difference <= REST_JITTER * tolerance else math.inf


class ChannelWatermark:
    """Gets of one channel that wait for an answer, or for time to pass. Times are of one steady clock."""

    def __init__(self) -> None:
        self._asked_s: float | None = None
        self._pending_s: deque[tuple[float, float]] = deque()
        """When a get was sent, and when it proves something."""

    def ask(self, now_s: float) -> bool:
        """True if a get is to go out now: not while an earlier one is unanswered, since the answer will be to that."""
        if self._asked_s is not None:
            return False
        self._asked_s = now_s
        return True

    def answer(self, now_s: float, get_ns: int, last_update_ns: int, delivery_s: float = DELIVERY_S) -> float | None:
        """The answer to the get came, stamped `get_ns`, when the last update was stamped `last_update_ns`.

        `delivery_s` is the `longest_delivery_s` of what it shows. Every update posted before the moment given has come
        for certain; None if nothing new is certain.
        """
        asked_s, self._asked_s = self._asked_s, None
        if asked_s is None:
            return None
        if get_ns <= last_update_ns:
            self._pending_s.clear()
            return asked_s
        if math.isinf(delivery_s):  # nor is what was asked before: the update may have been posted then
            self._pending_s.clear()
            return None
        self._pending_s.append((asked_s, asked_s + delivery_s))
        certain_s = None
        while self._pending_s and now_s >= self._pending_s[0][1]:
            certain_s = self._pending_s.popleft()[0]
        return certain_s

    def restart(self) -> None:
        """The connection was lost: what was asked before proves nothing any more."""
        self._asked_s = None
        self._pending_s.clear()
