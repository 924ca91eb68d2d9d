"""The line of frames that wait for the readbacks of one rule, in the order of the moments that they ask for.

That is the middle of an exposure, or its end where the mean over it is asked for.

What is not known of a channel at one moment is not known of it at a later one, either. So when the channels have moved
on, frames are looked at from the first one on, up to the one that must go on waiting: a frame costs the same however
many wait. Only where something was lost for good (`History.n_breaks`) may a later frame leave before an earlier one,
and then all are looked at once.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from heapq import heapify, heappop, heappush
from typing import Protocol

from stream_service.core.pairing.history import History

WORTH_PURGING = 64
"""Entries of a line beyond twice the frames that wait: those of frames that left unasked, which are then cut out."""


class Changing(Protocol):
    """What a frame may wait for."""

    n_updates: int
    n_confirmed: int
    n_breaks: int


class Line:
    """Frames by number; those that are not in `waiting` any more have left."""

    def __init__(self, channels: Sequence[Changing], waiting: Container[int], *, is_ordered: bool = True) -> None:
        """`is_ordered` False: an update may let a frame leave before an earlier one; else they are histories."""
        self._channels = channels
        self._histories = [channel for channel in channels if isinstance(channel, History)]
        self._waiting = waiting
        self._is_ordered = is_ordered
        self._frames: list[tuple[int, int]] = []
        """A heap of moment and number; not of frames, whose pixels would stay in memory with their entry."""
        self._n_confirmed = self._n_updates = self._n_breaks = 0

    def add(self, asked_ns: int, number: int, n_waiting: int) -> None:
        """Let a frame wait that was just looked at; `n_waiting` is the number of frames in all lines."""
        heappush(self._frames, (asked_ns, number))
        if len(self._frames) > 2 * n_waiting + WORTH_PURGING:
            self._frames = [entry for entry in self._frames if entry[1] in self._waiting]
            heapify(self._frames)

    def advance(self, must_wait: Callable[[int], bool]) -> None:
        """Look at the frames that what came since the last call may have made known.

        `must_wait` looks at one, and is True if it must go on waiting in this line.
        """
        n_confirmed = sum(channel.n_confirmed for channel in self._channels)
        n_updates = sum(channel.n_updates for channel in self._channels)
        n_breaks = sum(channel.n_breaks for channel in self._channels)
        if n_breaks != self._n_breaks or (n_updates != self._n_updates and not self._is_ordered):
            self._advance_all(must_wait)
        elif n_updates != self._n_updates or n_confirmed != self._n_confirmed:
            self._advance_first(must_wait)
        self._n_confirmed, self._n_updates, self._n_breaks = n_confirmed, n_updates, n_breaks

    def _advance_all(self, must_wait: Callable[[int], bool]) -> None:
        frames = sorted(entry for entry in self._frames if entry[1] in self._waiting)
        self._frames = [entry for entry in frames if must_wait(entry[1])]  # sorted, and so a heap

    def _advance_first(self, must_wait: Callable[[int], bool]) -> None:
        while (first_ns := self.first_ns) is not None:
            if self._is_ordered and any(history.known_until_ns < first_ns for history in self._histories):
                return
            if must_wait(self._frames[0][1]):
                return
            heappop(self._frames)

    @property
    def first_ns(self) -> int | None:
        """The earliest moment that one in the line asks for; None if nobody waits."""
        while self._frames and self._frames[0][1] not in self._waiting:
            heappop(self._frames)
        return self._frames[0][0] if self._frames else None
