"""Notes of a run beside its account: frames it refused or dropped, with the first reason of each kind.

Nothing that was received is dropped without a word: the first of a kind stands in the message at once.
"""

from __future__ import annotations

import logging

from stream_service.core.intake import Entered
from stream_service.core.ledger import Arrival

log = logging.getLogger(__name__)


class RunNotes:
    """Counts of what was not stored, and the first of each kind in a sentence."""

    def __init__(self) -> None:
        self.n_refused = 0
        """Messages that were no frame of this run."""
        self.first_refusal = ""
        """Why the first of them was refused."""
        self._dropped: dict[str, list[int]] = {}
        """For each kind of frame that is not stored: how many, and the id of the first."""

    def refuse(self, why: str) -> None:
        """A message was not a frame of this run."""
        self.n_refused += 1
        self.first_refusal = self.first_refusal or why
        log.warning("%s", why)

    def drop(self, entered: Entered) -> None:
        """The ledger called a frame anything but new."""
        arrival = entered.receipt.arrival
        if arrival is Arrival.AFTER_RUN:
            return
        kind = {
            Arrival.DUPLICATE: "that came before",
            Arrival.BEFORE_RUN: "from before the run",
            Arrival.UNEXPECTED: "beyond those expected" if entered.receipt.ordinal >= 0 else "with an implausible id",
        }[arrival]
        count_and_first = self._dropped.setdefault(kind, [0, entered.frame.unique_id])
        count_and_first[0] += 1
        log.warning("frame %d is not stored: it is one %s", entered.frame.unique_id, kind)

    @property
    def is_empty(self) -> bool:
        """True if all that was received was taken."""
        return not (self.n_refused or self._dropped)

    @property
    def refusals(self) -> str:
        """The refused messages in a sentence; empty if there were none."""
        if self.n_refused > 1:
            return f"{self.n_refused} messages were refused, the first because {self.first_refusal}"
        return self.first_refusal

    @property
    def dropped(self) -> list[str]:
        """Frames that were not stored so far, in a sentence for each kind."""
        return [
            f"1 frame {kind} is not stored (id {first})"
            if count == 1
            else f"{count} frames {kind} are not stored (the first has id {first})"
            for kind, (count, first) in self._dropped.items()
        ]

    def sentences(self) -> list[str]:
        """All that was not stored so far."""
        return [*self.dropped, *([self.refusals] if self.n_refused else [])]
