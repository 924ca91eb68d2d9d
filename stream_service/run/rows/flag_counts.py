"""The rows of a run that are flagged, counted by reason, and said in one line."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from stream_service.core.exposure import Flag
from stream_service.text.counted import agrees, counted

UNHEARD = Flag.UNBRACKETED | Flag.DISCONNECTED

Flags = npt.NDArray[np.uint32]
"""Bits of `Flag`."""


class FlagCounts:
    """Counts of the rows that were appended."""

    def __init__(self) -> None:
        self.n_rows = self.n_unused = self.n_used = 0
        """Of flagged ones, those whose position is in doubt, and the others."""
        self.n_unheard = 0
        """Rows of whose position too little was heard."""
        self._of_position: Counter[Flag] = Counter()
        self._of_others: Counter[Flag] = Counter()

    def add(self, flags: Flags, position_flags: Flags) -> None:
        """Count rows, (n,) each; `position_flags` are those of `flags` for which a row is not used."""
        self.n_rows += len(flags)
        if not flags.any():
            return
        is_unused = position_flags != 0
        self.n_unused += _count(position_flags[is_unused], self._of_position)
        self.n_unheard += int(np.count_nonzero(position_flags & UNHEARD))
        self.n_used += _count(flags[~is_unused & (flags != 0)], self._of_others)

    @property
    def sentence(self) -> str:
        """`12 of 60 rows are flagged (no_time 12): stored, not used`; empty if no row is."""
        said = []
        if self.n_unused:
            said.append(
                f"{self.n_unused} of {counted(self.n_rows, 'row')} {agrees(self.n_unused, 'is')} flagged "
                f"({_listed(self._of_position)}): stored, not used"
            )
        if self.n_used:
            said.append(
                f"{self.n_used} of {counted(self.n_rows, 'row')} {agrees(self.n_used, 'is')} flagged for "
                f"{agrees(self.n_used, 'its')} energy ({_listed(self._of_others)}): used"
            )
        return "; ".join(said)


def _count(flags: Flags, counts: Counter[Flag]) -> int:
    """Enter what rows are flagged for; how many they are."""
    for value, n in zip(*np.unique(flags, return_counts=True), strict=True):
        for flag in Flag(int(value)):
            counts[flag] += int(n)
    return len(flags)


def _listed(counts: Counter[Flag]) -> str:
    return ", ".join(f"{(flag.name or '').lower()} {n}" for flag, n in counts.most_common())
