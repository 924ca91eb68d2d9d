"""The exposures of one position, told by where the stage was.

The rows are a function of the exposures in the order they were taken, however they come: runs of exposures at one
place. One in which the stage travelled is a row of its own, flagged, and ends a run. One of which nobody knows where it
was taken is a row of its own, too, and ends none; nor does a frame that is missing. So a frame that was lost amid those
of a position costs that frame only, and what lies on either side of a lost frame is compared as if it had never been.

Exposures that overtake each other wait for each other. A frame that is still missing when one `MOST_FRAMES_BEHIND`
later has come is passed over; if it comes after all, it is handed back, to be entered as incomplete.

Frames that are fetched from elsewhere come with all others of the rows beside them: these rows are found once more. A
row that has changed replaces the one that was made before; one that is the same, or of which not every frame was
found, stays as it is.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from stream_service.core.exposure import Exposure, Flag
from stream_service.core.grouping import Group, IsWaiting, never
from stream_service.core.growing import grown
from stream_service.core.partition import NO_FRAME, ByPosition, Ordinals

MOST_FRAMES_BEHIND = 16
"""Frames overtake each other by a few: those that plugins handle in parallel."""


class PositionGrouper:
    """Exposures in, rows out."""

    def __init__(self, partition: ByPosition) -> None:
        self.partition = partition
        self._next = 0
        """The place of the frame that is looked at next."""
        self._furthest = -1
        self._ahead: dict[int, Exposure] = {}
        """By ordinal, those that wait for earlier ones."""
        self._open: list[Exposure] = []
        """The run so far."""
        self._place = (math.nan, math.nan)
        """Where that is."""
        self._late: list[Exposure] = []
        self._reopened: frozenset[int] = frozenset()
        self._fetched: dict[int, Exposure] = {}
        self._row_of = np.zeros(0, np.int32)
        """By ordinal, the row that a frame is in, counted from 1; 0: none."""
        self.held_bytes = 0
        """Pixels of the exposures that are in no row yet."""

    def add(self, exposure: Exposure, is_waiting: IsWaiting = never) -> list[Group]:
        """Take an exposure; the rows that are known by it, in order."""
        ordinal = exposure.ordinal
        if ordinal in self._reopened:
            self._fetched[ordinal] = exposure
        elif ordinal < self._next:
            self._late.append(exposure)
            return []
        else:
            self._ahead[ordinal] = exposure
            self._furthest = max(self._furthest, ordinal)
        self.held_bytes += exposure.frame.pixels.nbytes
        return self._advance(self._furthest - MOST_FRAMES_BEHIND + 1, is_waiting)

    def take_given_up(self, is_waiting: IsWaiting = never) -> list[Exposure]:
        """The exposures that came after their place was passed over; they are let go."""
        late, self._late = self._late, []
        return late

    def close(self) -> list[Group]:
        """Nothing more comes by itself: the last rows."""
        return [*self._advance(self._furthest + 1, never), *self._cut()]

    def leftover(self) -> list[Exposure]:
        """What is in no row at the end of a run, after `close`."""
        return self.take_given_up()

    def note(self, ordinals: Ordinals, first_row: int) -> None:
        """Rows were made, from `first_row` on, of the frames in these places (n, k)."""
        is_frame = ordinals != NO_FRAME
        places = ordinals[is_frame]
        self._row_of = grown(self._row_of, int(places.max(initial=-1)) + 1)
        self._row_of[places] = np.repeat(np.arange(len(ordinals)) + first_row + 1, is_frame.sum(axis=1))

    def are_amid(self, ordinals: Ordinals) -> npt.NDArray[np.bool_]:
        """(n,) of frames in no row, in order, whether the frames before and after them are in one and the same."""
        row_of = self._row_of
        known = np.flatnonzero(row_of)
        after = np.searchsorted(known, ordinals)
        is_inside = (after > 0) & (after < len(known))
        at = np.where(is_inside, after, 0)
        if not len(known):
            return np.zeros(len(ordinals), np.bool_)
        return is_inside & (row_of[known[at]] == row_of[known[at - 1]])

    # Rows that are found once more

    def portions(self, missing: Ordinals, most_frames: int) -> list[Ordinals]:
        """Missing frames, in order, with all others of the rows beside them, `most_frames` at once if that can be.

        Rows that more missing frames follow may be in two portions: they are found twice then.
        """
        whole = self._with_rows_beside(missing)
        chains = np.split(whole, np.flatnonzero(np.diff(whole) > 1) + 1)
        portions: list[list[Ordinals]] = []
        n_frames = most_frames
        for chain in chains:
            for part in self._parts(chain, most_frames):
                if n_frames + len(part) > most_frames:
                    portions.append([])
                    n_frames = 0
                portions[-1].append(part)
                n_frames += len(part)
        return [np.unique(np.concatenate(parts)) for parts in portions]

    def _with_rows_beside(self, missing: Ordinals) -> Ordinals:
        """The frames of rows beside each, and what lies between these."""
        row_of, known = self._row_of, np.flatnonzero(self._row_of)
        after = np.searchsorted(known, missing)
        beside = np.concatenate([known[after[after > 0] - 1], known[after[after < len(known)]]])
        rows = np.unique(row_of[beside])
        members = known[np.isin(row_of[known], rows)]
        members = members[np.argsort(row_of[members], kind="stable")]
        firsts = np.flatnonzero(np.diff(row_of[members], prepend=0))
        lasts = np.append(firsts[1:], len(members))[: len(firsts)] - 1
        ends = zip(members[firsts].tolist(), members[lasts].tolist(), strict=True)
        stretches = [np.arange(first, last + 1) for first, last in ends]
        return np.unique(np.concatenate([missing, *stretches]))

    def _parts(self, chain: Ordinals, most_frames: int) -> list[Ordinals]:
        """A chain of rows and missing frames, cut where a row ends; the next part begins with that row."""
        if len(chain) <= most_frames:
            return [chain]
        rows = self._rows_of(chain)
        _, firsts, of = np.unique(rows, return_index=True, return_inverse=True)
        lasts = np.zeros(len(firsts), np.int64)
        np.maximum.at(lasts, of, np.arange(len(chain)))
        is_row = rows[firsts] != 0
        n_across = np.zeros(len(chain) + 1, np.int64)
        np.add.at(n_across, firsts[is_row] + 1, 1)
        np.add.at(n_across, lasts[is_row] + 1, -1)
        ends = np.flatnonzero((np.cumsum(n_across)[1:-1] == 0) & (rows[:-1] != 0)) + 1
        begins = firsts[of[ends - 1]]
        parts, start = [], 0
        while len(chain) - start > most_frames and (may_cut := np.flatnonzero(begins > start)).size:
            fits = may_cut[ends[may_cut] <= start + most_frames]
            cut = fits[-1] if fits.size else may_cut[0]
            parts.append(chain[start : ends[cut]])
            start = int(begins[cut])
        return [*parts, chain[start:]]

    def reopen(self, ordinals: Ordinals) -> Ordinals:
        """Find the rows of these frames, one of the `portions`, once more; the frames of which that must be known."""
        rows = self._rows_of(ordinals)
        known = np.flatnonzero(self._row_of)
        members = known[np.isin(self._row_of[known], rows)]
        whole = np.union1d(ordinals, members)
        self._reopened = frozenset(whole.tolist())
        return whole

    def found_again(self) -> tuple[list[Group], list[int]]:
        """The rows that are new or have changed, by the frames that came since `reopen`; and the places of frames that
        are in a row as they were, whether they came or not."""
        reopened, self._reopened = np.array(sorted(self._reopened), np.int64), frozenset()
        fetched, self._fetched = self._fetched, {}
        self.held_bytes -= sum(exposure.frame.pixels.nbytes for exposure in fetched.values())
        rows = self._rows_of(reopened)
        whole = {row for row in np.unique(rows).tolist() if row and fetched.keys() >= set(self._frames_of(row))}
        stay = {row for row in np.unique(rows).tolist() if row} - whole
        groups = self._runs([fetched[n] for n in sorted(fetched) if self._row(n) not in stay])
        touched = [{self._row(exposure.ordinal) for exposure in group.exposures} - {0} for group in groups]
        stay |= set().union(*(rows for rows in touched if len(rows) > 1))
        changed, named = [], set()
        for group, old in zip(groups, touched, strict=True):
            if old & stay:
                new = tuple(exposure for exposure in group.exposures if not self._row(exposure.ordinal))
                changed += [Group(new, group.flags)] if new else []
            elif old and [exposure.ordinal for exposure in group.exposures] == self._frames_of(min(old)):
                stay |= old
            else:  # of a row that has become two the first one replaces it
                replaces = min(old) - 1 if old and not old <= named else -1
                changed.append(Group(group.exposures, group.flags, replaces))
                named |= old
        return changed, [n for row in sorted(stay) for n in self._frames_of(row)]

    def _runs(self, exposures: list[Exposure]) -> list[Group]:
        """The rows of these, in order; none goes on past a row that stays."""
        groups: list[Group] = []
        last = None
        for exposure in exposures:
            if last is not None and (self._row_of[last + 1 : exposure.ordinal]).any():
                groups += self._cut()
            self.held_bytes += exposure.frame.pixels.nbytes
            groups += self._look_at(exposure)
            last = exposure.ordinal
        return groups + self._cut()

    def _row(self, ordinal: int) -> int:
        return int(self._row_of[ordinal]) if ordinal < len(self._row_of) else 0

    def _rows_of(self, ordinals: Ordinals) -> npt.NDArray[np.int32]:
        self._row_of = grown(self._row_of, int(ordinals.max(initial=-1)) + 1)
        return self._row_of[ordinals]

    def _frames_of(self, row: int) -> list[int]:
        return np.flatnonzero(self._row_of == row).tolist()

    # The runs

    def _advance(self, until: int, is_waiting: IsWaiting) -> list[Group]:
        """Look at those that are in order; a frame before `until` that is missing is passed over."""
        groups: list[Group] = []
        while self._ahead:
            if (exposure := self._ahead.pop(self._next, None)) is not None:
                self._next += 1
                groups += self._look_at(exposure)
                continue
            end = min(until, min(self._ahead))
            reached = next((n for n in range(self._next, end) if is_waiting(n)), max(end, self._next))
            if reached == self._next:
                break
            self._next = reached
        return groups

    def _look_at(self, exposure: Exposure) -> list[Group]:
        if self.partition.is_between_positions(exposure):
            return [*self._cut(), self._let_go((exposure,), int(Flag.MOVING))]
        place = self.partition.place_of(exposure)
        if math.isnan(place[0]) or math.isnan(place[1]):
            return [self._let_go((exposure,), 0)]
        groups: list[Group] = []
        if not self._open or math.dist(place, self._place) > self.partition.same_m:
            groups = self._cut()
            self._place = place
        self._open.append(exposure)
        return [*groups, *self._cut()] if len(self._open) == self.partition.frames_per_row else groups

    def _cut(self) -> list[Group]:
        run, self._open = tuple(self._open), []
        return [self._let_go(run, 0)] if run else []

    def _let_go(self, exposures: tuple[Exposure, ...], flags: int) -> Group:
        self.held_bytes -= sum(exposure.frame.pixels.nbytes for exposure in exposures)
        return Group(exposures, flags)
