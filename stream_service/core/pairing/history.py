"""The history of one readback channel: what a PV was, when, and how far that is known.

Channel Access posts on change. So an old value is not a stale one: between two updates the channel stood still or
moved, and whether anything is still on its way is known only up to `known_until_ns` (ADR 0004). What happened while the
PV was disconnected is never known; such gaps are kept, so that a frame finds them whenever it comes. The same holds for
stretches in which the stamps were no times: they stepped back, or contradict what was confirmed (ADR 0010).
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from enum import IntEnum

from stream_service.core.clock import BEFORE_ALL_TIME, DEFAULT_LIMIT_S, Clock
from stream_service.core.frame import NS_PER_S, Window
from stream_service.core.pairing.archive import Archive
from stream_service.core.pairing.readback import Readback

MOST_UPDATES = 1 << 15
"""Kept of one channel while no frame comes to make older ones superfluous: 18 minutes at 30 Hz."""
END_OF_TIME = 2**63
REORDER_NS = 10 * NS_PER_S
"""Frames overtake each other by less than this; readbacks are at hand so long, and older ones in the archive."""
NEIGHBOURS = 2
"""Updates before and after the time about a frame that may tell of its speed."""
WORTH_CUTTING = 64
"""Old updates are cut off in slices, so that the lists are not shifted for every frame."""


class Knowledge(IntEnum):
    """Completeness of the history over a stretch of time; the larger the number, the worse."""

    KNOWN = 0
    COMING = 1
    """Some may still be on their way."""
    ENDED = 2
    """It is after the end of a record."""
    LOST = 3
    """The channel was disconnected."""
    UNTIMED = 4
    """The stamps were no times."""


@dataclass(slots=True)
class History:
    """Updates of one channel in the order of their stamps, and how far they are known to be all there are."""

    timestamps_ns: list[int] = field(default_factory=list)
    readbacks: list[Readback] = field(default_factory=list)
    confirmed_until_ns: int = BEFORE_ALL_TIME
    is_connected: bool = True
    tells_motion: bool = False
    """Its values say whether an axis moves (non-zero: it does)."""
    gaps_ns: list[tuple[int, int]] = field(default_factory=list)
    """Stretches of disconnection: what was posted after the first time, up to and with the second, may be lost."""
    clock: Clock = field(default_factory=lambda: Clock(round(DEFAULT_LIMIT_S * 1e9)))
    moves_at_rest: bool = False
    """It was seen to go somewhere while the channel that tells its motion said that it rests."""
    ends_ns: int = END_OF_TIME
    """End of a record: nothing is known of the channel after it, and never will be."""
    untimed_ns: list[tuple[int, int]] = field(default_factory=list)
    """Stretches, both ends included, in which stamps were no times; the last one may have no end yet."""
    n_updates: int = 0
    n_confirmed: int = 0
    """Confirmations that told something new."""
    n_breaks: int = 0
    """How often it turned out that of some time nothing will ever be known."""
    archive: Archive = field(default_factory=Archive)
    """What no frame asks for that comes in time."""
    begins_ns: int = BEFORE_ALL_TIME
    """Updates stamped before this are in the archive."""

    def add(self, readback: Readback) -> None:
        """Insert an update at its place in time; of two with one stamp the one added later stands later.

        One whose stamp is not a time is left out: until the next that has one, nothing is known of the channel.
        """
        self.n_updates += 1
        before_ns = self.clock.newest_ns
        is_refuted = before_ns < readback.timestamp_ns <= self.confirmed_until_ns
        is_timeless_start = self.tells_motion and readback.value and readback.timestamp_ns == before_ns
        if not is_timeless_start and not self.clock.admit(readback.timestamp_ns, readback.received_ns):
            self._lose_time(min(readback.timestamp_ns, before_ns))
            return
        if is_refuted:  # nothing was to come any more before that time: the stamp or the confirmation is wrong
            self._lose_time(readback.timestamp_ns)
        elif self.untimed_ns and self.untimed_ns[-1][1] == END_OF_TIME:
            self.untimed_ns[-1] = (self.untimed_ns[-1][0], readback.timestamp_ns)
        if not self.readbacks:  # of the time before it nothing will come any more
            self.n_breaks += 1
        if readback.is_after_gap and readback.timestamp_ns > self.known_until_ns:
            self.gaps_ns.append((self.known_until_ns, readback.timestamp_ns))
            self.n_breaks += 1
        at = bisect_right(self.timestamps_ns, readback.timestamp_ns)
        self.timestamps_ns.insert(at, readback.timestamp_ns)
        self.readbacks.insert(at, readback)
        self.is_connected = True
        if len(self.readbacks) > MOST_UPDATES:
            self._cut(MOST_UPDATES // 2)

    def _lose_time(self, from_ns: int) -> None:
        """No stamp from this one on is a time, until an update comes that has one."""
        if self.untimed_ns and self.untimed_ns[-1][1] == END_OF_TIME:
            from_ns = min(from_ns, self.untimed_ns.pop()[0])
        self.untimed_ns.append((from_ns, END_OF_TIME))
        self.n_breaks += 1

    def end(self, at_ns: int) -> None:
        """Of what comes after `at_ns` nothing will ever be known."""
        self.ends_ns = at_ns
        self.n_breaks += 1

    def disconnect(self) -> None:
        """The PV is gone: until it posts again, nothing is known of what comes after `known_until_ns`."""
        self.is_connected = False
        self.n_breaks += 1

    def confirm(self, until_ns: int) -> None:
        """Note that every update stamped at or before `until_ns` has been added."""
        if until_ns > self.confirmed_until_ns:
            self.confirmed_until_ns = until_ns
            self.n_confirmed += 1

    def retract(self, until_ns: int) -> None:
        """Take back what was confirmed beyond `until_ns` by mistake."""
        self.confirmed_until_ns = min(self.confirmed_until_ns, until_ns)

    @property
    def known_until_ns(self) -> int:
        """Every update stamped at or before this time has been added, but for those lost in a gap.

        Updates of one channel come in order, so the last one proves all time before its stamp, and not its stamp
        itself: another one with the same stamp may follow.
        """
        return max(self.newest_ns - 1, self.confirmed_until_ns)

    @property
    def newest_ns(self) -> int:
        """The stamp of the last update."""
        return self.timestamps_ns[-1] if self.timestamps_ns else BEFORE_ALL_TIME

    def knowledge(self, from_ns: int, to_ns: int) -> Knowledge:
        """True if every update from `from_ns` to `to_ns`, both included, is in the history."""
        for start_ns, end_ns in self.untimed_ns:
            if start_ns <= to_ns and from_ns <= end_ns:
                return Knowledge.UNTIMED
        for start_ns, end_ns in self.gaps_ns:
            if start_ns < to_ns and from_ns < end_ns:
                return Knowledge.LOST
        if self.ends_ns < to_ns:  # what a record says up to its end is all that can be asked of it
            if self.ends_ns < from_ns:
                return Knowledge.ENDED
            to_ns = self.ends_ns
        if self.confirmed_until_ns >= to_ns or self.newest_ns > to_ns:  # known until then, and asked for most often
            return Knowledge.KNOWN
        return Knowledge.COMING if self.is_connected else Knowledge.LOST

    def at(self, time_ns: int) -> tuple[Readback | None, Readback | None]:
        """The last update at or before `time_ns`, and the first one after it."""
        after = bisect_right(self.timestamps_ns, time_ns)
        before = self.readbacks[after - 1] if after else None
        return before, self.readbacks[after] if after < len(self.readbacks) else None

    def before(self, update: Readback) -> Readback | None:
        """The update next before this one, which is in the history."""
        at = self._index(update)
        return self.readbacks[at - 1] if at else None

    def after(self, update: Readback) -> Readback | None:
        """The update next after this one, which is in the history."""
        at = self._index(update) + 1
        return self.readbacks[at] if at < len(self.readbacks) else None

    def _index(self, update: Readback) -> int:
        at = bisect_right(self.timestamps_ns, update.timestamp_ns) - 1
        while self.readbacks[at] is not update:
            at -= 1
        return at

    def between(self, start_ns: int, end_ns: int) -> list[Readback]:
        """The updates stamped after `start_ns`, up to and with `end_ns`."""
        first = bisect_right(self.timestamps_ns, start_ns)
        return self.readbacks[first : bisect_right(self.timestamps_ns, end_ns)]

    def stamped_alike(self, update: Readback) -> list[Readback]:
        """The updates with the stamp of this one, which is in the history; none if it is the only one."""
        stamp_ns = update.timestamp_ns
        end = bisect_right(self.timestamps_ns, stamp_ns)
        if end < 2 or self.timestamps_ns[end - 2] != stamp_ns:
            return []
        return self.between(stamp_ns - 1, stamp_ns)

    def later_than(self, time_ns: int) -> list[Readback]:
        """The updates stamped after `time_ns`."""
        return self.readbacks[bisect_right(self.timestamps_ns, time_ns) :]

    def forget_before(self, time_ns: int) -> None:
        """Put aside what no exposure starting at or after `time_ns` can need; the last update before it stays."""
        keep_from = bisect_right(self.timestamps_ns, time_ns) - 1
        if keep_from > WORTH_CUTTING:
            self._cut(keep_from)

    def around(self, window: Window) -> History:
        """All that can matter for an exposure, however long ago it was: itself, or another with what was put aside."""
        from_ns, to_ns = window.start_ns - REORDER_NS, window.end_ns + REORDER_NS
        if self.begins_ns <= from_ns:
            return self
        first = max(0, self._place_after(from_ns) - NEIGHBOURS)
        end = self._place_after(to_ns) + NEIGHBOURS
        if self.tells_motion:
            end = max(end, self._end_of_motion(self._place_after(window.end_ns)))
        n_archived = len(self.archive)
        updates = self.archive.updates(first, end)
        updates += self.readbacks[max(0, first - n_archived) : max(0, end - n_archived)]
        return History(
            [update.timestamp_ns for update in updates],
            updates,
            self.known_until_ns,
            self.is_connected,
            self.tells_motion,
            self.archive.gaps_ns + self.gaps_ns,
            self.clock,
            self.moves_at_rest,
            self.ends_ns,
            self.archive.untimed_ns + self.untimed_ns,
        )

    def _place_after(self, time_ns: int) -> int:
        """Updates up to and with `time_ns`, those put aside among them."""
        place = self.archive.place_after(time_ns)
        return place if place < len(self.archive) else place + bisect_right(self.timestamps_ns, time_ns)

    def _end_of_motion(self, first: int) -> int:
        """Place after the first update from this place on that says that the axis rests; 0 if there is none."""
        n_archived = len(self.archive)
        if (place := self.archive.first_zero(first)) is not None:
            return place + 1
        for place in range(max(0, first - n_archived), len(self.readbacks)):
            if not self.readbacks[place].value:
                return n_archived + place + 1
        return 0

    def _cut(self, keep_from: int) -> None:
        self.archive.add(self.readbacks[:keep_from])
        del self.timestamps_ns[:keep_from]
        del self.readbacks[:keep_from]
        self.begins_ns = first_ns = self.timestamps_ns[0]
        self.archive.gaps_ns += [gap for gap in self.gaps_ns if gap[1] <= first_ns]
        self.archive.untimed_ns += [stretch for stretch in self.untimed_ns if stretch[1] < first_ns]
        self.gaps_ns = [gap for gap in self.gaps_ns if gap[1] > first_ns]
        self.untimed_ns = [stretch for stretch in self.untimed_ns if stretch[1] >= first_ns]
