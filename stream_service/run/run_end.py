"""The end of a run: what has to come yet once it begins to end, its account, its words, and the closing of its file."""

from __future__ import annotations

import logging

from stream_service.core.ending import Ending
from stream_service.core.intake import Entered
from stream_service.core.run import EndReason, RunOutcome, RunState, after
from stream_service.run.backfill import Backfill
from stream_service.run.frame_intake import FrameIntake
from stream_service.run.late_entries import LateEntries
from stream_service.run.report import RunReport
from stream_service.run.run_rows import RunRows
from stream_service.run.setup import RunSetup
from stream_service.run.sources import Sources
from stream_service.run.verdict import Verdict, reason_of_failure, settle

log = logging.getLogger(__name__)


class RunEnd:
    """The end of one run, which is known from its arming on."""

    def __init__(
        self,
        setup: RunSetup,
        sources: Sources,
        intake: FrameIntake,
        rows: RunRows,
        ending: Ending,
        report: RunReport,
        n_exposed: int | None = None,
    ) -> None:
        """`n_exposed` frames were made for certain when the run began to end, before its service was killed."""
        self.verdict: Verdict | None = None
        """What became of the frames, once the run has ended."""
        self.counter_at_end: int | None = None
        """What the counter of an idle detector showed when the run had all that was announced; None for other ends."""
        self.backfill = Backfill(setup, intake, rows, report)
        self.late_entries = LateEntries(rows.pairing, report, setup.rules.entries_timeout_s)
        self._setup = setup
        self._sources = sources
        self._intake = intake
        self._rows = rows
        self._ending = ending
        self._report = report
        self._n_exposed_before = n_exposed
        self._is_limit = False
        """True if frames made after the run began to end are not its own."""
        self._behind: tuple[int, int] | None = None
        """What the detector's counter showed when the run began to end, and the epoch then, if it was behind the frames
        that had come."""

    @property
    def reason(self) -> str:
        """Why the run has ended; empty while it has not."""
        return self.verdict.end_reason if self.verdict is not None else ""

    def begin(self, now_s: float) -> list[Entered]:
        """Ask once what the detector has made: that is the run's, later frames are not. If the source counts frames by
        itself, all are the run's that come before it is quiet.

        Gives the frames that had waited and are new ones by that.
        """
        ending = self._ending
        confirmed = [] if ending.has_stream_ended else self._intake.ask_counter()
        n_exposed, may_be_more = self._n_exposed_before, False
        if n_exposed is None:
            n_exposed, may_be_more = self._intake.n_exposed(), self._intake.is_counted_by_source
            if (shown := self._intake.counter_behind) is not None and ending.reason is not EndReason.ALL_IN:
                self._behind = shown, self._intake.ledger.epochs.current
        ending.begin_draining(now_s, n_exposed, may_be_more=may_be_more)
        self._is_limit = not (may_be_more or ending.has_stream_ended or ending.reason is EndReason.ALL_IN)
        self._limit()
        return confirmed

    def has_caught_up(self, now_s: float) -> bool:
        """True once, if the counter was behind when the run began to end, and tells by now what had been made."""
        if not (self._is_limit and self._intake.is_counter_behind and self._ending.asks_again(now_s)):
            return False
        self._ending.n_exposed = self._intake.n_exposed()
        self._limit()
        return self._ending.n_exposed is not None

    def _limit(self) -> None:
        if self._ending.n_exposed is not None and self._is_limit:
            self._intake.ledger.end_at(self._ending.n_exposed)

    def has_all(self, now_s: float) -> bool:
        """True if no frame is to come any more; some may still wait, to be decided on or for their readbacks."""
        ending, ledger = self._ending, self._intake.ledger
        if ending.is_too_long(now_s):  # a detector that goes on sending: what has arrived is all there will be
            self._sources.frames.close()
        if ending.reason is EndReason.ALL_IN:
            return not self._sources.detector.is_acquiring or ending.has_looked_beyond(now_s)
        if len(self._sources.frames.queue) and not ending.has_all_exposed(ledger.n_passed):
            return False
        return ledger.all_in or ending.is_drained(now_s, ledger.n_passed)

    def finds_reset(self) -> bool:
        """True once, if the counter was behind when the run began to end, by a reset: it told what was made then.

        To be called once no frame is on its way, and none waits.
        """
        behind, self._behind = self._behind, None
        if behind is None or self._ending.n_exposed is not None:
            return False
        (shown, epoch), ledger = behind, self._intake.ledger
        if epoch != ledger.epochs.current:
            self._ending.n_exposed = ledger.exposed_by_counter(shown)
        elif self._intake.n_exposed() is None and self._intake.counter_behind is not None:
            self._ending.n_exposed = ledger.exposed_since_reset(shown)
        return self._ending.n_exposed is not None

    def fetch(self, now_s: float) -> list[Entered]:
        """Frames that were lost, from the raw file; to be called once no other frame is on its way."""
        return self.backfill.go_on(now_s, self._ending.n_exposed)

    def finish(self, state: RunState) -> RunState:
        """Settle the account, and close the file with it; the state in which the run ends."""
        n_exposed, is_certain = self._n_exposed()
        self._rows.finish(n_exposed, is_certain=is_certain, is_aborted=self._ending.is_aborted)
        if not self._ending.is_aborted:
            self._setup.check_end()
        asked = EndReason.ABORTED if self._ending.is_aborted else self._ending.reason or EndReason.STOPPED
        verdict = self._settle(state, asked)
        if verdict.reason in (EndReason.ALL_IN, EndReason.BEYOND_PLAN) and not self._sources.detector.is_acquiring:
            self.counter_at_end = self._intake.counter()
        end_state = after(state, verdict.event)
        self._report.end(end_state, verdict)
        self._close(end_state)
        log.info("%s: %s", end_state, self._report.message)
        return end_state

    def _n_exposed(self) -> tuple[int, bool]:
        """Frames that were made, also beyond those that were planned, and whether somebody has told so."""
        n_now = self._intake.n_exposed() if self._ending.reason in (None, EndReason.ALL_IN) else None
        told = [n for n in (self._ending.n_exposed, n_now) if n is not None]
        return max(self._intake.n_made_at_least, *told, 0), bool(told) or self._ending.reason is EndReason.ALL_IN

    def fail(self, state: RunState, failure: BaseException) -> None:
        """Write the rows, the account and the file of a run that has failed, as far as they can be had."""

        def tell_account() -> None:
            verdict = self._settle(state, reason_of_failure(failure, self._intake.end))
            self._report.add([verdict.sentence])

        def check_rows() -> None:
            self._report.add(self._rows.check(self._n_exposed()[0]))

        self._report.fail(failure)
        for step in (self._rows.release, check_rows, tell_account, lambda: self._close(RunState.FAILED)):
            try:
                step()
            except Exception as second:  # noqa: BLE001  (told; a run that has failed ends all the same)
                self._report.fail_again(second)

    def _settle(self, state: RunState, asked: EndReason) -> Verdict:
        n_rows = self._rows.out.file.n_rows if self._rows.out is not None else 0
        is_counted_already = state is RunState.DRAINING
        about = self.backfill.sentence, self._rows.n_missed
        verdict = settle(self._intake, self._ending, asked, n_rows, *about, is_counted_already=is_counted_already)
        self._ending.reason, self.verdict = verdict.reason, verdict
        return verdict

    def _close(self, state: RunState) -> None:
        """Close the file with the end of the run in it; sinks that fail at that are told of."""
        told = self._rows.side_notes
        try:
            self._rows.close(RunOutcome(state, self.reason, self._report.message))
        finally:
            self._report.add(self._rows.side_notes[len(told) :])
