"""The account of a run: how many of its frames became what."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Account:
    """The ledger in numbers; the five kinds of status add up to `expected`."""

    expected: int
    stored: int
    backfilled: int
    lost: int
    incomplete: int
    not_exposed: int
    duplicates: int
    unexpected: int
    """Beyond the frames expected (received, or exposed by the detector's word), or `implausible`; not stored."""
    pending: int = 0
    before_run: int = 0
    """Exposed before the run began; not stored."""
    implausible: int = 0
    """Those unexpected frames that came with an implausible uniqueId."""
    after_run: int = 0
    """Received, but exposed after the run was told to end; not stored."""
    undecided: int = 0
    """Those duplicates that came while the clock stood: they may be new frames of a counter that was reset."""
    of_others: int = 0
    """Received, but of the share of another service; not stored."""
    is_planned: bool = True
    """The number of frames was known beforehand."""

    @property
    def is_complete(self) -> bool:
        """True if every frame expected is in the file, and nothing tells of others."""
        are_all = self.is_planned or not self.undecided
        return are_all and self.pending == 0 and self.stored + self.backfilled == self.expected
