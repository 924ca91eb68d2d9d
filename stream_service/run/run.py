"""One run, from arming to its end, in a thread of its own: frames and readbacks in, rows of one file out.

A scan at the beamline, a replay and an ingest are this same run; they differ in set-up, sources and clock. The thread
is the only one that touches the pairer, the ledger and the reducer; the file has a thread of its own (ADR 0022).
Whatever goes wrong in either ends the run as FAILED, with the rows so far in the file and the reason in words; it never
hangs.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from stream_service.cancellation import Cancellation
from stream_service.core.ending import Ending
from stream_service.core.epoch import Reached
from stream_service.core.intake import Entered
from stream_service.core.judged_row import judged_dtype
from stream_service.core.ledger import Ledger
from stream_service.core.run import EndReason, RunEvent, RunState, after
from stream_service.errors import ConfigError, OverrunError, forget_frames
from stream_service.qc.scan_values import ScanValues
from stream_service.run.frame_intake import FrameIntake, RunNotes
from stream_service.run.past import Past
from stream_service.run.report import RunReport
from stream_service.run.rows.judged_rows import NewsListener
from stream_service.run.rows.latest_row import ShownRow
from stream_service.run.rows.score_table import Scores
from stream_service.run.rows.sink import Sink
from stream_service.run.run_end import RunEnd
from stream_service.run.run_file import RunFile
from stream_service.run.run_rows import RunRows
from stream_service.run.setup import RunSetup
from stream_service.run.source_watch import SourceWatch
from stream_service.run.sources import Sources
from stream_service.run.verdict import Verdict
from stream_service.settings.service_status import (
    NO_RUN,
    NOTHING_WAITS,
    Coverage,
    Judged,
    QueueBytes,
    RunStatus,
    Severity,
)
from stream_service.text.log_of_run import LoggedRun

log = logging.getLogger(__name__)

IDLE_S = 0.02


class Run:
    """`arm` checks and connects everything; `start` lets the run work until it has ended.

    `sources` are its own and closed with it; `sinks` get the rows that are in its file, beside the map of the scan.
    `clock` tells liveness only, in seconds, and never goes back; one that stands still never calls anything late: it is
    that of a recording which is whole.
    """

    def __init__(
        self,
        setup: RunSetup,
        sources: Sources,
        clock: Callable[[], float] = time.monotonic,
        sinks: Iterable[Sink] = (),
        listeners: Sequence[NewsListener] = (),
    ) -> None:
        self.run_number = 1
        """Given by the service, which counts its runs."""
        self.setup = setup
        self.logged = LoggedRun(setup.scan_id)
        self.state = RunState.IDLE
        self.failure: BaseException | None = None
        """What ended a run that has FAILED."""
        self._sources = sources
        self._clock = clock
        self._rules = rules = setup.rules
        self._rows = RunRows(setup, sources, clock, tuple(sinks), listeners)
        self._intake: FrameIntake
        """From the arming on, as its end is: it begins with the series of its source."""
        self._end: RunEnd
        self._watch = SourceWatch(sources, rules.gone_s)
        self._ending = Ending(rules.grace_s, rules.drain_s, rules.gone_s, rules.armed_timeout_s)
        self._notes = RunNotes()
        self._report = RunReport(
            self._notes, self._rows, self._watch, self._ending, sources.budget_bytes, setup.journal
        )
        self._most_queue_bytes = 0
        self._high_water = NOTHING_WAITS
        self._past = Past()
        self._n_epochs_told, self._n_changes_told = 1, 0
        self._reached_told: Reached | None = None
        self._last_asked_at = 0.0
        self._thread: threading.Thread | None = None

    # Called from outside

    @property
    def out(self) -> RunFile | None:
        """The file, from the first frame on."""
        return self._rows.out

    @property
    def shown_row(self) -> ShownRow | None:
        """A recent row, renewed a few times a second."""
        return self._rows.shown_row

    @property
    def message(self) -> str:
        """Where the run is and what became of its frames, in sentences."""
        return self._report.message

    @property
    def severity(self) -> Severity:
        """Of what the message says."""
        return self._report.severity

    @property
    def verdict(self) -> Verdict | None:
        """See `RunEnd.verdict`."""
        return None if self.state is RunState.IDLE else self._end.verdict

    @property
    def counter_at_end(self) -> int | None:
        """See `RunEnd.counter_at_end`."""
        return None if self.state is RunState.IDLE else self._end.counter_at_end

    def arm(self, cancellation: Cancellation | None = None) -> None:
        """Check and connect everything. Raises `PtychostreamError`; then nothing is left running."""
        with self.logged.lines():
            self._arm(cancellation or Cancellation())

    def _arm(self, cancellation: Cancellation) -> None:
        try:
            self._report.say(self.state, "checking the folder, reading the references")
            self.setup.check(cancellation)
            cancellation.check()
            self._report.say(self.state, "waiting for PVs and the frames' channel")
            self._sources.connect(cancellation)
            self._report.say(self.state, "making a file on trial")
            begin = self._sources.begin()
            self.setup.prepare(begin)
            cancellation.check()
            self._past = past = self.setup.past()
            counts, armed_s = (self.setup.n_planned, self.setup.n_extra), self._clock() - past.armed_ago_s
            self._intake = FrameIntake(
                self._sources, begin, self._notes, *counts, armed_s, past, n_shares=self.setup.n_shares
            )
            self._end = RunEnd(
                self.setup, self._sources, self._intake, self._rows, self._ending, self._report, past.n_exposed
            )
            doubts = [*self.setup.notes, *self._sources.doubts()]
            self.setup.journal.armed(begin)
        except BaseException:
            self._sources.close()
            self._past.close()
            raise
        self._take(RunEvent.ARM)
        headline = f"armed for {self.setup.scan_id}: waiting for the first frame"
        self._report.say(self.state, "; ".join((headline, *doubts)))

    def disarm(self) -> None:
        """Give up an armed run that was not started; nothing is left running."""
        self._sources.close()
        self._intake.interrupted.close()
        self.setup.journal.disarmed()
        self._take(RunEvent.ABORT)

    def start(self) -> None:
        """Let the armed run `work` in a thread of its own. A machine without a free thread makes it FAILED."""
        # made here and not before: a thread that was never started would keep its run, and the run its arrays
        thread = threading.Thread(target=self.work, name=f"run of {self.setup.scan_id}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            self._fail(OverrunError(f"no thread can be started for the run ({error}): end other programs"))
            self._sources.close()
            self.setup.journal.disarmed()
        else:
            self._thread = thread

    def stop(self, reason: EndReason = EndReason.STOPPED) -> None:
        """Stop gracefully: wait for frames in flight, settle the account, close the file."""
        self._ending.stop(reason)
        self._sources.frames.queue.wake()

    def abort(self) -> None:
        """End now; the rows so far stay in the file."""
        self._ending.abort()
        self._sources.frames.queue.wake()

    def repeat(self, positions: Sequence[int]) -> None:
        """Say which planned positions are exposed again: all of the run, in order. Raises `ConfigError`.

        To be called before the detector exposes the first of them.
        """
        if self.state is not RunState.RECEIVING or self.out is None:
            raise ConfigError(f"run {self.setup.scan_id} is {self.state}: only one that receives frames takes repeats")
        self.out.pipeline.planned.announce(positions)
        self.setup.journal.repeats(positions)

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait for the end of the thread; True if it has ended."""
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def status(self) -> RunStatus:
        """The run at this moment; may be called from any thread, so it only looks at what the run's own has said."""
        if self.state is RunState.IDLE:
            return replace(NO_RUN, run_number=self.run_number, scan_id=self.setup.scan_id, message=self.message)
        held_up = self.out.file.problem if self.out else ""  # the run's own thread waits, and says nothing
        judged = self.out.quality.shown if self.out else Judged()  # before the coverage, which is told of first
        return RunStatus(
            run_number=self.run_number,
            scan_id=self.setup.scan_id,
            state=self._state_shown,
            file=str(self.setup.path) if self.out else "",
            message=f"{self.message}; {held_up}" if held_up else self.message,
            end_reason=self._end.reason,
            severity=Severity.MAJOR if held_up else self.severity,
            account=self._ledger.account(),
            received=self._ledger.n_received,
            gaps=self._n_gaps,
            bad_messages=self._notes.n_refused,
            rows=self.out.file.n_rows if self.out else 0,
            rows_expected=self.setup.n_rows_expected or 0,
            queue_bytes=sum(self._queue_bytes),
            most_queue_bytes=self._most_queue_bytes,
            high_water=self._high_water,
            judged=judged,
            missing_ids=self.verdict.missing_ids if self.verdict is not None else "",
            n_repeats=self.out.pipeline.planned.n_announced if self.out else 0,
            coverage=self._rows.judged.coverage() if self._rows.judged else Coverage(),
            latest=self._rows.latest,
            budget_bytes=self._sources.budget_bytes,
            row_bytes=self._rows.row_bytes,
        )

    @property
    def _queue_bytes(self) -> QueueBytes:
        """Of all that waits in memory to become rows, and of rows to be judged."""
        pairing, judging = self._rows.pairing, self.out.quality.waiting_bytes if self.out else 0
        waiting_bytes = pairing.waiting_bytes + pairing.beside_bytes
        return QueueBytes(self._sources.frames.queue.held_bytes, waiting_bytes, judging)

    @property
    def _state_shown(self) -> RunState:
        """A run that is asked to end is draining, even while its thread waits for the disk and has not heard of it."""
        state = self.state
        return RunState.DRAINING if self._ending.is_asked and not state.has_ended else state

    @property
    def n_scanned(self) -> int:
        """Rows that `scan_values` are of."""
        return self._rows.n_scanned

    def scan_values(self) -> ScanValues | None:
        """What maps show of the rows so far, as an evaluation of the file has it; None without a file."""
        return self._rows.scan_values()

    def scores(self) -> Scores | None:
        """Of the rows judged so far, another object whenever there are more."""
        return self.out.quality.scores if self.out else None

    def judged_rows(self, n: int) -> np.ndarray[Any, Any]:
        """The latest `n` rows with their verdicts, of `judged_dtype`; fewer if there are not so many."""
        return self._rows.judged.latest(n) if self._rows.judged else np.zeros(0, judged_dtype(1))

    # The thread

    def work(self) -> None:
        """The run from armed to its end; it never raises, a run that cannot go on has FAILED."""
        with self.logged.lines():
            self._work()

    def _work(self) -> None:
        try:
            self._sources.attach_thread()
            self._go_on()
            self._follow()
            self.state = self._end.finish(self.state)
        except BaseException as error:  # noqa: BLE001  (the one place where a dead stage becomes a failed run)
            self._fail(error)
        finally:
            self._end.backfill.close()
            self._sources.close()
            is_closed = self.state is not RunState.FAILED
            self.setup.journal.ended(self.status(), self._rows.superseded() if is_closed else ())

    def _go_on(self) -> None:
        """Go on where the run was when its service was killed, if it was."""
        self._n_epochs_told = max(1, len(self._past.epochs))
        self._rows.go_on(self._past, self._intake.interrupted, self._ledger)
        if self.out is not None:
            self._take(RunEvent.FRAME)
            self._report.say(self.state, f"receiving {self.setup.scan_id}")
        if self._past.end_reason is not None:
            self._ending.stop(self._past.end_reason)

    def _follow(self) -> None:
        self._ending.frame_came(self._clock())
        self._look_around(self._clock())
        frames = self._sources.frames.queue
        while not self._is_over(self._clock()):
            self._take_in(frames.take(IDLE_S))
            self._tell_reached()
            self._rows.pair()
            if self._rows.is_salvaging and not len(frames):  # frames that come go first
                self._rows.salvage(self._ledger)
            self._rows.publish(self._clock())
            self._look_around(self._clock())

    def _take_in(self, messages: Sequence[Any]) -> None:
        for message in messages:
            self._receive(message)
            self._note_high_water()
            if self._rows.pairing.is_over_budget:
                self._rows.pair()

    def _take_in_what_waits(self) -> None:
        """Take in what has come by now, of a run that is to stop: the detector is asked then what it has made, and its
        counter may have been reset since the last frame that was taken."""
        frames = self._sources.frames.queue
        n_left = len(frames)
        while n_left > 0 and not self._ending.is_aborted and (messages := frames.take(0.0)):
            self._take_in(messages)
            n_left -= len(messages)

    def _note_high_water(self) -> None:
        now = self._queue_bytes
        self._most_queue_bytes = max(self._most_queue_bytes, sum(now))
        self._high_water = self._high_water.most(now)

    def _receive(self, message: Any) -> None:
        """Enter what a message brings; the detector is not quiet, even if it brings no frame of this run."""
        self._ending.frame_came(self._clock())
        self._enter(self._intake.take(message, self._rows.problem_with))
        if (end := self._intake.end) is not None:
            if end.failure is not None:
                raise end.failure
            self._ending.stream_ended(end.reason)
        if self._intake.is_past_plan:
            self._ending.stop(EndReason.DETECTOR_STOPPED)

    def _enter(self, new: list[Entered]) -> None:
        """Let new frames meet their readbacks; the first one makes the file."""
        for frame, receipt in new:
            self._rows.add(frame, receipt, self._ledger)
            if self.state is RunState.ARMED:
                self._take(RunEvent.FRAME)
                self._report.say(self.state, f"receiving {self.setup.scan_id}")
            if self._rules.is_in_order:
                self._rows.pair()
        self._tell_epochs()

    def _tell_epochs(self) -> None:
        """Enter epochs that have begun into the journal, before a row of them is made."""
        ledger = self._ledger
        if ledger.epochs.n_changes == self._n_changes_told:
            return
        self._n_changes_told, first = ledger.epochs.n_changes, self._n_epochs_told - 1
        changed = ledger.epochs.since(first)
        self._n_epochs_told = first + len(changed)
        self.setup.journal.counted(first, changed, ledger.epochs.n_announced)

    def _tell_reached(self) -> None:
        """Enter into the journal how far frames have come: those of them that are in no row are missed after a kill."""
        if (reached := self._ledger.epochs.reached) != self._reached_told:
            self._reached_told = reached
            self.setup.journal.reached(reached)

    def _look_around(self, now: float) -> None:
        """See whether everything is there that the run listens to, and say what is not."""
        quiet_s, is_waiting = self._ending.quiet_s(now), self.state is RunState.ARMED
        self._watch.look(now, quiet_s, is_waiting=is_waiting, n_missing=self._intake.n_missing)
        self._ending.detector_answers(self._watch.answers, now)
        if self._intake.has_waiting and min(quiet_s, now - self._last_asked_at) > self._rules.confirmation_s:
            self._last_asked_at = now
            self._enter(self._intake.ask_counter())
        self._report.renew(self.state, now, self._n_gaps, self._sources.frames.queue.held_bytes)

    def _is_over(self, now: float) -> bool:
        """True if nothing more is to be expected; moves the run on to DRAINING when it begins to end."""
        if self._ending.is_aborted:
            return True
        detector = self._sources.detector
        if self._ending.is_asked and self.state is not RunState.DRAINING:
            self._take_in_what_waits()
        event = self._ending.event(
            self.state,
            now,
            all_in=self._ledger.all_in,
            is_acquiring=lambda: detector.is_acquiring,
            has_made_all=self._intake.has_made_all,
        )
        if event is not None:
            self._take(event)
            self._enter(self._end.begin(now))
        if event is not None or (self.state is RunState.DRAINING and self._end.has_caught_up(now)):
            assert self._ending.reason is not None, "it came with the event"
            self.setup.journal.drains(self._ending.reason, self._ending.n_exposed)
        if self.state is not RunState.DRAINING or not self._end.has_all(now) or self._rows.is_salvaging:
            return False
        self._enter(self._intake.settle())
        if self._end.finds_reset():
            assert self._ending.reason is not None, "it drains"
            self._tell_epochs()
            self.setup.journal.drains(self._ending.reason, self._ending.n_exposed)
        self._rows.pairing.release(now)
        if not len(self._rows.pairing):
            self._enter(self._end.fetch(now))
        if len(self._rows.pairing) or not self._end.backfill.is_done:
            return False
        return self._end.late_entries.are_in(now)

    def _fail(self, error: BaseException) -> None:
        self.failure = error
        self._end.fail(self.state, error)
        self._take(RunEvent.FAIL)
        forget_frames(error)

    @property
    def _ledger(self) -> Ledger:
        return self._intake.ledger

    @property
    def _n_gaps(self) -> int:
        """Frames that later ones have overtaken, so far."""
        return self._ledger.n_overtaken

    def _take(self, event: RunEvent) -> None:
        self.state = after(self.state, event)
        self._rows.enter_state(self.state)
