"""The rows of a run that are flagged, counted by reason, and said in one line."""

from __future__ import annotations

from collections import Counter

from stream_service.core.exposure import Flag
from stream_service.text.counted import agrees, counted


class FlagCounts:
    """Counts rows as they are appended."""

    def __init__(self) -> None:
        self.n_rows = self.n_unused = self.n_used = 0
        """Of flagged ones, those whose position is in doubt, and the others."""
        self._of_position: Counter[Flag] = Counter()
        self._of_others: Counter[Flag] = Counter()

    def add(self, flags: Flag, position_flags: Flag) -> None:
        """Count a row; `position_flags` are those of `flags` for which it is not used."""
        self.n_rows += 1
        if position_flags:
            self.n_unused += 1
            self._of_position.update(position_flags)
        elif flags:
            self.n_used += 1
            self._of_others.update(flags)

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


def _listed(counts: Counter[Flag]) -> str:
    return ", ".join(f"{(flag.name or '').lower()} {n}" for flag, n in counts.most_common())
