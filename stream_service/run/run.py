"""One run, from arming to its end, in a thread of its own: frames and readbacks in, rows of one file out.

The thread is the only one that touches the pairer, the ledger, the reducer and the file. Whatever goes wrong in it ends
the run as FAILED, with the rows so far in the file and the reason in words; it never hangs.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.cancellation import Cancellation
from stream_service.core.ending import Ending
from stream_service.core.frame import Frame
from stream_service.core.intake import Entered
from stream_service.core.ledger import Ledger
from stream_service.core.pairing.history import Readback
from stream_service.core.run import EndReason, RunEvent, RunState, after
from stream_service.errors import OverrunError, PtychostreamError
from stream_service.run.frame_intake import FrameIntake
from stream_service.run.live.live_settings import with_references
from stream_service.run.live.live_setup import LiveSetup
from stream_service.run.notes import RunNotes
from stream_service.run.pairing import Pairing
from stream_service.run.run_file import RunFile
from stream_service.run.run_watch import RunWatch
from stream_service.run.sources import Sources
from stream_service.run.status import ShownRow
from stream_service.run.verdict import Verdict, settle
from stream_service.settings.profile import Profile
from stream_service.settings.request import ScanRequest
from stream_service.settings.service_status import RunStatus, Severity

log = logging.getLogger(__name__)

FLUSH_S = 0.1
"""Rows become visible to readers at least this often; a flush costs a few milliseconds."""
IMAGE_S = 0.5
"""How often a copy of the latest row is made for screens."""
SAY_S = 0.1
"""How often the message is renewed: as often as it is shown, and not with every frame."""
IDLE_S = 0.02
MAX_EARLY_READBACKS = 100_000
"""Updates kept between arming and the first frame, when the file is made."""


class Run:
    """A run of the service. `arm` checks and connects everything; `start` lets it work until it has ended.

    `sources` are its own and closed with it; `clock` tells liveness only, in seconds, and never goes back.
    """

    waits_for_ever = False
    """True for a run that stays armed however late its first frame comes."""

    def __init__(
        self,
        run_number: int,
        profile: Profile,
        request: ScanRequest,
        sources: Sources,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.run_number = run_number
        self.state = RunState.IDLE
        self.message = "arming"
        self.severity = Severity.NONE
        """Of what the message says."""
        self.shown_row: ShownRow | None = None
        """A recent row, renewed a few times a second."""
        self.counter_at_end: int | None = None
        """What the counter of an idle detector showed when the run had all that was announced; None for other ends."""
        self._profile = profile = with_references(profile, request)
        self._opening = LiveSetup(profile, request, sources)
        self._sources = sources
        self._clock = clock
        self._pairing = Pairing(profile, self._sources.readbacks)
        self._intake = self._make_intake(Ledger(0, request.n_planned_frames))
        self._watch = RunWatch(sources, profile.detector.frames_pva, profile.service.gone_s)
        self._headline = ""
        self._end_reason = ""
        self._out: RunFile | None = None
        self._early_readbacks: deque[Readback] = deque(maxlen=MAX_EARLY_READBACKS)
        service = profile.service
        armed_s = math.inf if self.waits_for_ever else service.armed_timeout_s
        self._ending = Ending(service.grace_s, service.drain_s, service.gone_s, armed_s)
        self._last_flush_at = self._last_image_at = self._last_said_at = 0.0
        self._thread: threading.Thread | None = None

    # Called from outside

    def arm(self, cancellation: Cancellation | None = None) -> None:
        """Check and connect everything. Raises `PtychostreamError`; then nothing is left running."""
        cancellation = cancellation or Cancellation()
        try:
            self.message = "checking the folder, reading the references"
            self._opening.check(cancellation)
            cancellation.check()
            self.message = "waiting for PVs and the frames' channel"
            self._sources.connect(cancellation)
            self.message = "making a file on trial"
            self._opening.prepare()
            cancellation.check()
            self._intake = self._make_intake(self._sources.open_ledger(self.request))
            doubts = [*self._opening.notes, *self._sources.doubts()]
        except BaseException:
            self._sources.close()
            raise
        self._take(RunEvent.ARM)
        self._say("; ".join((f"armed for {self.request.scan_id}: waiting for the first frame", *doubts)))

    def disarm(self) -> None:
        """Give up an armed run that was not started; nothing is left running."""
        self._sources.close()
        self._take(RunEvent.ABORT)

    @property
    def request(self) -> ScanRequest:
        """Request of the run: what is recorded, and under which name."""
        return self._opening.request

    @property
    def path(self) -> Path:
        """Of the run's file, whether it exists or not."""
        return self._opening.path

    def start(self) -> None:
        """Let the armed run `work` in a thread of its own. A machine without a free thread makes it FAILED."""
        # made here and not before: a thread that was never started would keep its run, and the run its arrays
        thread = threading.Thread(target=self.work, name=f"run-{self.run_number}", daemon=True)
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
        return RunStatus(
            run_number=self.run_number,
            scan_id=self.request.scan_id,
            state=self.state,
            file=str(self.path) if self._out else "",
            message=self.message,
            end_reason=self._end_reason,
            severity=self.severity,
            account=self._ledger.account(),
            received=self._ledger.n_received,
            gaps=self._ledger.n_seen - self._ledger.n_received,
            bad_messages=self._notes.n_refused,
            rows=self._out.file.n_rows if self._out else 0,
            rows_expected=self._opening.n_rows_expected or 0,
            queue_bytes=self._sources.frames.queue.held_bytes + self._pairing.waiting_bytes,
        )

    def scan_table(self) -> npt.NDArray[np.float64]:
        """(n, 3) x and y in metres, and intensity, of the rows so far."""
        return self._out.pipeline.intensities.table() if self._out else np.empty((0, 3))

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
        frames, self._pairing.budget_bytes = self._sources.frames.queue, self._sources.budget_bytes
        while not self._is_over(self._clock()):
            for message in frames.take(IDLE_S):
                self._receive(message)
                if self._pairing.is_over_budget:
                    self._pair_with_readbacks()
            self._pair_with_readbacks()
            self._publish_rows(self._clock())
            self._look_around(self._clock())

    def _receive(self, message: Any) -> None:
        """Enter what a message brings; the detector is not quiet, even if it brings no frame of this run."""
        self._ending.frame_came(self._clock())
        self._pair(self._intake.take(message, self._problem_with))

    def _problem_with(self, frame: Frame) -> str:
        if self._out is None or self._out.accepts(frame.pixels):
            return ""
        return (
            f"frame {frame.unique_id} is {frame.pixels.shape} {frame.pixels.dtype}, but the run began with "
            f"{self._out.raw_shape} {self._out.dtype}: the readout must not change during a run"
        )

    def _pair(self, new: list[Entered]) -> None:
        """Let new frames meet their readbacks; the first one makes the file."""
        for frame, receipt in new:
            if self._out is None:
                self._out = self._open(frame)
            if self.state is RunState.ARMED:
                self._take(RunEvent.FRAME)
                self._say(f"receiving {self.request.scan_id}")
            self._pairing.add(frame, receipt, self._opening.exposure_of(frame), self._clock())

    def _look_around(self, now: float) -> None:
        """See whether everything is there that the run listens to, and say what is not."""
        quiet_s, is_waiting = self._ending.quiet_s(now), self.state is RunState.ARMED
        self._watch.look(now, quiet_s, is_waiting=is_waiting, n_missing=self._intake.n_missing)
        self._ending.detector_answers(self._watch.answers, now)
        self._pair(self._intake.ask_if_quiet(now, quiet_s))
        if now - self._last_said_at >= SAY_S:
            self._last_said_at = now
            self._say(self._headline)

    def _say(self, headline: str) -> None:
        """Renew the message: where the run is, what it dropped, what is wrong."""
        self._headline = headline
        about_rows = self._out.pipeline.notes() if self._out else ()
        dropped, problem = self._notes.sentences(), self._problem()
        self.message = "; ".join(filter(None, (headline, *dropped, *about_rows, problem)))
        self.severity = self._severity_in(self.state, problem)

    def _problem(self) -> str:
        """Present problem of the run's sources; empty if there is none."""
        return "; ".join(filter(None, (self._watch.problem, self._pairing.problem)))

    def _severity_in(self, state: RunState, problem: str) -> Severity:
        if problem or self._ending.reason is EndReason.DETECTOR_GONE:
            return Severity.MAJOR
        return Severity.NONE if self._notes.is_empty and state is not RunState.INCOMPLETE else Severity.MINOR

    def _open(self, frame: Frame) -> RunFile:
        self._record_readbacks()
        out = self._opening.open(frame, self._ledger)
        out.pipeline.is_waiting = self._pairing.is_waiting
        out.enter_state(self.state)
        out.record(self._early_readbacks)
        self._early_readbacks.clear()
        log.info("writing %s", self.path)
        return out

    def _record_readbacks(self) -> None:
        updates = self._pairing.take_readbacks()
        if self._out is None:
            self._early_readbacks.extend(updates)
        else:
            self._out.record(updates)

    def _pair_with_readbacks(self) -> None:
        """Enter what the channels did, and store the frames that are known by that, or can wait no longer."""
        self._record_readbacks()
        for exposure in self._pairing.ready(self._clock()):
            assert self._out is not None, "a frame was paired before there was a file"
            self._out.pipeline.add(exposure)
        if self._out is not None:
            self._pairing.beside_bytes = self._out.pipeline.held_bytes

    def _publish_rows(self, now: float) -> None:
        if self._out is None or now - self._last_flush_at < FLUSH_S:
            return
        self._last_flush_at = now
        self._out.flush()
        if now - self._last_image_at >= IMAGE_S:
            self._last_image_at = now
            self._copy_row(self._out)

    def _copy_row(self, out: RunFile) -> None:
        if out.pipeline.latest_slot is not None:
            self.shown_row = ShownRow(out.file.n_rows - 1, out.pipeline.latest_slot.copy())

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
            return not len(self._pairing) and (not detector.is_acquiring or self._ending.has_looked_beyond(now))
        if len(self._sources.frames.queue) and not self._ending.has_all_exposed(self._ledger.n_seen):
            return False
        if not self._ledger.all_in and not self._ending.is_drained(now, self._ledger.n_seen):
            return False
        self._pair(self._intake.settle())
        return not len(self._pairing)

    def _begin_to_end(self, now: float) -> None:
        """Ask once what the detector has made: that is the run's, later frames are not."""
        self._pair(self._intake.ask_counter())
        n_exposed = self._intake.n_exposed()
        self._ending.begin_draining(now, n_exposed)
        if n_exposed is not None and self._ending.reason is not EndReason.ALL_IN:
            self._ledger.end_at(n_exposed)

    def _finish(self) -> None:
        """Settle the account, and close the file with it."""
        self._record_readbacks()
        if self._out is not None:
            self._out.pipeline.finish()
            self._copy_row(self._out)
        verdict = self._settle(EndReason.ABORTED if self._ending.is_aborted else self._ending.reason)
        if verdict.reason in (EndReason.ALL_IN, EndReason.BEYOND_PLAN) and not self._sources.detector.is_acquiring:
            self.counter_at_end = self._intake.counter()
        problem = self._problem()
        words = [verdict.sentence, problem]
        if self._out is None:
            words.append("no frame came, so there is no file")
        else:
            words += (self._out.pipeline.flags.sentence, *self._out.pipeline.notes())
            self._out.file.set_clock_offsets(self._pairing.clock_offsets_s())
        self.message = "; ".join(filter(None, words))
        end_state = after(self.state, verdict.event)
        self.severity = self._severity_in(end_state, problem)
        if self._out is not None:
            self._out.close(end_state, self._end_reason, self.message)
        self.state = end_state
        log.info("%s: %s", end_state, self.message)

    def _settle(self, asked: EndReason | None) -> Verdict:
        rows = self._out.file.n_rows if self._out else 0
        is_counted_already = self.state is RunState.DRAINING
        verdict = settle(
            self._intake, self._ending, asked or EndReason.STOPPED, rows, is_counted_already=is_counted_already
        )
        self._ending.reason, self._end_reason = verdict.reason, verdict.end_reason
        return verdict

    def _fail(self, error: Exception) -> None:
        """End as FAILED, with the rows, the account and the file as far as they can be had."""
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

    def _write_last_rows(self) -> None:
        if self._out is not None:
            with suppress(PtychostreamError):  # it may be what failed
                self._out.pipeline.release()
                self._out.pipeline.flush()

    def _tell_account(self) -> None:
        self.message += f"; {self._settle(EndReason.FAILED).sentence}"

    def _close_failed(self) -> None:
        if self._out is not None:
            self._out.close(RunState.FAILED, self._end_reason, self.message)

    @property
    def _ledger(self) -> Ledger:
        return self._intake.ledger

    @property
    def _notes(self) -> RunNotes:
        return self._intake.notes

    def _make_intake(self, ledger: Ledger) -> FrameIntake:
        return FrameIntake(self._sources, ledger, is_counted=self._profile.detector.first_id == "after_counter")

    def _take(self, event: RunEvent) -> None:
        self.state = after(self.state, event)
        if self._out is not None and not self.state.has_ended:
            self._out.enter_state(self.state)


def _in_words(error: Exception) -> str:
    """The failure in words; a defect of the service is logged with its traceback."""
    if isinstance(error, PtychostreamError):
        return str(error)
    log.error("the run stopped on a defect of the service", exc_info=error)
    return f"a defect of the service, {type(error).__name__}: {error}"
