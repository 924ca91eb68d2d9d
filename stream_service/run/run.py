"""One run, from arming to its end, in a thread of its own: frames and readbacks in, rows of one file out.

A scan at the beamline, a replay and an ingest are this same run; they differ in set-up, sources and clock. The thread
is the only one that touches the pairer, the ledger, the reducer and the file. Whatever goes wrong in it ends
the run as FAILED, with the rows so far in the file and the reason in words; it never hangs.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.cancellation import Cancellation
from stream_service.core.ending import Ending
from stream_service.core.intake import Entered
from stream_service.core.ledger import Ledger
from stream_service.core.run import EndReason, RunEvent, RunOutcome, RunState, after
from stream_service.errors import ConfigError, OverrunError, PtychostreamError
from stream_service.qc.maps import RowValues
from stream_service.run.frame_intake import FrameIntake
from stream_service.run.notes import RunNotes
from stream_service.run.rows.sink import Sink
from stream_service.run.run_file import RunFile
from stream_service.run.run_rows import RunRows
from stream_service.run.setup import RunSetup
from stream_service.run.source_watch import SourceWatch
from stream_service.run.sources import Sources
from stream_service.run.status import ShownRow
from stream_service.run.verdict import Verdict, settle
from stream_service.settings.service_status import NO_RUN, RunStatus, Severity

log = logging.getLogger(__name__)

SAY_S = 0.1
"""How often the message is renewed: as often as it is shown, and not with every frame."""
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
    ) -> None:
        self.run_number = 1
        """Given by the service, which counts its runs."""
        self.setup = setup
        self.state = RunState.IDLE
        self.message = "arming"
        self.severity = Severity.NONE
        """Of what the message says."""
        self.counter_at_end: int | None = None
        """What the counter of an idle detector showed when the run had all that was announced; None for other ends."""
        self.verdict: Verdict | None = None
        """What became of the frames, once the run has ended."""
        self.failure: Exception | None = None
        """What ended a run that has FAILED."""
        self._sources = sources
        self._clock = clock
        self._rules = rules = setup.rules
        self._map = RowValues()
        self._rows = RunRows(setup, sources, clock, (self._map, *sinks))
        self._intake: FrameIntake
        """From the arming on: it begins with the series of its source."""
        self._watch = SourceWatch(sources, rules.gone_s)
        self._headline = ""
        self._end_reason = ""
        self._ending = Ending(rules.grace_s, rules.drain_s, rules.gone_s, rules.armed_timeout_s)
        self._last_said_at = self._last_asked_at = 0.0
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

    def arm(self, cancellation: Cancellation | None = None) -> None:
        """Check and connect everything. Raises `PtychostreamError`; then nothing is left running."""
        cancellation = cancellation or Cancellation()
        try:
            self.message = "checking the folder, reading the references"
            self.setup.check(cancellation)
            cancellation.check()
            self.message = "waiting for PVs and the frames' channel"
            self._sources.connect(cancellation)
            self.message = "making a file on trial"
            begin = self._sources.begin()
            self.setup.prepare(begin)
            cancellation.check()
            self._intake = FrameIntake(self._sources, begin, self.setup.n_planned, self.setup.n_extra)
            doubts = [*self.setup.notes, *self._sources.doubts()]
        except BaseException:
            self._sources.close()
            raise
        self._take(RunEvent.ARM)
        self._say("; ".join((f"armed for {self.setup.scan_id}: waiting for the first frame", *doubts)))

    def disarm(self) -> None:
        """Give up an armed run that was not started; nothing is left running."""
        self._sources.close()
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
        return RunStatus(
            run_number=self.run_number,
            scan_id=self.setup.scan_id,
            state=self.state,
            file=str(self.setup.path) if self.out else "",
            message=self.message,
            end_reason=self._end_reason,
            severity=self.severity,
            account=self._ledger.account(),
            received=self._ledger.n_received,
            gaps=self._ledger.n_seen - self._ledger.n_received,
            bad_messages=self._notes.n_refused,
            rows=self.out.file.n_rows if self.out else 0,
            rows_expected=self.setup.n_rows_expected or 0,
            queue_bytes=self._sources.frames.queue.held_bytes + self._rows.pairing.waiting_bytes,
        )

    def scan_table(self) -> npt.NDArray[np.float64]:
        """(n, 3) x and y in metres, and intensity, of the rows so far."""
        return self._map.table()

    # The thread

    def work(self) -> None:
        """The run from armed to its end; it never raises, a run that cannot go on has FAILED."""
        try:
            self._sources.attach_thread()
            self._follow()
            self._finish()
        except Exception as error:  # noqa: BLE001  (the one place where a dead stage becomes a failed run)
            self._fail(error)
        finally:
            self._sources.close()

    def _follow(self) -> None:
        self._ending.frame_came(self._clock())
        self._look_around(self._clock())
        frames = self._sources.frames.queue
        while not self._is_over(self._clock()):
            for message in frames.take(IDLE_S):
                self._receive(message)
                if self._rows.pairing.is_over_budget:
                    self._rows.pair()
            self._rows.pair()
            self._rows.publish(self._clock())
            self._look_around(self._clock())

    def _receive(self, message: Any) -> None:
        """Enter what a message brings; the detector is not quiet, even if it brings no frame of this run."""
        self._ending.frame_came(self._clock())
        self._enter(self._intake.take(message, self._rows.problem_with))
        if (end := self._intake.end) is not None:
            if end.failure is not None:
                raise end.failure
            self._ending.stream_ended(end.reason)

    def _enter(self, new: list[Entered]) -> None:
        """Let new frames meet their readbacks; the first one makes the file."""
        for frame, receipt in new:
            self._rows.add(frame, receipt, self._ledger)
            if self.state is RunState.ARMED:
                self._take(RunEvent.FRAME)
                self._say(f"receiving {self.setup.scan_id}")
            if self._rules.is_in_order:
                self._rows.pair()

    def _look_around(self, now: float) -> None:
        """See whether everything is there that the run listens to, and say what is not."""
        quiet_s, is_waiting = self._ending.quiet_s(now), self.state is RunState.ARMED
        self._watch.look(now, quiet_s, is_waiting=is_waiting, n_missing=self._intake.n_missing)
        self._ending.detector_answers(self._watch.answers, now)
        if self._intake.has_waiting and min(quiet_s, now - self._last_asked_at) > self._rules.confirmation_s:
            self._last_asked_at = now
            self._enter(self._intake.ask_counter())
        if now - self._last_said_at >= SAY_S:
            self._last_said_at = now
            self._say(self._headline)

    def _say(self, headline: str) -> None:
        """Renew the message: where the run is, what it dropped, what is wrong."""
        self._headline = headline
        about_rows = self.out.pipeline.notes() if self.out else ()
        dropped, problem = self._notes.sentences(), self._problem()
        self.message = "; ".join(filter(None, (headline, *dropped, *about_rows, problem)))
        self.severity = self._severity_in(self.state, problem)

    def _problem(self) -> str:
        """Present problem of the run's sources; empty if there is none."""
        return "; ".join(filter(None, (self._watch.problem, self._rows.pairing.problem)))

    def _severity_in(self, state: RunState, problem: str) -> Severity:
        if problem or self._ending.reason is EndReason.DETECTOR_GONE:
            return Severity.MAJOR
        is_well = (
            self._notes.is_empty and state is not RunState.INCOMPLETE and not (self.out and self.out.side_sinks.notes)
        )
        return Severity.NONE if is_well else Severity.MINOR

    # The end

    def _is_over(self, now: float) -> bool:
        """True if nothing more is to be expected; moves the run on to DRAINING when it begins to end."""
        if self._ending.is_aborted:
            return True
        detector = self._sources.detector
        event = self._ending.event(
            self.state, now, all_in=self._ledger.all_in, is_acquiring=lambda: detector.is_acquiring
        )
        if event is not None:
            self._take(event)
            self._begin_to_end(now)
        if self.state is not RunState.DRAINING:
            return False
        if self._ending.is_too_long(now):  # a detector that goes on sending: what has arrived is all there will be
            self._sources.frames.close()
        if self._ending.reason is EndReason.ALL_IN:
            return not len(self._rows.pairing) and (not detector.is_acquiring or self._ending.has_looked_beyond(now))
        if len(self._sources.frames.queue) and not self._ending.has_all_exposed(self._ledger.n_seen):
            return False
        if not self._ledger.all_in and not self._ending.is_drained(now, self._ledger.n_seen):
            return False
        self._enter(self._intake.settle())
        return not len(self._rows.pairing)

    def _begin_to_end(self, now: float) -> None:
        """Ask once what the detector has made: that is the run's, later frames are not."""
        if not self._ending.has_stream_ended:
            self._enter(self._intake.ask_counter())
        n_exposed = self._intake.n_exposed()
        self._ending.begin_draining(now, n_exposed)
        is_cut_off = not self._ending.has_stream_ended and self._ending.reason is not EndReason.ALL_IN
        if n_exposed is not None and is_cut_off:
            self._ledger.end_at(n_exposed)

    def _finish(self) -> None:
        """Settle the account, and close the file with it."""
        self._rows.finish()
        if not self._ending.is_aborted:
            self.setup.check_end()
        verdict = self._settle(EndReason.ABORTED if self._ending.is_aborted else self._ending.reason)
        if verdict.reason in (EndReason.ALL_IN, EndReason.BEYOND_PLAN) and not self._sources.detector.is_acquiring:
            self.counter_at_end = self._intake.counter()
        problem = self._problem()
        words = [verdict.sentence, problem]
        if self.out is None:
            words.append("no frame came, so there is no file")
        else:
            words += (self.out.pipeline.flags.sentence, *self.out.pipeline.notes())
            self.out.file.set_clock_offsets(self._rows.pairing.clock_offsets_s())
        self.message = "; ".join(filter(None, words))
        end_state = after(self.state, verdict.event)
        self.severity = self._severity_in(end_state, problem)
        self._close(end_state)
        self.state = end_state
        log.info("%s: %s", end_state, self.message)

    def _settle(self, asked: EndReason | None) -> Verdict:
        rows = self.out.file.n_rows if self.out else 0
        is_counted_already = self.state is RunState.DRAINING
        verdict = settle(
            self._intake, self._ending, asked or EndReason.STOPPED, rows, is_counted_already=is_counted_already
        )
        self._ending.reason, self._end_reason, self.verdict = verdict.reason, verdict.end_reason, verdict
        return verdict

    def _fail(self, error: Exception) -> None:
        """End as FAILED, with the rows, the account and the file as far as they can be had."""
        self.failure = error
        self.message, self.severity = _in_words(error), Severity.MAJOR
        log.error("the run failed: %s", self.message)
        for step in (self._write_last_rows, self._tell_account, self._close_failed):
            try:
                step()
            except Exception as second:  # noqa: BLE001  (told; a run that has failed ends all the same)
                words = _in_words(second)
                log.error("and on the way to its end: %s", words)
                self.message += f"; {words}"
        self._take(RunEvent.FAIL)
        _forget_frames(error)

    def _write_last_rows(self) -> None:
        if self.out is not None:
            with suppress(PtychostreamError):  # it may be what failed
                self.out.pipeline.release()
                self.out.pipeline.flush()

    def _tell_account(self) -> None:
        self.message += f"; {self._settle(self._reason_of_failure()).sentence}"

    def _reason_of_failure(self) -> EndReason:
        if (end := self._intake.end) is not None and end.failure is self.failure:
            return end.reason
        return EndReason.REFUSED if isinstance(self.failure, ConfigError) else EndReason.FAILED

    def _close_failed(self) -> None:
        self._close(RunState.FAILED)

    def _close(self, state: RunState) -> None:
        """Close the file with the end of the run in it; a sink that fails at this is told of."""
        if self.out is None:
            return
        sinks = self.out.side_sinks
        n_told = len(sinks.notes)
        try:
            self.out.close(RunOutcome(state, self._end_reason, self.message))
        finally:
            self.message = "; ".join((self.message, *sinks.notes[n_told:]))

    @property
    def _ledger(self) -> Ledger:
        return self._intake.ledger

    @property
    def _notes(self) -> RunNotes:
        return self._intake.notes

    def _take(self, event: RunEvent) -> None:
        self.state = after(self.state, event)
        if self.out is not None and not self.state.has_ended:
            self.out.enter_state(self.state)


def _forget_frames(error: BaseException | None) -> None:
    """Let an error that is kept not keep the run and its arrays, by the frames of its traceback.

    A defect keeps its own: who asks for it looks for where it is.
    """
    while isinstance(error, PtychostreamError):
        error.__traceback__, error = None, error.__cause__ or error.__context__
    if isinstance(error, OSError):  # the last cause of an error of ours, which says what it was
        error.__traceback__ = None


def _in_words(error: Exception) -> str:
    """The failure in words; a defect of the service is logged with its traceback."""
    if isinstance(error, PtychostreamError):
        return str(error)
    log.error("the run stopped on a defect of the service", exc_info=error)
    return f"a defect of the service, {type(error).__name__}: {error}"
