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
from typing import Literal

import numpy as np
import numpy.typing as npt
from p4p.client.thread import Context
from p4p.wrapper import Value

from stream_service.config import Profile
from stream_service.core.frame import Frame
from stream_service.core.ledger import Arrival, Fate, Ledger
from stream_service.core.pairing import Pairer
from stream_service.core.readback import Readback
from stream_service.core.run import EndReason, RunEvent, RunState, after
from stream_service.errors import PtychostreamError, SourceError
from stream_service.kernels import FrameReducer
from stream_service.request import ScanRequest
from stream_service.service.run_file import (
    RunFile,
    build_corrections,
    build_reducer,
    check_file_path,
    file_path,
    open_run_file,
    rows_and_frames_per_row,
    warm_up,
)
from stream_service.service.run_sources import RunSources
from stream_service.service.status import RunStatus, describe_account
from stream_service.sources.ca_readbacks import Confirmation, Disconnection
from stream_service.sources.epics_ca import attach_thread
from stream_service.sources.ntndarray import decode_ntndarray, unique_id_of

log = logging.getLogger(__name__)

FLUSH_S = 0.1
"""Rows become visible to readers at least this often; a flush costs a few milliseconds."""
IMAGE_S = 0.5
"""How often a copy of the latest row is made for screens."""
IDLE_S = 0.02
ASK_S = 0.01
"""Shortest time between two questions whether the readbacks are complete."""
LONGEST_DRAIN = 5
"""A stop waits at most this many drain times, even for a detector that goes on sending."""
MAX_EARLY_READBACKS = 100_000
"""Updates kept between arming and the first frame, when the file is made."""


class LiveRun:
    """A run of the service. `arm` checks and connects everything; then the thread works until the run has ended."""

    def __init__(self, run_number: int, profile: Profile, request: ScanRequest, pva: Context) -> None:
        self.run_number = run_number
        self.request = request
        self.path = file_path(profile, request)
        self.state = RunState.IDLE
        self.message = "arming"
        self.end_reason: EndReason | None = None
        self.latest_image: npt.NDArray[np.float32] | None = None
        """A copy of a recent row's pixels (y, x), for screens."""
        self._profile = profile
        self._n_rows_expected, self._frames_per_row = rows_and_frames_per_row(profile.preprocessing, request)
        self._sources = RunSources(profile, pva)
        self._pairer = Pairer(profile.rules())
        self._frame_time = profile.detector.frame_time.to_core()
        self._ledger = Ledger(0, request.n_planned_frames)
        self._reducer: FrameReducer | None = None
        self._out: RunFile | None = None
        self._early_readbacks: deque[Readback] = deque(maxlen=MAX_EARLY_READBACKS)
        self._exposure_s = math.nan
        self._n_bad = 0
        self._wish: Literal["", "stop", "abort"] = ""
        self._wish_reason = EndReason.STOPPED
        self._exposed_at_stop = 0
        self._last_frame_at = self._last_progress_at = self._drain_began_at = 0.0
        self._last_flush_at = self._last_image_at = self._last_asked_at = 0.0
        self._thread = threading.Thread(target=self._guarded, name=f"run-{run_number}", daemon=True)

    # Called from outside

    def arm(self) -> None:
        """Check and connect everything, and begin. Raises `PtychostreamError`; then nothing is left running."""
        try:
            check_file_path(self.path)
            self._corrections = build_corrections(self._profile.preprocessing, self._profile.references)
            self._sources.connect()
            if (frame := self._sources.latest_frame()) is not None:
                self._prepare(frame)
            else:
                warm_up(self._profile.preprocessing, self._frames_per_row)
            self._ledger = self._sources.open_ledger(self.request)
        except PtychostreamError:
            self._sources.close()
            raise
        self._take(RunEvent.ARM)
        self.message = f"armed for {self.request.scan_id}: waiting for the first frame"
        self._thread.start()

    def stop(self, reason: EndReason = EndReason.STOPPED) -> None:
        """Finish in good order: wait for frames in flight, settle the account, close the file."""
        if not self._wish:
            self._wish_reason, self._wish = reason, "stop"
            self._sources.frames.queue.wake()

    def abort(self) -> None:
        """End now; the rows so far stay in the file."""
        self._wish_reason, self._wish = EndReason.ABORTED, "abort"
        self._sources.frames.queue.wake()

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait for the end of the thread; True if it has ended."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def status(self) -> RunStatus:
        """The run at this moment; may be called from any thread."""
        return RunStatus(
            run_number=self.run_number,
            scan_id=self.request.scan_id,
            state=self.state,
            file=str(self.path) if self._out else "",
            message=self.message,
            end_reason=self.end_reason.value if self.end_reason else "",
            account=self._ledger.account(),
            received=self._ledger.n_received,
            bad_messages=self._n_bad,
            rows=self._out.file.n_rows if self._out else 0,
            rows_expected=self._n_rows_expected or 0,
            queue_bytes=self._sources.frames.queue.held_bytes + self._pairer.waiting_bytes,
        )

    def scan_table(self) -> npt.NDArray[np.float64]:
        """(n, 3) x and y in metres, and intensity, of the rows so far."""
        return self._out.pipeline.intensities.table() if self._out else np.empty((0, 3))

    # The thread

    def _guarded(self) -> None:
        try:
            attach_thread()
            self._work()
            self._finish()
        except PtychostreamError as error:
            self._fail(error)
        except Exception as error:  # the one place where a dead stage becomes a failed run
            log.exception("the run stopped on a defect of the service")
            self._fail(PtychostreamError(f"a defect of the service, {type(error).__name__}: {error}"))
        finally:
            self._sources.close()

    def _work(self) -> None:
        self._last_frame_at = self._last_progress_at = time.monotonic()
        frames = self._sources.frames.queue
        while not self._is_over(time.monotonic()):
            if self._pairer.waiting_bytes > self._sources.budget_bytes:
                frames.wait(IDLE_S)
            else:
                for update in frames.take(IDLE_S):
                    self._receive(update)
            self._take_readbacks()
            self._store_paired()
            self._publish_rows(time.monotonic())

    def _receive(self, update: Value) -> None:
        """Decode a message and enter it in the ledger; one that cannot be a frame of this run is counted, no more."""
        try:
            frame = decode_ntndarray(update, self._profile.detector.frame_time.field)
            if self._out is not None and not self._out.accepts(frame.pixels):
                raise SourceError(
                    f"frame {frame.unique_id} is {frame.pixels.shape} {frame.pixels.dtype}, but the run began with "
                    f"{self._out.raw_shape} {self._out.dtype}: the readout must not change during a run"
                )
        except SourceError as error:
            self._n_bad += 1
            self.message = f"bad frame {unique_id_of(update)}: {error}"
            log.warning("%s", error)
            return
        self._last_frame_at = time.monotonic()
        receipt = self._ledger.receive(frame.unique_id, frame.timestamp_ns)
        if receipt.arrival is not Arrival.NEW:
            return
        if self._out is None:
            self._out = self._open(frame)
        if self.state is RunState.ARMED:
            self._take(RunEvent.FRAME)
            self.message = f"receiving {self.request.scan_id}"
        exposure_s = self._exposure_of(frame)
        window = self._frame_time.window(frame.timestamp_ns, exposure_s)
        self._pairer.add_frame(frame, receipt.id, receipt.ordinal, exposure_s, window)

    def _take_readbacks(self) -> None:
        for event in self._sources.readbacks.take():
            if isinstance(event, Confirmation):
                self._pairer.confirm(event.channel, event.until_ns)
            elif isinstance(event, Disconnection):
                log.warning("the PV of channel %s is gone", event.channel)
                self._pairer.disconnect(event.channel)
            else:
                self._pairer.add_readback(event)
                if self._out is None:
                    self._early_readbacks.append(event)
                else:
                    self._out.file.add_readback(event.channel, event.value, event.timestamp_ns)

    def _store_paired(self) -> None:
        """Make rows of the frames whose readbacks are known, and ask after those of the frames that still wait."""
        ready, now = self._pairer.take(), time.monotonic()
        if not self._pairer or ready:
            self._last_progress_at = now
        elif now - self._last_progress_at > self._profile.service.pairing_patience_s:
            log.warning("%d frames waited too long for their readbacks; their rows are flagged", len(self._pairer))
            ready = self._pairer.give_up()
        if ready:
            assert self._out is not None
            for exposure in ready:
                self._out.pipeline.add(exposure)
        if (window := self._pairer.newest_window) is not None and now - self._last_asked_at >= ASK_S:
            self._sources.readbacks.ask(window.end_ns, self._last_frame_at)
            self._last_asked_at = now

    def _publish_rows(self, now: float) -> None:
        if self._out is None or now - self._last_flush_at < FLUSH_S:
            return
        self._last_flush_at = now
        self._out.file.flush()
        if now - self._last_image_at >= IMAGE_S:
            self._last_image_at = now
            self._copy_image(self._out)

    def _copy_image(self, out: RunFile) -> None:
        if out.pipeline.latest_slot is not None:
            self.latest_image = out.pipeline.latest_slot.copy()

    # The file

    def _prepare(self, frame: Frame) -> FrameReducer:
        """The reducer for frames like this one; made when arming from the last old frame, so that it is compiled."""
        shape, dtype = frame.pixels.shape, frame.pixels.dtype
        if self._reducer is None or self._reducer.geometry.raw_shape != shape:
            preprocessing = self._profile.preprocessing
            self._reducer = build_reducer(preprocessing, self._corrections, shape, self._frames_per_row, dtype)
        return self._reducer

    def _exposure_of(self, frame: Frame) -> float:
        """What the frame says; else what the plan asked for; else what the detector is set to at the first frame."""
        own = frame.attributes.get(self._profile.detector.exposure_attribute)
        if isinstance(own, int | float) and math.isfinite(own):
            return float(own)
        if math.isnan(self._exposure_s):
            self._exposure_s = self.request.exposure_s or self._sources.detector.exposure_s
        return self._exposure_s

    def _open(self, frame: Frame) -> RunFile:
        self._take_readbacks()
        out = open_run_file(
            self.path,
            self._profile,
            self.request,
            self._prepare(frame),
            self._ledger,
            dtype=frame.pixels.dtype,
            energy_eV=self._energy_at(frame),
            exposure_s=self._exposure_of(frame),
        )
        while self._early_readbacks:
            early = self._early_readbacks.popleft()
            out.file.add_readback(early.channel, early.value, early.timestamp_ns)
        log.info("writing %s", self.path)
        return out

    def _energy_at(self, frame: Frame) -> float:
        """The energy a reader finds before the first row; the mean over the rows replaces it at the end."""
        channel = self._profile.channels["energy"]
        raw = frame.attributes.get(channel.attribute) if channel.attribute else self._sources.readbacks.latest("energy")
        return float(raw) * self._profile.scale_of("energy") if isinstance(raw, int | float) else math.nan

    # The end

    def _is_over(self, now: float) -> bool:
        """Decide by the state table whether the run goes on; DRAINING ends when nothing more is to be expected."""
        if self._wish == "abort":
            return True
        if self.state is RunState.RECEIVING and self._ledger.all_in:
            self._drain(RunEvent.ALL_IN, EndReason.ALL_IN, now)
        elif self._wish == "stop" and self.state in (RunState.ARMED, RunState.RECEIVING):
            self._drain(RunEvent.STOP, self._wish_reason, now)
        elif (
            self.state is RunState.RECEIVING
            and now - self._last_frame_at > self._profile.service.grace_s
            and not self._sources.detector.is_acquiring
        ):
            self._drain(RunEvent.DETECTOR_STOPPED, EndReason.DETECTOR_STOPPED, now)
        if self.state is not RunState.DRAINING or len(self._sources.frames.queue):
            return False
        drain_s = self._profile.service.drain_s
        quiet_s = now - max(self._last_frame_at, self._drain_began_at)
        nothing_due = self._ledger.n_seen >= self._exposed_at_stop or quiet_s > drain_s
        if not self._pairer:
            return nothing_due or now - self._drain_began_at > LONGEST_DRAIN * drain_s
        return False

    def _drain(self, event: RunEvent, reason: EndReason, now: float) -> None:
        self._take(event)
        self.end_reason = reason
        self._drain_began_at = now
        self._exposed_at_stop = self._frames_exposed()

    def _frames_exposed(self) -> int:
        """Frames of the run the detector says it made; those seen, if it does not answer any more."""
        if self._profile.detector.first_id != "after_counter":
            return self._ledger.n_seen
        try:
            return self._ledger.exposed_by_counter(self._sources.detector.counter())
        except SourceError as error:
            log.warning("frames lost at the end of the run cannot be told from frames never exposed: %s", error)
            return self._ledger.n_seen

    def _finish(self) -> None:
        """Settle the account, and close the file with it."""
        self._take_readbacks()
        is_aborted = self._wish == "abort"
        if self._out is not None:
            self._out.pipeline.finish()
            self._copy_image(self._out)
        account = self._ledger.close(self._frames_exposed())
        rows = self._out.file.n_rows + self._out.file.n_buffered if self._out else 0
        missing = self._ledger.ids_with(Fate.LOST, Fate.INCOMPLETE)
        self.message = describe_account(account, missing, rows)
        if is_aborted:
            self.end_reason, event = EndReason.ABORTED, RunEvent.ABORT
        else:
            event = RunEvent.ALL_ACCOUNTED if account.is_complete else RunEvent.NOT_ALL_ACCOUNTED
        end_state = after(self.state, event)
        if self._out is not None:
            self._out.close(self._ledger, end_state, self.end_reason or EndReason.STOPPED)
        else:
            self.message += "; no frame came, so there is no file"
        self.state = end_state
        log.info("%s: %s", end_state, self.message)

    def _fail(self, error: PtychostreamError) -> None:
        self.end_reason = EndReason.FAILED
        self.message = str(error)
        log.error("the run failed: %s", error)
        self._ledger.close()
        if self._out is not None:
            try:
                self._out.close(self._ledger, RunState.FAILED, EndReason.FAILED)
            except PtychostreamError as second:
                log.error("and its file could not be closed: %s", second)
        self._take(RunEvent.FAIL)

    def _take(self, event: RunEvent) -> None:
        self.state = after(self.state, event)
