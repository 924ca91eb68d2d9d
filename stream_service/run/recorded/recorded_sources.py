"""Sources of a run that is fed from a recording: a thread reads its frames ahead, at once or in their own rhythm.

It puts them into the same bounded queue that a live source would; a run that is slower makes it wait, so nothing is
lost here. Frames that lie in their file as they are in memory are read while others are reduced and written. HDF5 lets
one thread at a time into the library: those that it has to read (compressed, growing) come in turns with the writing.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator

from stream_service.cancellation import Cancellation
from stream_service.core.frame import NO_STAMP, NS_PER_S, Frame, UnreadableFrame
from stream_service.core.run import EndReason
from stream_service.core.stream import Begin, End, StreamEvent
from stream_service.errors import SourceError
from stream_service.run.recorded.recorded_log import RecordedLog
from stream_service.run.recorded.recorded_scan import RecordedScan
from stream_service.sources.frame_queue import FrameQueue

FRAME_BYTES = 4096
"""What a frame takes beside its pixels."""
QUEUE_BYTES = 32 << 20
LONGEST_PAUSE_S = 5.0
"""Between two frames, even if the recording had a longer one."""
TICK_S = 0.2
"""How soon a feeder that pauses notices that it is to end."""
MOST_REASONS = 20
"""Notes on frames that cannot be read; the account names all of them."""
CLOSING_S = 1.0
"""How long the end waits for a feeder that waits for frames itself."""

Pauses = Callable[[int, int | None], float]
"""Seconds between two frames, from the stamp of the later and of the earlier one (None: there is none)."""


def no_pause(timestamp_ns: int, before_ns: int | None) -> float:
    """All frames as soon as they are read."""
    return 0.0


def as_recorded(speed: float = 1.0) -> Pauses:
    """The rhythm of the recording, `speed` times as fast."""

    def pause_s(timestamp_ns: int, before_ns: int | None) -> float:
        if before_ns is None or NO_STAMP in (timestamp_ns, before_ns):
            return 0.0
        return min(max(0.0, (timestamp_ns - before_ns) / NS_PER_S / speed), LONGEST_PAUSE_S)

    return pause_s


def at_rate(rate_hz: float) -> Pauses:
    """Frames at equal distances."""
    return lambda timestamp_ns, before_ns: 0.0 if before_ns is None else 1.0 / rate_hz


class RecordedFrames:
    """The frames of a recording on their way into the run; see `FrameSource`."""

    transport = "a recording"
    is_connected = True

    def __init__(self, scan: RecordedScan, pauses: Pauses) -> None:
        self.channel = str(scan.recording.path)
        self.queue: FrameQueue[StreamEvent] = FrameQueue(QUEUE_BYTES)
        self.has_ended = False
        """True once the run has taken the end."""
        self.n_taken = 0
        """Frames that the run has taken."""
        self._began_s = self._ended_s = 0.0
        self._scan = scan
        self._pauses = pauses
        self._is_closing = threading.Event()
        self._feeder = threading.Thread(target=self._feed, name="reading", daemon=True)

    def start(self, cancellation: Cancellation | None = None) -> None:
        """Let the frames come."""
        self._began_s = time.monotonic()
        self._feeder.start()

    def begin(self) -> Begin:
        """As the recording or the operator says."""
        recording, exposure_s = self._scan.recording, self._scan.facts.exposure_s
        return Begin(
            self._scan.first_unique_id,
            is_certain=self._scan.is_begin_known,
            has_stamps=recording.has_timestamps,
            shape=recording.frame_shape,
            dtype=recording.dtype,
            exposure_s=exposure_s if math.isfinite(exposure_s) else None,
        )

    def latest_frame(self) -> Frame | None:
        """None: a recording begins with its first frame."""
        return None

    def decode(self, message: StreamEvent) -> StreamEvent:
        """The event itself."""
        if isinstance(message, End):
            self.has_ended = True
        else:
            self.n_taken += 1
        self._ended_s = time.monotonic()
        return message

    @property
    def frames_per_s(self) -> float:
        """From the first frame to the last, without what a process needs to begin."""
        return self.n_taken / max(self._ended_s - self._began_s, 1e-9)

    def close(self) -> None:
        """Read no more; what is in the queue is lost to the run, which asked for it."""
        self._is_closing.set()
        self.queue.close()
        if self._feeder.ident is not None:
            self._feeder.join(CLOSING_S)

    def _feed(self) -> None:
        failure, reasons = None, 0
        recording, latest = self._scan.recording, ""
        try:
            for frame in self._paced():
                if isinstance(frame, UnreadableFrame) and frame.reason != latest:
                    reasons, latest = reasons + 1, frame.reason
                    if reasons <= MOST_REASONS:
                        recording.notes.append(latest)
                if not self.queue.put(frame, frame.pixels.nbytes + FRAME_BYTES):
                    return
        except Exception as error:  # noqa: BLE001  raised again by the thread that works on the run
            failure = error
        if reasons > MOST_REASONS:
            recording.notes.append(f"so it is at {reasons - MOST_REASONS} more places of {recording.path}")
        # what is there and was not reached is lost
        n_exposed = recording.n_exposed if failure is None else max(recording.n_exposed or 0, self._scan.n_recorded)
        self.queue.put(End(_reason(failure), recording.n_expected, n_exposed, failure), 0)

    def _paced(self) -> Iterator[Frame]:
        """The frames, each when its time has come."""
        due_s, before_ns = time.monotonic(), None
        for frame in self._scan.frames():
            due_s += self._pauses(frame.timestamp_ns, before_ns)
            before_ns = frame.timestamp_ns
            while (left_s := due_s - time.monotonic()) > 0:
                if self._is_closing.wait(min(left_s, TICK_S)):
                    return
            yield frame


def _reason(failure: Exception | None) -> EndReason:
    if failure is None:
        return EndReason.RECORDING_READ
    return EndReason.RECORDING_BROKEN if isinstance(failure, SourceError) else EndReason.FAILED


class RecordedDetector:
    """The detector as the recording shows it: it acquires until the last frame was taken."""

    def __init__(self, frames: RecordedFrames) -> None:
        self._frames = frames

    @property
    def is_acquiring(self) -> bool:
        return not self._frames.has_ended

    def counter(self) -> int:
        """See `DetectorSource`; nobody asks, since the series is not counted (`Begin.is_counted`)."""
        raise SourceError("a recording has no counter")


class RecordedSources:
    """See `Sources`."""

    budget_bytes = QUEUE_BYTES
    detector_answers = True
    stream_problem = ""

    def __init__(self, scan: RecordedScan, pauses: Pauses = no_pause) -> None:
        self.frames = RecordedFrames(scan, pauses)
        self.readbacks = RecordedLog(scan.settings.readbacks, scan.settings.arrays)
        self.detector = RecordedDetector(self.frames)

    def connect(self, cancellation: Cancellation) -> None:
        """Nothing to connect to: the recording is open."""

    def begin(self) -> Begin:
        """See `RecordedFrames.begin`."""
        return self.frames.begin()

    def attach_thread(self) -> None:
        """The run is ready: let the frames come."""
        self.frames.start()

    def doubts(self) -> list[str]:
        """None: see `RecordedScan.notes`."""
        return []

    def silent(self) -> list[str]:
        """Nothing of a recording is silent."""
        return []

    def missing_problem(self, n_missing: int, *, is_first: bool) -> str:
        """Nobody knows of frames that were made and are not here: see `Begin.is_counted`."""
        return ""

    def close(self) -> None:
        """End the reading."""
        self.frames.close()
