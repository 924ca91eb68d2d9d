"""The exposures of one position, gathered by their place in the run.

Frames arrive in order or nearly so. A group that is still open when exposures of much later positions come has lost a
frame: it is given up, its exposures are handed back to be entered as incomplete, and its pixels are let go, so that a
lossy run does not fill the memory, even if no group of it ever fills. A member that has come and only waits for its
readbacks is not lost: its group stays open. One whose frames are fetched from elsewhere is opened again, from its first
member on, and reduced in the order of its frames as any other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from stream_service.core.exposure import Exposure
from stream_service.core.partition import ByIndex, Ordinals

MOST_POSITIONS_BEHIND = 4
"""A group further behind the latest position than this is given up."""

IsWaiting = Callable[[int], bool]
"""Says of an ordinal that its frame has come and will be added later."""


def never(ordinal: int) -> bool:
    """No frame waits."""
    return False


class Group(NamedTuple):
    """All exposures of one row, in the order they were taken."""

    exposures: tuple[Exposure, ...]
    flags: int = 0
    """`Flag` of the row beside those of its exposures."""
    replaces: int = -1
    """The row, by its place in the file, that has some of these exposures and is not to be used any more; -1: none."""


class Grouper:
    """Exposures in, complete groups out; what never fills is handed back."""

    def __init__(self, partition: ByIndex) -> None:
        self.partition = partition
        self._open: dict[int, list[Exposure]] = {}
        self._furthest = 0
        self._reopened: set[int] = set()
        """Positions whose frames come late, all of them."""
        self.held_bytes = 0
        """Pixels of the exposures in open groups."""

    def add(self, exposure: Exposure, is_waiting: IsWaiting = never) -> list[Group]:
        """Take an exposure; the group it completes, if it does."""
        if self.partition.frames_per_row == 1:
            return [Group((exposure,))]
        position = self.partition.row_of(exposure.ordinal)
        self._furthest = max(self._furthest, position)
        members = self._open.setdefault(position, [])
        members.append(exposure)
        self.held_bytes += exposure.frame.pixels.nbytes
        if len(members) < self.partition.frames_per_row:
            return []
        self._close(position)
        return [Group(tuple(sorted(members, key=lambda member: member.ordinal)))]

    def reopen(self, ordinals: Ordinals) -> Ordinals:
        """Gather the groups of these frames once more: they are not given up, however late their exposures come.

        Gives the frames that are to come.
        """
        self._reopened.update(np.unique(self.partition.rows_of(ordinals)).tolist())
        return ordinals

    def take_given_up(self, is_waiting: IsWaiting = never) -> list[Exposure]:
        """The exposures of open groups more than `MOST_POSITIONS_BEHIND` before the furthest; they are let go."""
        behind = self._furthest - MOST_POSITIONS_BEHIND
        late = [position for position in self._open if position < behind and position not in self._reopened]
        lost = [position for position in late if not any(map(is_waiting, self.partition.frames_of(position)))]
        return [exposure for position in sorted(lost) for exposure in self._close(position)]

    def give_up(self, ordinals: Ordinals) -> list[Exposure]:
        """The exposures of those groups of these frames that are open; they are let go."""
        positions = np.unique(self.partition.rows_of(ordinals)).tolist()
        return [exposure for position in positions if position in self._open for exposure in self._close(position)]

    def leftover(self) -> list[Exposure]:
        """The exposures of all groups still open, at the end of a run."""
        return [exposure for position in sorted(self._open) for exposure in self._close(position)]

    def _close(self, position: int) -> list[Exposure]:
        members = self._open.pop(position)
        self._reopened.discard(position)
        self.held_bytes -= sum(member.frame.pixels.nbytes for member in members)
        return members
