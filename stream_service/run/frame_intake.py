"""Intake of a run: messages of the detector in, new frames of the run out; everything else is counted and told.

The detector's counter is asked here, too: it tells whether a frame whose uniqueId does not follow is right, and how
many frames the run should have.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from stream_service.core.clock import BEFORE_ALL_TIME
from stream_service.core.frame import NO_STAMP, NS_PER_S, Frame, UnreadableFrame
from stream_service.core.intake import UNCONFIRMED, Entered, Intake
from stream_service.core.ledger import Ledger
from stream_service.core.receipt import Arrival
from stream_service.core.stream import Begin, End, Series, SeriesEnd
from stream_service.errors import BadFrameError, SourceError
from stream_service.run.past import Past
from stream_service.run.sources import Sources

log = logging.getLogger(__name__)
MOST_BEHIND = 16
"""Frames that a counter is behind which is posted after each; further behind it was reset, and may soon be ahead."""

BEFORE_ARMING_S = 0.1
"""A frame that comes at once takes so much less time than the promptest one may."""


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
            Arrival.UNDECIDED: "with the id and the time of one before, by a clock that stands",
            Arrival.BEFORE_RUN: "from before the run",
            Arrival.OTHER_SHARE: "of the share of another service",
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
        """The frames that could not be used, in a sentence; empty if there were none."""
        if self.n_refused > 1:
            return f"{self.n_refused} frames could not be used, the first because {self.first_refusal}"
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


class FrameIntake:
    """Intake of the frames of one run into its ledger."""

    def __init__(
        self,
        sources: Sources,
        begin: Begin,
        notes: RunNotes,
        n_planned: int | None,
        n_extra: int = 0,
        armed_s: float = 0.0,
        past: Past | None = None,
        *,
        n_shares: int = 1,
    ) -> None:
        """`n_planned` frames are to come (None: not known), `n_extra` more may, from `armed_s` on, on the clock of the
        receipts; those of the `past` have come. See `Ledger` for `n_shares`."""
        assert begin.first_unique_id is not None, "the sources of a run say it"
        self.ledger = ledger = Ledger(
            begin.first_unique_id,
            n_planned,
            n_extra=n_extra,
            restart_unique_id=begin.restart_unique_id,
            epoch=begin.epoch,
            last_before=begin.last_before,
            is_begin_certain=begin.is_certain,
            n_shares=n_shares,
        )
        self.interrupted = (past or Past()).restore(ledger)
        """Rows of the past, which are to follow."""
        self.notes = notes
        self.end: End | None = None
        """Once the stream has told it."""
        self.begins_ns = BEFORE_ALL_TIME
        """No frame of the run is stamped before, as far as receipts tell."""
        self._armed_s = armed_s
        self.is_counted = begin.is_counted
        """True if the detector can be asked for the uniqueId of its latest frame."""
        self.is_past_plan = False
        """True once the source has ended the series with which the plan is to be full."""
        self.is_counter_behind = False
        """True if it was a little behind the frames that had come when asked last, as one that is posted later."""
        self.counter_behind: int | None = None
        """What it showed then, if it was behind at all."""
        self._counter_before = begin.counter_before
        self._bad = 0, 0
        """Epoch of the last frame that could not be used, and the frames up to it."""
        self._n_taken = 0
        """Frames so far, whatever the ledger made of them: the time of those without a stamp."""
        self._has_stamps = begin.has_stamps
        self._sources = sources
        self._intake = Intake(ledger)

    @property
    def is_counted_by_source(self) -> bool:
        """True if the source of frames counts them by itself: the detector's counter may be behind it, and tells how
        many frames were made at least."""
        return self._counter_before is not None

    @property
    def has_waiting(self) -> bool:
        """True while a frame waits for its confirmation."""
        return self._intake.waiting is not None

    def take(self, message: Any, problem_with: Callable[[Frame], str]) -> list[Entered]:
        """The new frames that a message brings, which may be earlier ones.

        A message that cannot be a frame of this run (`problem_with` says why) is counted, no more.
        """
        try:
            event = self._sources.frames.decode(message)
            if not isinstance(event, Frame):
                self._note(event)
                return []
            if problem := problem_with(event):
                raise BadFrameError(problem, event.unique_id) if event.epoch is None else SourceError(problem)
        except SourceError as error:
            self.notes.refuse(str(error))
            if isinstance(error, BadFrameError):
                self._note_made(error.unique_id)
            return []
        self._n_taken += 1
        return self._new(self._intake.admit(event, None if self._has_stamps else self._n_taken))

    def _note_made(self, unique_id: int) -> None:
        """A frame that cannot be used was made all the same, unless its id is far from those that came."""
        ordinal = self.ledger.epochs.ordinal_now(unique_id)
        if 0 <= ordinal - self.n_made_at_least < UNCONFIRMED:
            self._bad = self.ledger.epochs.current, ordinal + 1

    @property
    def n_made_at_least(self) -> int:
        """Frames of the run that were made by what has come, whether it could be used or not."""
        epoch, n_made = self._bad
        return max(self.ledger.n_seen, n_made if epoch == self.ledger.epochs.current else 0)

    def _note(self, event: Series | SeriesEnd | End | None) -> None:
        match event:
            case Series():
                self.ledger.announce(event, is_in_vain=self._is_in_vain)
            case SeriesEnd():
                self.is_past_plan = self.ledger.fills_plan(event.epoch) and not self._is_in_vain
            case End(n_expected=n_expected):
                self.end = event
                if n_expected is not None:
                    self.ledger.expect(n_expected)

    @property
    def _is_in_vain(self) -> bool:
        """True of a series that fills the plan while nothing of the run was made: a detector that is armed, given up
        before its first frame, and armed again."""
        return self.ledger.is_announced_whole and not self.ledger.n_received and self.n_exposed() == 0

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
        if self.end is not None:
            return self.end.n_exposed
        counter = self._ask_detector() if self.is_counted or self._counter_before is not None else None
        self.is_counter_behind, self.counter_behind = False, None
        if counter is None:
            return None
        if self._counter_before is not None:
            return self.ledger.exposed_by_number(counter - self._counter_before)
        made = self.ledger.exposed_by_counter(counter)
        n_behind = self.ledger.n_seen - self.ledger.epochs.ordinal_now(counter) - 1
        self.is_counter_behind = made is None and n_behind <= MOST_BEHIND
        self.counter_behind = counter if made is None else None
        return made

    def has_made_all(self) -> bool:
        """True if the detector says that it has made all frames that may come; False if it cannot tell."""
        most, made = self.ledger.n_most, self.n_exposed()
        return most is not None and made is not None and made >= most

    def n_missing(self) -> int | None:
        """Frames that the detector has made by now and that did not come; None if it cannot tell."""
        made = self.n_exposed()
        return None if made is None else max(0, self.ledger.n_ahead(made) - self.notes.n_refused)

    def counter(self) -> int | None:
        """The uniqueId of the latest frame that the detector made; None if it cannot tell."""
        return self._ask_detector() if self.is_counted else None

    def _ask_detector(self) -> int | None:
        try:
            return self._sources.detector.counter()
        except SourceError as error:
            log.warning("the detector cannot tell what it has made: %s", error)
            return None

    def _new(self, decided: list[Entered]) -> list[Entered]:
        """The new ones. One whose pixels cannot be read is lost in its place: its id confirms others as any id does."""
        new = []
        for entered in decided:
            if entered.receipt.arrival is not Arrival.NEW:
                self.notes.drop(entered)
            elif isinstance(entered.frame, UnreadableFrame):
                self.ledger.give_back(entered.receipt)
                self.notes.refuse(entered.frame.reason)
            else:
                new.append(entered)
                self._see_begin(entered.frame)
        return new

    def _see_begin(self, frame: Frame) -> None:
        if frame.received_s is None or frame.waited_s or frame.timestamp_ns == NO_STAMP:
            return
        armed_ns = frame.timestamp_ns - round((frame.received_s - self._armed_s + BEFORE_ARMING_S) * NS_PER_S)
        self.begins_ns = armed_ns if self.begins_ns == BEFORE_ALL_TIME else min(self.begins_ns, armed_ns)
