"""The entries of hardware-captured arrays that belong to the frames of a run, told by the times of both (ADR 0045).

While the run goes on, a frame has the entry that follows from the frame before it if the interval between them is that
of the entries; where it is not, some more frames are waited for, and what all of them say best counts. At the end all
of it is looked at once more, as a whole: that is what a recording of the same run tells, too.
"""

from __future__ import annotations

from bisect import bisect_left, insort

import numpy as np
import numpy.typing as npt

from stream_service.core.frame import NO_STAMP, NS_PER_S
from stream_service.core.pairing.hardware_array import HardwareArray
from stream_service.core.pairing.trigger_alignment import (
    DRIFT,
    NONE,
    UNSURE,
    entries_of_run,
    entries_so_far,
    tolerance_of,
)

CONFIRMING = 2
"""Frames after one that does not follow, before it is decided on."""
MOST_LOOKED_AT = 48
"""Frames that are looked at together while the run goes on."""
MOST_WAITING = 24
"""Of them: what they do not tell, later ones will not tell either, until the end."""
GROWTH = 1.2
"""Of the array, after which its intervals are measured anew."""


class EntryMatching:
    """Of the arrays of one run that have the same times."""

    def __init__(self, times: HardwareArray, scale_s: float, *, may_end_apart: bool = False) -> None:
        """Times in units of `scale_s`; see `entries_of_run`."""
        self.n_updates = self.n_confirmed = self.n_breaks = 0
        """See `Changing`."""
        self._times = times
        self._scale_s = scale_s
        self._may_end_apart = may_end_apart
        self._stamps_ns: dict[int, int] = {}
        """By ordinal."""
        self._open: list[int] = []
        """Ordinals of frames that are not decided on, in order."""
        self._entries: dict[int, int] = {}
        self._paired: list[int] = []
        """Ordinals of frames that have entries, in order."""
        self._known_s, self._as_of = np.empty(0), 0
        """The times in seconds, and when they were that, by the changes of their array."""
        self._has_all_frames = False
        self.is_concluded = False
        self._measured = 0, tolerance_of(np.empty(0))
        """Number of entries, and the tolerance by them."""

    def add_frame(self, ordinal: int, timestamp_ns: int) -> None:
        """A frame has come, or is known to have come before the run went on."""
        if timestamp_ns == NO_STAMP or ordinal in self._stamps_ns:
            return
        self._stamps_ns[ordinal] = timestamp_ns
        insort(self._open, ordinal)
        self.advance()

    def has_all_frames(self) -> None:
        """No frame is on its way: what has come is all that tells."""
        self._has_all_frames = True
        self.advance()

    def entry(self, ordinal: int) -> int | None:
        """The entry of a frame that has come, `NONE` or `UNSURE`; None as long as more is to be waited for."""
        if ordinal not in self._stamps_ns:
            return UNSURE
        return self._entries.get(ordinal)

    @property
    def n_open(self) -> int:
        """Frames that wait for what the hardware captures yet."""
        return len(self._open)

    @property
    def n_of_frames(self) -> int:
        """Entries that belong to frames which came."""
        return sum(entry >= 0 for entry in self._entries.values())

    def n_with(self, outcome: int) -> int:
        """Frames of which so much is known: `NONE` or `UNSURE`."""
        return sum(entry == outcome for entry in self._entries.values())

    def conclude(self, n_exposed: int, *, is_cut_off: bool = False) -> None:
        """All entries and frames are there, of `n_exposed` that were made: decide on all of them as a whole.

        `is_cut_off`: the run was ended before the hardware had told all, or nobody tells whether more were made.
        """
        self.is_concluded = True
        ordinals, stamps_s = self._of(sorted(self._stamps_ns))
        n_exposed = max(n_exposed, int(ordinals.max(initial=-1)) + 1)
        times_s = self._ascending_s(self._times.told)  # what was told stands: the next capture may have begun
        entries = entries_of_run(
            ordinals, stamps_s, times_s, n_exposed, may_end_apart=self._may_end_apart, is_cut_off=is_cut_off
        )
        self._entries = dict(zip(ordinals.tolist(), entries.tolist(), strict=True))
        self._open = []
        self.n_breaks += 1

    def advance(self) -> None:
        """Decide on the frames of which what has come tells."""
        if self.is_concluded or not self._open:
            return
        times_s = self._times_s()
        n_open = len(self._open)
        if self._paired and self._entries[self._paired[-1]] >= len(times_s):
            self._give_up(UNSURE)  # the times were replaced by others
        while self._open:
            n_before = len(self._open)
            self._follow(times_s)
            if self._open:
                self._look_around(times_s)
            if len(self._open) == n_before:
                break
        if self._has_all_frames and not self._times.may_come:
            self._give_up(UNSURE if len(times_s) else NONE)
        self.n_updates += n_open != len(self._open)

    def _give_up(self, outcome: int) -> None:
        self._entries |= dict.fromkeys(self._open, outcome)
        self._open = []

    def _times_s(self) -> npt.NDArray[np.float64]:
        """Those that ascend, from the first entry that can belong to a frame."""
        state = self._times.n_updates + self._times.n_breaks
        if state != self._as_of:
            self._as_of, self._known_s = state, self._ascending_s(self._times.usable)
        return self._known_s

    def _ascending_s(self, times: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        times_s = times * self._scale_s
        falls = np.flatnonzero(~(np.diff(times_s, prepend=-np.inf) > 0))
        return times_s[: falls[0]] if len(falls) else times_s

    def _tolerance_s(self, times_s: npt.NDArray[np.float64]) -> float:
        n, tolerance_s = self._measured
        if len(times_s) > GROWTH * n:
            self._measured = len(times_s), tolerance_of(times_s)
        return self._measured[1] if len(times_s) else tolerance_s

    def _of(self, ordinals: list[int]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Ordinals, and stamps in seconds since the first of them."""
        stamps_ns = np.array([self._stamps_ns[ordinal] for ordinal in ordinals], np.int64)
        return np.array(ordinals, np.int64), (stamps_ns - stamps_ns[:1]) / NS_PER_S

    def _decide(self, ordinal: int, entry: int) -> None:
        del self._open[bisect_left(self._open, ordinal)]
        self._entries[ordinal] = entry
        if entry >= 0:
            insort(self._paired, ordinal)

    def _follow(self, times_s: npt.NDArray[np.float64]) -> None:
        """Decide on frames that follow the one before them, as long as there are any."""
        tolerance_s = self._tolerance_s(times_s)
        while self._open:
            ordinal = self._open[0]
            place = bisect_left(self._paired, ordinal)
            if not place:
                return
            before = self._paired[place - 1]
            is_late = place < len(self._paired)
            entry = self._entries[before] + ordinal - before
            passed_s = (self._stamps_ns[ordinal] - self._stamps_ns[before]) / NS_PER_S
            if entry < len(times_s):
                of_entries_s = times_s[entry] - times_s[self._entries[before]]
                if abs(passed_s - of_entries_s) <= tolerance_s + DRIFT * of_entries_s and not (
                    is_late and self._entries[self._paired[place]] <= entry
                ):
                    self._decide(ordinal, entry)
                    continue
            if is_late:
                self._decide(ordinal, UNSURE)  # one that was overtaken, or fetched: the end tells
                continue
            if times_s[self._entries[before]] + passed_s <= times_s[-1] + tolerance_s or self._times.may_come:
                return
            self._decide(ordinal, NONE)

    def _look_around(self, times_s: npt.NDArray[np.float64]) -> None:
        """Decide on the first frames that do not follow, by those after them."""
        tolerance_s = self._tolerance_s(times_s)
        before = self._paired[-1:]
        frames = before + self._open[:MOST_LOOKED_AT]
        ordinals, stamps_s = self._of(frames)
        first = self._entries[before[0]] if before else 0
        if before:
            times_s = times_s[first:]
            is_past = stamps_s <= times_s[-1] - times_s[0] + tolerance_s
        else:
            is_past = ordinals < len(times_s)
        n = len(is_past) if is_past.all() else int(is_past.argmin())
        is_all = self._has_all_frames and not self._times.may_come
        is_only = self._has_all_frames and len(self._stamps_ns) == 1
        if n < (1 if is_all or is_only else 1 + CONFIRMING if before else 2):
            return
        found = entries_so_far(
            ordinals[:n] - (ordinals[0] if before else 0), stamps_s[:n], times_s, 0 if before else None, tolerance_s
        )
        if not before and (found < 0).all():
            return  # without these, later ones would seem to begin the run
        n_sure_after = np.cumsum((found >= 0)[::-1])[::-1] - (found >= 0)
        follows = not before and n > 1 and (found[:2] == ordinals[:2]).all()
        needed = 0 if is_all or is_only or follows else CONFIRMING
        for k in range(len(before), n):
            if n_sure_after[k] < needed:
                if k == len(before) and n - k >= MOST_WAITING:
                    self._decide(frames[k], UNSURE)
                return
            self._decide(frames[k], first + int(found[k]) if found[k] >= 0 else int(found[k]))
