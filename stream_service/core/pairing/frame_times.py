"""Times of the frames of a run: what is wrong with their clock makes a stamp none (ADR 0010)."""

from __future__ import annotations

from stream_service.core.clock import FrameClock, Shown
from stream_service.core.frame import NS_PER_S, Window

NONE_CAME, TIMED, UNTIMED = 0, 1, 2


class FrameTimes:
    """Frames by ordinal, as they come."""

    def __init__(self, limit_ns: int) -> None:
        """`limit_ns` is how far the clock may be off before its stamps are no times."""
        self._clock = FrameClock(limit_ns)
        self._furthest_ordinal = -1
        self._kinds = bytearray()
        """By ordinal, of frames that came by themselves."""
        self._unproven: dict[int, int] = {}
        """Frames that waited before they were received, since one came promptly, and for how long at most, in ns: a
        step of the clock that is not larger may be hidden."""
        self._refuted: list[int] = []
        self._limit_ns = limit_ns

    @property
    def n_unproven(self) -> int:
        """Frames that may have waited for longer than the limit, since one came promptly."""
        return sum(waited_ns > self._limit_ns for waited_ns in self._unproven.values())

    @property
    def lag_ns(self) -> int | None:
        """Receipt minus stamp of the promptest of the last frames; None without receipts."""
        return self._clock.lag_ns

    def enter(
        self,
        ordinal: int,
        window: Window,
        received_ns: int | None,
        *,
        is_stamped: bool = True,
        waited_s: float = 0.0,
        is_repeated: bool = False,
    ) -> bool:
        """A frame came by itself: True if its stamp is a time of its own.

        `is_stamped` False: it is known to be no time at all. `is_repeated`: of another frame, perhaps.
        """
        has_time = is_stamped and self._has_time(ordinal, window, received_ns, has_waited=waited_s > 0)
        has_time = has_time and not is_repeated
        if ordinal >= len(self._kinds):
            self._kinds.extend(bytes(ordinal + 1 - len(self._kinds)))
        self._kinds[ordinal] = TIMED if has_time else UNTIMED
        if has_time and waited_s:
            self._unproven[ordinal] = int(waited_s * NS_PER_S)
        return has_time

    def take_refuted(self) -> list[int]:
        """Frames that had a time when they came, which is none, as a later one has shown; each is told once."""
        refuted, self._refuted = self._refuted, []
        for ordinal in refuted:
            self._kinds[ordinal] = UNTIMED
        return refuted

    def _has_time(self, ordinal: int, window: Window, received_ns: int | None, *, has_waited: bool) -> bool:
        """True if a frame is stamped later than the one before it, by a clock that has not stepped."""
        clock = self._clock
        if ordinal <= self._furthest_ordinal:  # it was overtaken
            return window.end_ns < clock.newest_ns and not clock.has_stepped_back
        self._furthest_ordinal = ordinal
        if window.end_ns == clock.newest_ns:
            return False
        is_time = clock.admit(window.end_ns, received_ns, has_waited=has_waited)
        if clock.shown is not Shown.NOTHING:
            hides_ns = clock.ahead_ns - 2 * self._limit_ns  # of two messages, each may be off by that
            hiding = [waiting for waiting, waited_ns in self._unproven.items() if waited_ns >= hides_ns]
            if clock.shown is Shown.ANOTHER:
                self._refuted += hiding
            for decided in hiding:
                del self._unproven[decided]
        return is_time

    def are_about(self, ordinal: int) -> bool:
        """True if the frames before and after this place that came by themselves have times, as far as there are any.

        One that is fetched from elsewhere tells nothing of the clock, which is somewhere else by now; its stamp is a
        time if those beside it are.
        """
        before, after = self._kinds[:ordinal].rstrip(b"\0"), self._kinds[ordinal + 1 :].lstrip(b"\0")
        return UNTIMED not in (before[-1:] + after[:1])
