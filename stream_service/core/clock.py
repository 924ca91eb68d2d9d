"""A sender's clock, seen through the stamps of its messages and the moments at which they were received.

Stamps decide which readback belongs to which frame, so a wrong clock is a wrong position. Nothing here corrects a
stamp: it is told whether a stamp is a time, and how far a clock is from the one of the receipts, so that what cannot be
trusted is flagged (ADR 0010). Receipts are nanoseconds of any clock of ours that never steps; a recording has none.

The lag of a message is its receipt minus its stamp: the clock's offset and the way of the message, which is never
negative. So the promptest of the last messages tells the offset best, and a message stamped later than that by more
than the limit was stamped by a clock that had stepped.
"""

from __future__ import annotations

from collections import deque
from itertools import takewhile

BURST_NS = 100_000_000
"""Messages held up by a stall come together when it ends; the last of them are the promptest."""
MOST_LAGS = 256
BEFORE_ALL_TIME = -(2**63)
DEFAULT_LIMIT_S = 0.3
"""Clocks kept by NTP differ by milliseconds; a frame takes up to some tenths of a second from the detector to us."""


class Clock:
    """The clock of one sender. A stamp that is not a time of it changes nothing."""

    def __init__(self, limit_ns: int) -> None:
        self.newest_ns = BEFORE_ALL_TIME
        """The latest stamp that is a time."""
        self._limit_ns = limit_ns
        self._lags: deque[tuple[int, int]] = deque(maxlen=MOST_LAGS)
        self.has_stepped_back = False
        """True from a step back until the clock is again where it was."""

    @property
    def lag_ns(self) -> int | None:
        """Receipt minus stamp, of the promptest message received with the last one; None without receipts."""
        if not self._lags:
            return None
        since_ns = self._lags[-1][0] - BURST_NS
        burst = takewhile(lambda lag: lag[0] >= since_ns, reversed(self._lags))
        return min(lag_ns for _, lag_ns in burst)

    def admit(self, stamp_ns: int, received_ns: int | None = None) -> bool:
        """Enter the next message of the sender; False if its stamp is not a time.

        It is none if it is ahead of the clock as it was, or earlier than the message before; and after a step back no
        stamp is a time until, by its receipt, the clock is again where it was (or, where no receipt was known before,
        begins anew). What the same stamp twice means is for the caller to say.
        """
        usual_ns = min((lag_ns for _, lag_ns in self._lags), default=None)
        ahead = behind = False
        if received_ns is not None and usual_ns is not None:
            change_ns = received_ns - stamp_ns - usual_ns
            ahead, behind = change_ns < -self._limit_ns, change_ns > self._limit_ns
            if not ahead and not behind:
                self.has_stepped_back = False
                self._enter(stamp_ns, received_ns)
                return True
        if ahead:
            return False
        if stamp_ns < self.newest_ns:
            self.has_stepped_back = True
        if self.has_stepped_back and (received_ns is None or usual_ns is not None or stamp_ns < self.newest_ns):
            return False
        self.has_stepped_back = False
        self._enter(stamp_ns, received_ns)
        return True

    def _enter(self, stamp_ns: int, received_ns: int | None) -> None:
        self.newest_ns = stamp_ns
        if received_ns is not None:
            self._lags.append((received_ns, received_ns - stamp_ns))
