"""The sources of a run that is fed from a recording: its frames in their own rhythm, its readbacks with them.

A thread puts the frames into the same bounded queue that PVA would; a run that is slower makes it wait, so nothing is
lost here. Of a recording everything is known: no frame waits for its readbacks.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from stream_service.cancellation import Cancellation
from stream_service.core.frame import NS_PER_S, Frame, FrameTime
from stream_service.core.ledger import Ledger
from stream_service.core.pairing.history import BEFORE_ALL_TIME
from stream_service.core.readback_events import ReadbackEvent, Watermark
from stream_service.errors import PtychostreamError
from stream_service.run.recorded.recorded_pairing import END_OF_TIME, Feed
from stream_service.run.recorded.recorded_rows import RowsOfFrames
from stream_service.settings.request import ScanRequest
from stream_service.sources.frame_queue import FrameQueue
from stream_service.sources.recording import Recording
from stream_service.sources.tables.recorded_readbacks import RecordedReadbacks

FRAME_BYTES = 4096
"""What a frame takes beside its pixels."""
QUEUE_BYTES = 64 << 20
LONGEST_PAUSE_S = 5.0
"""Between two frames, even if the recording had a longer one."""
TICK_S = 0.2
"""How soon a feeder that pauses notices that it is to end."""


@dataclass(slots=True)
class RecordedDetector:
    """The detector as the recording shows it: it acquires until the last frame has been fed."""

    exposure_s: float
    is_acquiring: bool = True
    latest_id: int = 0

    def counter(self) -> int:
        return self.latest_id


class FrameFeed:
    """The frames of a recording on their way into the run's queue."""

    def __init__(self) -> None:
        self.queue: FrameQueue[Frame] = FrameQueue(QUEUE_BYTES)

    def close(self) -> None:
        self.queue.close()


class ReplayedReadbacks:
    """The histories of a recording, given out as far as frames have been fed.

    After the last update of a channel it is known until the log ends; what was then is never said.
    """

    def __init__(self, readbacks: RecordedReadbacks | None) -> None:
        histories = readbacks.histories if readbacks else {}
        self._feeds = {name: Feed(name, history) for name, history in histories.items()}
        self._known_until_ns = readbacks.known_until_ns if readbacks else BEFORE_ALL_TIME
        self.until_ns = BEFORE_ALL_TIME
        """End of the last exposure fed; set before its frame is put into the queue."""

    def ask(self, frame_end_ns: int, arrived_at: float) -> None:
        """Everything is said by `take` already."""

    def take(self) -> list[ReadbackEvent]:
        events: list[ReadbackEvent] = []
        until_ns = self.until_ns
        for name, feed in self._feeds.items():
            events += feed.until(until_ns)
            if feed.is_at_end:
                events.append(Watermark(name, self._known_until_ns, is_end=True))
        return events

    def latest(self, channel: str) -> float:
        return math.nan


class ReplaySources:
    """See `Sources`. `rate_hz` None: as recorded, each pause divided by `speed`."""

    def __init__(
        self,
        recording: Recording,
        readbacks: RecordedReadbacks | None,
        rows: RowsOfFrames | None,
        constants: Mapping[str, float],
        exposure_s: float,
        frame_time: FrameTime,
        *,
        rate_hz: float | None,
        speed: float = 1.0,
        first_unique_id: int | None = None,
    ) -> None:
        """`constants` become attributes of every frame; the first id is the recording's, if not given."""
        self.budget_bytes = QUEUE_BYTES
        self.frames = FrameFeed()
        self.readbacks = ReplayedReadbacks(readbacks)
        self._rows = rows
        self.detector = RecordedDetector(exposure_s)
        self.failure: PtychostreamError | None = None
        """What ended the feeding early."""
        self._recording, self._first_unique_id = recording, first_unique_id
        self._constants = constants
        self._frame_time = frame_time
        self._rate_hz, self._speed = rate_hz, speed
        self._is_closing = threading.Event()
        self._feeder = threading.Thread(target=self._feed, name="replay", daemon=True)

    def connect(self, cancellation: Cancellation) -> None:
        """Nothing to connect to: the recording is open."""

    def attach_thread(self) -> None:
        """The run is ready: let the frames come."""
        self._feeder.start()

    def latest_frame(self) -> Frame | None:
        return None

    def doubts(self) -> list[str]:
        return []

    def decode(self, message: Any) -> Frame:
        frame: Frame = message
        return replace(frame, attributes={**frame.attributes, **self._constants}) if self._constants else frame

    def silent(self) -> list[str]:
        return []

    detector_answers = True
    stream_problem = stream_detour = ""

    def open_ledger(self, request: ScanRequest) -> Ledger:
        first_id = self._first_unique_id
        return Ledger(self._recording.first_unique_id if first_id is None else first_id, None)

    def wait_until_fed(self, timeout_s: float) -> bool:
        """True once no more frames will come."""
        self._feeder.join(timeout_s) if self._feeder.ident else time.sleep(timeout_s)
        return not self.detector.is_acquiring

    def close(self) -> None:
        """End the feeding; what is in the queue is lost to the run, which asked for it."""
        self._is_closing.set()
        self.frames.close()
        if self._feeder.ident is not None:
            self._feeder.join()

    def _feed(self) -> None:
        try:
            for frame in self._paced():
                self.readbacks.until_ns = max(self.readbacks.until_ns, self._end_ns(frame))
                if not self.frames.queue.put(frame, frame.pixels.nbytes + FRAME_BYTES):
                    return
                self.detector.latest_id = frame.unique_id
            self.readbacks.until_ns = END_OF_TIME  # what moved on after the last frame tells where it was before
        except PtychostreamError as error:
            self.failure = error
        finally:
            self.detector.is_acquiring = False

    def _end_ns(self, frame: Frame) -> int:
        own = frame.attributes.get(self._recording.exposure_attribute)
        exposure_s = float(own) if isinstance(own, int | float) and 0 <= own < math.inf else self.detector.exposure_s
        return self._frame_time.window(frame.timestamp_ns, exposure_s).end_ns

    def _paced(self) -> Iterator[Frame]:
        """The frames, each when its time has come; one without a stamp is stamped with the time it is fed."""
        due_s, before_ns = time.monotonic(), None
        frames = self._recording.frames()
        for frame in self._rows.attach(frames) if self._rows else frames:
            due_s += self._pause_s(frame.timestamp_ns, before_ns)
            before_ns = frame.timestamp_ns
            while (left_s := due_s - time.monotonic()) > 0:
                if self._is_closing.wait(min(left_s, TICK_S)):
                    return
            yield frame if self._recording.has_timestamps else replace(frame, timestamp_ns=time.time_ns())

    def _pause_s(self, timestamp_ns: int, before_ns: int | None) -> float:
        if before_ns is None:
            return 0.0
        if self._rate_hz is not None:
            return 1.0 / self._rate_hz
        return min(max(0.0, (timestamp_ns - before_ns) / NS_PER_S / self._speed), LONGEST_PAUSE_S)
