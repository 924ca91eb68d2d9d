"""An array that hardware captured (PandA, Zebra, FPGA): an entry for each frame since the start of the run.

It grows while the scan runs, or comes as a whole at its end. Nothing is guessed: a frame waits for its entry until that
is there, or until nothing more comes. What more or fewer entries than frames mean is for `HardwareArrays` (ADR 0045).
What the array held before the run is of an earlier acquisition; one that goes on from there was not emptied, so that
nobody can tell which of its entries are of this run, and none is used. Entries that were once told stand: an array that
contradicts them is another one, which tells nothing from there on (ADR 0029); so does one that has become shorter and
grows anew.

Zeros (or NaN) at the end of an array whose length has not changed in the run may be room that is not filled yet: they
are entries once something follows them, or the array of another channel has entries there (ADR 0047).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from stream_service.core.exposure import Flag
from stream_service.core.pairing.interpolation import Reading
from stream_service.core.pairing.rule import Comes
from stream_service.text.counted import agrees, counted

Values = npt.NDArray[np.float64]


class Held(NamedTuple):
    """What an array held at some moment."""

    n_entries: int
    digest: str

    @classmethod
    def of(cls, entries: Values) -> Held:
        """As it is now."""
        return cls(len(entries), hashlib.blake2b(entries.tobytes(), digest_size=16).hexdigest())

    def is_start_of(self, entries: Values) -> bool:
        """True if `entries` begin with it."""
        return len(entries) >= self.n_entries and Held.of(entries[: self.n_entries]) == self


NOTHING_HELD = Held.of(np.empty(0))


class HardwareArray:
    """The entries of one channel, in the channel's own unit."""

    def __init__(self, skip_first: int = 0, *, comes: Comes = Comes.GROWING) -> None:
        """`skip_first` entries at the start of the array belong to no frame."""
        self.n_updates = self.n_confirmed = self.n_breaks = 0
        """See `Changing`."""
        self._entries: Values = np.empty(0)
        self.before = NOTHING_HELD
        """What it held before the run."""
        self._present = NOTHING_HELD
        """The same, as long as the array may still hold it."""
        self._goes_on = False
        self._skip_first = skip_first
        self._trusted: float = math.inf
        """Entries that no later array contradicts."""
        self._is_unemptied = self._was_emptied = False
        self._comes = comes
        self._n_used = 0
        """Frames that have left with an entry."""
        self._lacking: set[int] = set()
        """Ordinals of those that have left without."""
        self._length = 0
        """Of the array of this run as it came last, when it was not empty."""
        self._is_whole = comes is Comes.NEVER
        """True if all that it holds are entries, as is said of it, or since its length changes with them."""
        self.n_filled = 0
        """Entries up to the last one that is neither 0 nor NaN, here or in an array that was filled beside this one."""

    def update(self, entries: Values, *, is_from_before: bool = False, is_exact: bool = False) -> None:
        """Take the array as it is now, from its first entry; `is_from_before` the run: it has none of this run."""
        self.n_updates += 1
        if is_from_before and not self._goes_on:
            self.before = self._present = Held.of(entries)
            return
        if self._present.n_entries:
            is_start = self._present.is_start_of(entries)
            if is_start and len(entries) == self._present.n_entries:
                return  # told once more
            self._is_unemptied = is_start
            if not is_start:
                self._present = NOTHING_HELD
        if self._is_unemptied:
            return
        self._is_whole |= is_exact or 0 < self._length != len(entries) > 0
        self._length = len(entries) or self._length
        n_known = self._n_known
        n = min(len(entries), n_known)
        differs = ~((entries[:n] == self._entries[:n]) | (np.isnan(entries[:n]) & np.isnan(self._entries[:n])))
        if differs.any():
            self._trusted = min(self._trusted, int(differs.argmax()))
        elif len(entries) < n_known:
            self._was_emptied = True
        elif self._was_emptied:
            self._trusted = min(self._trusted, n_known)
        else:
            self._entries = entries
            filled = np.flatnonzero(np.isfinite(entries) & (entries != 0))
            self.n_filled = int(filled[-1]) + 1 if len(filled) else 0

    @property
    def n_held(self) -> int:
        """Numbers in the array, whether they are entries or not."""
        return len(self._entries)

    @property
    def _n_known(self) -> int:
        """Entries that are there for certain."""
        is_single = len(self._entries) == 1
        return len(self._entries) if self._is_whole or is_single else min(self.n_filled, len(self._entries))

    def end(self) -> None:
        """Nothing more comes."""
        self._comes = Comes.NEVER
        self.n_breaks += 1

    def go_on(self, before: Held) -> None:
        """The run goes on, before which the array held this."""
        self.before = self._present = before
        self._goes_on = True

    @property
    def may_come(self) -> bool:
        """True while there may be more entries."""
        return self._comes is not Comes.NEVER

    def reading(self, ordinal: int, *, as_told: bool = False) -> Reading | None:
        """Value of the frame with this ordinal; None if its entry may still come.

        `as_told`: what was told once, also where a later array contradicts it.
        """
        at = ordinal + self._skip_first
        if at >= self._trusted and not as_told:
            return Reading(math.nan, Flag.INVALID)
        if at < self._n_known:
            value = float(self._entries[at])
            return Reading(value, Flag.NONE, 0.0) if math.isfinite(value) else Reading(value, Flag.INVALID)
        return None if self._comes is Comes.GROWING else Reading(math.nan, Flag.MISSING)

    def leave(self, ordinal: int, flag: Flag) -> None:
        """The frame with this ordinal has left with a reading of this flag."""
        if flag & Flag.MISSING:
            self._lacking.add(ordinal)
        else:
            self._n_used += 1

    def settle(self) -> None:
        """Frames that left without an entry which is there now have it."""
        n_there = min(self._n_known, self._trusted) - self._skip_first
        came = {ordinal for ordinal in self._lacking if ordinal < n_there}
        self._lacking -= came
        self._n_used += len(came)

    @property
    def usable(self) -> Values:
        """The entries that can belong to frames, as far as no later array contradicts them."""
        return self._entries[self._skip_first : int(min(self._n_known, self._trusted))]

    @property
    def told(self) -> Values:
        """The entries that can belong to frames as they were told first."""
        return self._entries[self._skip_first : self._n_known]

    @property
    def n_entries(self) -> int:
        """Of those that can belong to frames."""
        return max(0, self._n_known - self._skip_first)

    @property
    def n_unused(self) -> int:
        """Entries for which no frame has come."""
        return max(0, self.n_entries - self._n_used)

    @property
    def n_lacking(self) -> int:
        """Frames that left without an entry."""
        return len(self._lacking)

    @property
    def n_awaited(self) -> int:
        """Of those, the ones whose entries may come, and are not there by now."""
        n_there = self.n_entries
        return sum(ordinal >= n_there for ordinal in self._lacking) if math.isinf(self._trusted) else 0

    def notes(self, name: str, *, are_counted: bool = True) -> Iterator[str]:
        """What does not fit of the array of channel `name`, in sentences; `are_counted`: its entries against frames."""
        if self._is_unemptied:
            yield (
                f"the array of {name} goes on from what it held before the run: it was not emptied, so that none of "
                "its entries can be told to be of this run"
            )
        if not math.isinf(self._trusted):
            yield (
                f"the array of {name} was replaced by another one during the run, which differs from entry "
                f"{int(self._trusted) + 1} on: rows that were made after that are flagged from there on"
            )
        if n_more := len(self._entries) - self._n_known:
            yield (
                f"the array of {name} ends with {counted(n_more, 'zero')}, and its length does not change: whether "
                "these are entries or room for some is not known, and they are not used; let the IOC post what was "
                "captured alone"
            )
        if are_counted and (self.n_unused or self.n_lacking):
            skipped = f", of which the first {self._skip_first} count for none" if self._skip_first else ""
            lacking = f"{counted(self.n_lacking, 'frame')} {agrees(self.n_lacking, 'has')} none"
            yield (
                f"the array of {name} has {counted(self._n_known, 'entry', 'entries')}{skipped}: "
                f"{self.n_entries - self.n_unused} belong to frames, {self.n_unused} to none that came, and {lacking}"
                + (" (rows flagged)" if self.n_lacking else "")
            )
