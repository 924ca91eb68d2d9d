"""What a CA get proves about updates of its channel that may still be on their way.

A channel at rest posts nothing, so silence alone does not say whether it stood still or an update is late. The answer
to a get settles it if its time stamp is that of the last update received: nothing changed in between. A newer stamp
means one of two things: an update is on its way, or the record was processed without a change worth posting. Then only
time tells: what was posted before a get was sent has arrived `SETTLE_S` later.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

SETTLE_S = 0.05
"""Longer than a CA server keeps a posted update to itself."""


class _Question(NamedTuple):
    asked_s: float
    until_ns: int


class Settling:
    """The questions about one channel that wait for an answer, or for time to pass."""

    def __init__(self) -> None:
        self._asked: _Question | None = None
        self._unsettled: deque[_Question] = deque()

    def ask(self, asked_s: float, until_ns: int) -> None:
        """A get goes out at `asked_s`; data time is at least `until_ns` by then.

        While an earlier one is unanswered no other goes out: the answer will be to that one.
        """
        self._asked = self._asked or _Question(asked_s, until_ns)

    def answer(self, now_s: float, get_ns: int, last_update_ns: int) -> int | None:
        """The answer to the get came, stamped `get_ns`, when the last update was stamped `last_update_ns`.

        The data time until which every update has come for certain; None if nothing new is certain.
        """
        asked, self._asked = self._asked, None
        if asked is None:
            return None
        if get_ns <= last_update_ns:
            self._unsettled.clear()
            return asked.until_ns
        self._unsettled.append(asked)
        until_ns = None
        while self._unsettled and now_s - self._unsettled[0].asked_s >= SETTLE_S:
            until_ns = self._unsettled.popleft().until_ns
        return until_ns

    def restart(self) -> None:
        """The connection was lost: what was asked before proves nothing any more."""
        self._asked = None
        self._unsettled.clear()
