"""Intake of a run: messages of the detector in, new frames of the run out; everything else is counted and told.

The detector's counter is asked here, too: it tells whether a frame whose uniqueId does not follow is right, and how
many frames the run should have.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

from stream_service.core.frame import Frame
from stream_service.core.intake import Entered, Intake
from stream_service.core.ledger import Arrival, Ledger
from stream_service.errors import SourceError
from stream_service.run.notes import RunNotes
from stream_service.run.sources import Sources

log = logging.getLogger(__name__)

CONFIRMATION_S = 0.2
"""A frame whose id does not follow waits this long for the next one; then the detector's counter is asked."""


class FrameIntake:
    """Intake of the frames of one run into its ledger."""

    def __init__(self, sources: Sources, ledger: Ledger, *, is_counted: bool) -> None:
        """`is_counted`: the detector's counter shows the uniqueId of its latest frame."""
        self.ledger = ledger
        self.notes = RunNotes()
        self.is_counted = is_counted
        self._sources = sources
        self._intake = Intake(ledger)
        self._asked_s = -math.inf

    @property
    def has_waiting(self) -> bool:
        """True while a frame waits for its confirmation."""
        return self._intake.waiting is not None

    def take(self, message: Any, problem_with: Callable[[Frame], str]) -> list[Entered]:
        """The new frames that a message brings, which may be earlier ones.

        A message that cannot be a frame of this run (`problem_with` says why) is counted, no more.
        """
        try:
            frame = self._sources.decode(message)
            if problem := problem_with(frame):
                raise SourceError(problem)
        except SourceError as error:
            self.notes.refuse(str(error))
            return []
        return self._new(self._intake.admit(frame))

    def ask_if_quiet(self, now_s: float, quiet_s: float) -> list[Entered]:
        """The frames that wait and that the detector's counter confirms, when none has come for a moment."""
        if not self.has_waiting or min(quiet_s, now_s - self._asked_s) <= CONFIRMATION_S:
            return []
        self._asked_s = now_s
        return self.ask_counter()

    def ask_counter(self) -> list[Entered]:
        """The frames that wait and that the detector's counter confirms now."""
        if not self.has_waiting:
            return []
        counter = self.counter()
        return self._new(self._intake.decide(counter)) if counter is not None or not self.is_counted else []

    def settle(self) -> list[Entered]:
        """Decide on all frames that still wait; the new ones."""
        return self._new(self._intake.decide(self.counter(), is_last=True)) if self.has_waiting else []

    def n_exposed(self) -> int | None:
        """Frames of the run that the detector says it has made; None if it cannot tell."""
        counter = self.counter()
        return None if counter is None else self.ledger.exposed_by_counter(counter)

    def n_missing(self) -> int | None:
        """Frames that the detector has made by now and that did not come; None if it cannot tell."""
        made = self.n_exposed()
        return None if made is None else max(0, made - self.ledger.n_seen - self.notes.n_refused)

    def counter(self) -> int | None:
        """The uniqueId of the latest frame that the detector made; None if it cannot tell."""
        if not self.is_counted:
            return None
        try:
            return self._sources.detector.counter()
        except SourceError as error:
            log.warning("the detector cannot tell what it has made: %s", error)
            return None

    def _new(self, decided: list[Entered]) -> list[Entered]:
        for entered in decided:
            if entered.receipt.arrival is not Arrival.NEW:
                self.notes.drop(entered)
        return [entered for entered in decided if entered.receipt.arrival is Arrival.NEW]
