"""Arrivals of a detector's frames, which are listened to for some seconds, in plain words.

Nothing is asked of the sender, and nothing changed. But a message that was pulled is gone: who else pulls from the same
sender does not get it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from stream_service.core.frame import NS_PER_S, Frame
from stream_service.core.stream import Series, SeriesEnd
from stream_service.errors import SourceError
from stream_service.run.live.check_finding import Finding
from stream_service.run.live.frame_transport import LiveFrames
from stream_service.run.sources import DetectorSource
from stream_service.text.counted import agrees, counted

LISTEN_S = 3.0
"""How long a detector that acquires is listened to, if nobody says."""
IDLE_S = 0.5
"""And one that is idle: what it has kept comes at once."""
MOST_EXPOSURES = 3.0
"""In so many exposures at least one frame must come."""
SETTLED_S = 0.5
"""Until then a sender gives what it had kept: it says nothing of the rate."""
CAUGHT_UP_S = 0.5
"""By which frames that were not kept anywhere may come closer together than they were taken."""
ENOUGH_FRAMES = 1000
"""Of those that count for the rate: then nobody listens on."""
LATE_S = 0.5
"""After it was counted, a frame may still be on its way."""
CUT_OFF_S = 1.5
"""After which it is known that a sender which is gone was cut off."""
LOOK_S = 0.25
"""Between two looks at the connections."""
MOST_SERIES = 3
"""That are named."""


class ExposingDetector(DetectorSource, Protocol):
    """A detector that tells its exposure time, too."""

    @property
    def exposure_s(self) -> float: ...


@dataclass(slots=True)
class Ids:
    """The ids that came of one epoch."""

    seen: set[int] = field(default_factory=set)
    n_repeated: int = 0
    n_back: int = 0
    """How often one was smaller than the one before."""
    latest: int | None = None

    def enter(self, unique_id: int) -> None:
        """The next one."""
        if unique_id in self.seen:
            self.n_repeated += 1
        elif self.latest is not None and unique_id < self.latest:
            self.n_back += 1
        self.seen.add(unique_id)
        self.latest = unique_id

    @property
    def n_missing(self) -> int:
        """Between the smallest and the largest."""
        return max(self.seen) - min(self.seen) + 1 - len(self.seen)

    def __str__(self) -> str:
        said = [f"{min(self.seen)} to {max(self.seen)}"]
        said.append(f"{self.n_missing} of them did not come" if self.n_missing else "none missing")
        if self.n_repeated:
            said.append(f"{self.n_repeated} came again")
        if self.n_back:
            said.append(f"{self.n_back} {agrees(self.n_back, 'was')} smaller than the one before it")
        return ", ".join(said)


@dataclass(slots=True)
class Arrivals:
    """What came since `begin_s`."""

    begin_s: float
    n_frames: int = 0
    n_settled: int = 0
    """Of them, those that count for the rate."""
    n_settled_bytes: int = 0
    """Of the pixels of these."""
    first_settled_s: float = 0.0
    """When the first of these came, and the last."""
    last_settled_s: float = 0.0
    first_settled_ns: int = 0
    """How these two are stamped."""
    last_settled_ns: int = 0
    n_refused: int = 0
    """Messages that cannot be used."""
    first_refusal: str = ""
    latest: Frame | None = None
    n_series: int = 0
    """That were announced."""
    series: list[Series] = field(default_factory=list)
    """The first of them."""
    n_ended: int = 0
    ids: dict[int | None, Ids] = field(default_factory=dict)
    """By epoch; None where the source knows of none."""
    listened_s: float = 0.0
    n_counted: int | None = None
    """What the detector's counter went on by meanwhile; None if it does not answer."""
    was_acquiring: bool = False

    def enter(self, frames: LiveFrames, message: Any, now_s: float) -> None:
        """A message that came at `now_s`."""
        try:
            event = frames.decode(message)
        except SourceError as error:
            self.n_refused += 1
            self.first_refusal = self.first_refusal or str(error)
            return
        match event:
            case Frame():
                self._enter_frame(event, now_s)
            case Series():
                self.n_series += 1
                if len(self.series) < MOST_SERIES:
                    self.series.append(event)
            case SeriesEnd():
                self.n_ended += 1

    def _enter_frame(self, frame: Frame, now_s: float) -> None:
        self.latest = frame
        self.n_frames += 1
        if now_s - self.begin_s >= SETTLED_S:
            at_s = now_s if frame.received_s is None else frame.received_s
            self.first_settled_s = self.first_settled_s if self.n_settled else at_s
            self.last_settled_s = at_s
            self.first_settled_ns = self.first_settled_ns if self.n_settled else frame.timestamp_ns
            self.last_settled_ns = frame.timestamp_ns
            self.n_settled += 1
            self.n_settled_bytes += frame.pixels.nbytes
        self.ids.setdefault(frame.epoch, Ids()).enter(frame.unique_id)

    @property
    def latest_came_s(self) -> float | None:
        """When the last frame came, on the monotonic clock; None where it may have waited for us, here or at a sender
        that keeps frames for who pulls them: more time went by from stamp to stamp than from arrival to arrival."""
        frame = self.latest
        stamped_s = (self.last_settled_ns - self.first_settled_ns) / NS_PER_S
        if stamped_s > self.last_settled_s - self.first_settled_s + CAUGHT_UP_S:
            return None
        return None if frame is None or frame.waited_s or not self.n_settled else frame.received_s

    @property
    def is_empty(self) -> bool:
        """True if not one message came."""
        return not (self.n_frames or self.n_refused or self.n_series or self.n_ended)

    @property
    def rate(self) -> str:
        """Frames and megabytes a second; empty where they were too few to tell."""
        span_s = self.last_settled_s - self.first_settled_s
        if span_s <= 0:
            return ""
        share = (self.n_settled - 1) / self.n_settled  # there are as many periods between them, less one
        frames_per_s, bytes_per_s = share * self.n_settled / span_s, share * self.n_settled_bytes / span_s
        return f": {frames_per_s:.4g} frames/s, {bytes_per_s / 1e6:.3g} MB/s"


def listen(
    frames: LiveFrames,
    detector: ExposingDetector | None,
    listen_s: float | None,
    clock: Callable[[], float] = time.monotonic,
) -> Arrivals:
    """Listen for `listen_s` (None: as long as a detector that acquires, or is idle, needs), or until enough came.

    Raises `SourceError` if the detector does not answer any more.
    """
    begin_s = clock()
    arrivals = Arrivals(begin_s)
    arrivals.was_acquiring = is_acquiring = detector is not None and detector.is_acquiring
    before = detector.counter() if detector is not None else 0
    if listen_s is None:
        listen_s = LISTEN_S if is_acquiring or detector is None else IDLE_S
    longest_s = max(listen_s, MOST_EXPOSURES * detector.exposure_s) if is_acquiring and detector else listen_s
    _listen_until(arrivals, frames, begin_s + listen_s, clock)
    if arrivals.is_empty:
        _listen_until(arrivals, frames, begin_s + longest_s, clock, is_one_enough=True)
    if detector is not None:
        arrivals.n_counted = detector.counter() - before
        if arrivals.is_empty and arrivals.n_counted:
            _listen_until(arrivals, frames, clock() + LATE_S, clock, is_one_enough=True)
    arrivals.listened_s = clock() - begin_s
    if frames.silent():
        _listen_until(arrivals, frames, clock() + CUT_OFF_S, clock)
    return arrivals


def _listen_until(
    arrivals: Arrivals,
    frames: LiveFrames,
    deadline_s: float,
    clock: Callable[[], float],
    *,
    is_one_enough: bool = False,
) -> None:
    while (left_s := deadline_s - clock()) > 0 and arrivals.n_settled < ENOUGH_FRAMES:
        for message in frames.queue.take(min(left_s, LOOK_S)):
            arrivals.enter(frames, message, clock())
        frames.silent()  # who was cut off is connected to anew by this
        if is_one_enough and not arrivals.is_empty:
            return


def arrival_findings(arrivals: Arrivals, frames: LiveFrames, *, pulls: bool) -> Iterator[Finding]:
    """What is to be said of what came; `pulls`: who listens takes frames from others who do."""
    over = f"{frames.transport} ({frames.channel})"
    if arrivals.n_refused:
        of_all = counted(arrivals.n_refused, "message")
        text = f"{of_all} over {over} cannot be used, the first because {arrivals.first_refusal}"
        yield Finding("warning" if arrivals.n_frames else "error", "frames", text)
    yield from _series_findings(arrivals)
    if arrivals.n_frames:
        text = f"{counted(arrivals.n_frames, 'frame')} came over {over} in {arrivals.listened_s:.1f} s{arrivals.rate}"
        yield Finding("ok", "frames", text)
        for epoch, ids in arrivals.ids.items():
            yield _ids_finding(epoch, ids, pulls=pulls)
    elif arrivals.is_empty and not frames.problem:
        yield _nothing_came(arrivals, frames, over)
    if pulls and arrivals.n_frames and arrivals.n_counted == 0:
        text = "these frames had waited at the sender since an earlier acquisition: now nobody else gets them"
        yield Finding("warning", "frames", text)
    if problem := frames.problem:
        yield Finding("error", "frames", problem)
    elif gone := frames.silent():
        yield Finding("error", "frames", f"no answer from {', '.join(gone)} any more")


def _series_findings(arrivals: Arrivals) -> Iterator[Finding]:
    if not arrivals.n_series and not arrivals.n_ended:
        return
    said = [
        f"series {series.epoch} of {'unknown length' if series.n_frames is None else counted(series.n_frames, 'frame')}"
        for series in arrivals.series
    ]
    if (n_more := arrivals.n_series - len(said)) > 0:
        said.append(f"{n_more} more")
    begun = f"{', '.join(said)} began" if said else "none began"
    yield Finding("ok", "series", f"{begun}, {arrivals.n_ended or 'none'} ended")


def _ids_finding(epoch: int | None, ids: Ids, *, pulls: bool) -> Finding:
    whose = "" if epoch is None else f"series {epoch}: "
    why = []
    if ids.n_missing:
        at_sender = "they found the queue of the sender full, or somebody else pulls from it"
        why.append(at_sender if pulls else "they were lost on the way, or not sent")
    if ids.n_back:
        why.append("frames are out of order, or the counter was reset")
    text = f"{whose}{ids}" + (f": {'; '.join(why)}" if why else "")
    return Finding("warning" if why or ids.n_repeated else "ok", "ids", text)


def _nothing_came(arrivals: Arrivals, frames: LiveFrames, over: str) -> Finding:
    came = f"nothing came over {over} within {arrivals.listened_s:.1f} s"
    if arrivals.n_counted is not None and arrivals.n_counted > 0:
        taken = f"the detector has taken {counted(arrivals.n_counted, 'frame')}, none came over {over}"
        return Finding("error", "frames", f"{taken}: {frames.advice}")
    if arrivals.was_acquiring:
        text = f"{came}: the detector acquires, but has counted no frame (does it wait for a trigger?)"
        return Finding("warning", "frames", text)
    if arrivals.n_counted is None:
        return Finding("warning", "frames", f"{came}, and nobody knows whether the detector acquires")
    return Finding("ok", "frames", f"{came}, since the detector is idle")
