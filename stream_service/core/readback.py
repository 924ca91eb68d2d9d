"""The history of one readback channel: what a PV was, when.

Channel Access posts on change. So an old value is not a stale one: between two updates the channel stood still or
moved, and whether anything is still on its way is known only up to `known_until_ns` (ADR 0004).
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Readback:
    """One measured value of a channel, in the channel's own unit."""

    channel: str
    value: float
    timestamp_ns: int
    """The IOC's stamp: since when the value is true."""
    is_valid: bool = True
    """False for alarm severity INVALID or a value that is not a finite number."""
    is_after_gap: bool = False
    """True for the first update after a disconnection: what was between it and the one before is not known."""


@dataclass(slots=True)
class History:
    """Updates of one channel in the order of their stamps, and how far they are known to be all there are."""

    timestamps_ns: list[int] = field(default_factory=list)
    readbacks: list[Readback] = field(default_factory=list)
    confirmed_until_ns: int = -(2**63)
    is_connected: bool = True

    def add(self, readback: Readback) -> None:
        """Insert an update at its place in time; of two with one stamp the one added later stands later."""
        at = bisect_right(self.timestamps_ns, readback.timestamp_ns)
        self.timestamps_ns.insert(at, readback.timestamp_ns)
        self.readbacks.insert(at, readback)
        self.is_connected = True

    def confirm(self, until_ns: int) -> None:
        """Note that every update stamped at or before `until_ns` has been added."""
        self.confirmed_until_ns = max(self.confirmed_until_ns, until_ns)

    @property
    def known_until_ns(self) -> int:
        """Every update stamped at or before this time is in the history: updates of one channel come in order."""
        last = self.timestamps_ns[-1] if self.timestamps_ns else -(2**63)
        return max(last, self.confirmed_until_ns)

    def at(self, time_ns: int) -> tuple[Readback | None, Readback | None]:
        """The last update at or before `time_ns`, and the first one after it."""
        after = bisect_right(self.timestamps_ns, time_ns)
        before = self.readbacks[after - 1] if after else None
        return before, self.readbacks[after] if after < len(self.readbacks) else None

    def between(self, start_ns: int, end_ns: int) -> list[Readback]:
        """The updates stamped after `start_ns`, up to and with `end_ns`."""
        first = bisect_right(self.timestamps_ns, start_ns)
        return self.readbacks[first : bisect_right(self.timestamps_ns, end_ns)]

    def forget_before(self, time_ns: int) -> None:
        """Drop updates that no exposure starting at or after `time_ns` can need; the last one before it stays."""
        keep_from = bisect_right(self.timestamps_ns, time_ns) - 1
        if keep_from > 64:  # in slices, so that the lists are not shifted for every frame
            del self.timestamps_ns[:keep_from]
            del self.readbacks[:keep_from]
