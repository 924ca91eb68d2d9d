"""A sender's clock, seen through the stamps of its messages and the moments at which they were received.

Stamps decide which readback belongs to which frame, so a wrong clock is a wrong position. Nothing here corrects a
stamp: it is told whether a stamp is a time, and how far a clock is from the one of the receipts, so that what cannot be
trusted is flagged (ADR 0010). Receipts are nanoseconds of any clock of ours that never steps; a recording has none.

The lag of a message is its receipt minus its stamp: the clock's offset and the way of the message, which is never
negative. So the promptest of the last messages tells the offset best, and a message stamped later than that by more
than the limit was stamped by a clock that had stepped.

What waited before it was received hides a step that is smaller than the wait: the next prompt message shows it.

The limit is for what receipts tell. A stamp that is earlier than the one before it tells of a smaller step, too, and of
its least size: if the clock was set back, the lag of all that follows has grown by that; if the stamps before were
ahead, it has not. Half of it decides, since messages are late now and then.
"""

from __future__ import annotations

from enum import Enum, auto

import numpy as np
import numpy.typing as npt

BLOCK = 256
"""Messages: the least lag is that of this many, up to twice as many, so that a clock may drift slowly."""
BEFORE_ALL_TIME, AFTER_ALL_TIME = -(2**63), 2**63 - 1
FAR_AHEAD_NS, FAR_AHEAD_STEPS = 10 * 10**9, 10
"""A clock that is set back by so much, and lands within a tenth of that after the frame before, is less likely than one
wrong stamp."""
JITTER_NS = 10 * 10**6
"""A stamp that is earlier than the one before it by no more than this tells of no step."""
DEFAULT_LIMIT_S = 0.3
"""Clocks kept by NTP differ by milliseconds; a frame takes up to some tenths of a second from the detector to us."""


class Least:
    """The least of the last numbers, some hundreds of them."""

    def __init__(self) -> None:
        self.value: int | None = None
        """None before the first one."""
        self._of_block: int | None = None
        self._n = 0

    def add(self, number: int) -> None:
        """Take the next one."""
        if self._n == BLOCK:
            self.value, self._of_block, self._n = self._of_block, None, 0
        self._of_block = number if self._of_block is None else min(self._of_block, number)
        self.value = number if self.value is None else min(self.value, number)
        self._n += 1


class Shown(Enum):
    """Whether a message shows that its clock is as it was when one came promptly last."""

    NOTHING = auto()
    """It came late, or nobody knows when."""
    THE_SAME = auto()
    ANOTHER = auto()
    """The clock has stepped since, and perhaps back."""


class Clock:
    """The clock of one sender. A stamp that is not a time of it changes nothing."""

    def __init__(self, limit_ns: int) -> None:
        self.newest_ns = BEFORE_ALL_TIME
        """The latest stamp that is a time."""
        self._back_ns = 0
        """At least by so much it was set back, until it is again where it was."""
        self.shown = Shown.NOTHING
        """By the last message."""
        self.ahead_ns = 0
        """By how much the last message was stamped ahead of the clock as it was, if it was refused for that."""
        self._limit_ns = limit_ns
        self._usual = Least()
        self._recent = Least()
        """Of messages that came one after the other without a pause longer than the limit: a clock that was set back by
        more than that in between would have shown by its stamps, so what is late among them was held up on its way."""
        self._received_ns = BEFORE_ALL_TIME

    @property
    def has_stepped_back(self) -> bool:
        """True from a step back until the clock is again where it was."""
        return self._back_ns > 0

    @property
    def lag_ns(self) -> int | None:
        """Receipt minus stamp, of the promptest of the last messages; None without receipts."""
        return self._recent.value

    def admit(self, stamp_ns: int, received_ns: int | None = None, *, has_waited: bool = False) -> bool:
        """Enter the next message of the sender; False if its stamp is not a time.

        A stamp is none if it is ahead of the clock as it was, or earlier than the message before; and after a step back
        no stamp is a time until, by its receipt, the clock is again where it was (or, where no receipt was known
        before, begins anew). What the same stamp twice means is for the caller to say. The receipt of a message that
        `has_waited` is known roughly: it tells of a stamp that is ahead, and nothing else.
        """
        usual_ns = self._usual.value
        self.shown, self.ahead_ns = Shown.NOTHING, 0
        if received_ns is not None and usual_ns is not None:
            change_ns = received_ns - stamp_ns - usual_ns
            if change_ns < -self._limit_ns:
                self.shown, self.ahead_ns = Shown.ANOTHER, -change_ns
                return False
            back_ns = max(self._back_ns, self.newest_ns - stamp_ns)
            is_set_back = JITTER_NS < back_ns <= 2 * change_ns
            if change_ns <= self._limit_ns and not is_set_back and not has_waited:
                is_later = stamp_ns > self.newest_ns and not self.has_stepped_back
                self.shown = Shown.THE_SAME if is_later else Shown.ANOTHER
                self._back_ns = 0
                self._enter(stamp_ns, received_ns)
                return True
        if has_waited:
            received_ns = None
        self._back_ns = max(self._back_ns, self.newest_ns - stamp_ns)
        if self.has_stepped_back and (received_ns is None or usual_ns is not None or stamp_ns < self.newest_ns):
            return False
        self._back_ns = 0
        self._enter(stamp_ns, received_ns)
        return True

    def _enter(self, stamp_ns: int, received_ns: int | None) -> None:
        self.newest_ns = stamp_ns
        if received_ns is None:
            return
        if received_ns - self._received_ns > self._limit_ns:
            self._recent = Least()
        self._received_ns = received_ns
        self._usual.add(received_ns - stamp_ns)
        self._recent.add(received_ns - stamp_ns)


class FrameClock(Clock):
    """The clock of frames, of which a single one may be stamped far ahead without spoiling those after it.

    Without a receipt that tells, such a frame is admitted, and found out by the next one, which goes on from the frame
    before it. The first of all is found out by the next two, whose receipts agree with each other. One that is stamped
    far behind is found out at once, and does no more than that if the next one goes on from the frame before it.
    """

    def __init__(self, limit_ns: int) -> None:
        super().__init__(limit_ns)
        self._before_ns = BEFORE_ALL_TIME
        """The newest stamp before the newest."""
        self._behind_ns: int | None = None
        """The stamp of the last message, if it was the one that stepped back."""
        self._n_admitted = 0
        self._refused_lag_ns: int | None = None
        """Of the message after the first one, if its stamp was no time; nothing else has followed from that one."""

    def admit(self, stamp_ns: int, received_ns: int | None = None, *, has_waited: bool = False) -> bool:
        """See `Clock.admit`."""
        lag_ns = None if received_ns is None or has_waited else received_ns - stamp_ns
        if self._was_ahead(stamp_ns):
            self.newest_ns = self._before_ns
        elif self._was_first_ahead(lag_ns):
            self.newest_ns, self._back_ns, self._n_admitted = BEFORE_ALL_TIME, 0, 0
            self._usual, self._recent = Least(), Least()
        elif lag_ns is None and self._was_behind(stamp_ns):
            self._back_ns = 0
        before_ns, had_stepped_back = self.newest_ns, self.has_stepped_back
        is_time = super().admit(stamp_ns, received_ns, has_waited=has_waited)
        self._behind_ns = stamp_ns if self.has_stepped_back and not had_stepped_back else None
        if is_time:
            self._before_ns = before_ns
            self._n_admitted += 1
        self._refused_lag_ns = lag_ns if self._n_admitted == 1 and not is_time else None
        return is_time

    def _was_ahead(self, stamp_ns: int) -> bool:
        """True if the newest stamp alone is out of line: the next one goes on from the stamp before it."""
        ahead_ns, step_ns = self.newest_ns - stamp_ns, stamp_ns - self._before_ns
        return not self.has_stepped_back and ahead_ns > FAR_AHEAD_NS and 0 < step_ns * FAR_AHEAD_STEPS < ahead_ns

    def _was_behind(self, stamp_ns: int) -> bool:
        """True if the last message alone was out of line: this one goes on from the stamp before it."""
        if self._behind_ns is None:
            return False
        behind_ns, step_ns = self.newest_ns - self._behind_ns, stamp_ns - self.newest_ns
        return behind_ns > FAR_AHEAD_NS and 0 < step_ns * FAR_AHEAD_STEPS < behind_ns

    def _was_first_ahead(self, lag_ns: int | None) -> bool:
        refused_ns, first_ns = self._refused_lag_ns, self._usual.value
        if lag_ns is None or refused_ns is None or first_ns is None or refused_ns < first_ns:
            return False
        return abs(lag_ns - refused_ns) <= self._limit_ns < lag_ns - first_ns


def lone_stamps(stamps_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    """Places of single stamps far out of line, in a row of stamps that is whole: those around them go on without them.

    A recording is known before it is paired, so that such a stamp is found before it does harm; see `FrameClock`.
    """
    if len(stamps_ns) < 3:
        return np.empty(0, np.intp)
    before, own, after = stamps_ns[:-2], stamps_ns[1:-1], stamps_ns[2:]
    off_ns, step_ns = np.minimum(np.abs(own - before), np.abs(own - after)), after - before
    is_lone = np.zeros(len(stamps_ns), bool)
    is_lone[1:-1] = (off_ns > FAR_AHEAD_NS) & (step_ns >= 0) & (step_ns < off_ns // FAR_AHEAD_STEPS)
    ahead_ns, step_ns = stamps_ns[0] - stamps_ns[1], stamps_ns[2] - stamps_ns[1]
    is_lone[0] = ahead_ns > FAR_AHEAD_NS and 0 <= step_ns < ahead_ns // FAR_AHEAD_STEPS
    return np.flatnonzero(is_lone)
