"""A run with scripted sources and a clock that only the script moves: for tests of the service without a network."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import corpus
import h5py
import numpy as np

from stream_service.cancellation import Cancellation
from stream_service.core.frame import Frame
from stream_service.core.ledger import FrameStatus
from stream_service.core.pairing.history import Readback
from stream_service.core.readback_events import Watermark
from stream_service.core.run import RunState
from stream_service.errors import SourceError
from stream_service.run.live.live_setup import LiveSetup
from stream_service.run.live.live_sources import LiveSources, wanted_attributes
from stream_service.run.run import Run
from stream_service.settings.profile import Preprocessing, Profile
from stream_service.settings.request import ScanRequest
from stream_service.sources.live.pva_frames import Received
from stream_service.testing.manual_clock import ManualClock

BEFORE_NS = (corpus.STAMP_S - 10) * 1_000_000_000
MOST_IDLE_LOOPS = 10_000

Step = list[Any] | Callable[[], None]
"""Messages that arrive together, or something that happens."""


class ScriptedQueue:
    """The frame queue: each `take` plays the next step; when the script is at its end, time passes."""

    def __init__(self, clock: ManualClock, script: Iterator[Step]) -> None:
        self.held_bytes = 0
        self.is_closed = False
        self.is_endless = False
        """There is always one more frame, until the subscription is closed."""
        self._clock = clock
        self._script = script
        self._n_idle = 0

    def __len__(self) -> int:
        return int(self.is_endless and not self.is_closed)

    def take(self, timeout_s: float) -> list[Any]:
        step = None if self.is_closed else next(self._script, None)
        if isinstance(step, list):
            return step
        if step is not None:
            step()
            return []
        self.wait(timeout_s)
        return []

    def wait(self, timeout_s: float) -> None:
        self._n_idle += 1
        assert self._n_idle < MOST_IDLE_LOOPS, "the run does not end"
        self._clock.now_s += timeout_s

    def wake(self) -> None:
        pass

    def close(self) -> None:
        self.is_closed = True


class Frames:
    """A subscription; `latest_before` is the last frame of an earlier run."""

    def __init__(self, queue: ScriptedQueue, latest_before: Any) -> None:
        self.queue = queue
        self.latest_before = latest_before
        self.channel = "SIM:Image"
        self.is_connected = True

    def close(self) -> None:
        self.queue.close()


class Readbacks:
    """Channels at rest; every question is answered at once, but for the channels that are dead."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.events: list[Any] = [
            Readback("x", 3.0, BEFORE_NS),
            Readback("y", -4.0, BEFORE_NS),
            Readback("x_moving", 0.0, BEFORE_NS),
            Readback("y_moving", 0.0, BEFORE_NS),
            Readback("ring_current", 200.0, BEFORE_NS),
        ]
        self.dead: set[str] = set()
        self.gone: set[str] = set()
        """Of the dead ones, those whose PV is disconnected."""
        self.is_closed = False

    def take(self) -> list[Any]:
        taken, self.events = self.events, []
        return taken

    def ask(self, frame_end_ns: int, arrived_at: float) -> None:
        until_ns = frame_end_ns + round((self._clock() - arrived_at) * 1e9)
        for channel in {"x", "y", "x_moving", "y_moving"} - self.dead:
            self.events.append(Watermark(channel, until_ns))

    def go_on(self) -> bool:
        return False

    def finish(self) -> None:
        pass

    def latest(self, channel: str) -> float:
        return 700.0

    def silent(self) -> list[str]:
        return [f"SIM:{channel}" for channel in sorted(self.dead & self.gone)]

    def close(self) -> None:
        self.is_closed = True


class Detector:
    def __init__(self) -> None:
        self.is_acquiring = True
        self.exposure_s = 0.001
        self.shown: int | None = 0
        """What its counter shows; None: it does not answer."""
        self.answers = True

    def counter(self) -> int:
        if self.shown is None or not self.answers:
            raise SourceError("the counter does not answer")
        return self.shown

    def silent(self) -> list[str]:
        return [] if self.answers else ["SIM:Acquire", "SIM:Counter"]


class Stream:
    """The switches between camera and PVA channel."""

    def __init__(self) -> None:
        self.problem = self.detour = ""


class ScriptedSources(LiveSources):
    """The sources of a run, without any network."""

    def __init__(self, profile: Profile, clock: ManualClock, latest_before: Any = None) -> None:
        self.script: Iterable[Step] = ()
        self.budget_bytes = 1 << 27
        self.queue = ScriptedQueue(clock, iter(self._steps()))
        self.frames: Any = Frames(self.queue, latest_before)
        self.readbacks: Any = Readbacks(clock)
        self.detector: Any = Detector()
        self._stream: Any = Stream()
        self._settings = profile.detector
        self._wanted = wanted_attributes(profile)

    def _steps(self) -> Iterator[Step]:
        yield from self.script

    def connect(self, cancellation: Cancellation) -> None:
        pass

    def attach_thread(self) -> None:
        pass

    def doubts(self) -> list[str]:
        return []

    def decode(self, message: Any) -> Frame:
        return super().decode(message if isinstance(message, Received) else Received(message, None))


class Bench:
    """One run with everything around it."""

    def __init__(
        self, folder: Path, latest_before: Any = None, preprocessing: Mapping[str, Any] | None = None, **request: Any
    ) -> None:
        self.clock = ManualClock()
        settings = Preprocessing(**preprocessing or {})
        self.profile = profile_for(folder).model_copy(update={"preprocessing": settings})
        self.sources = ScriptedSources(self.profile, self.clock, latest_before)
        self.detector = self.sources.detector
        self.request = ScanRequest(scan_id="scan", **request)
        self.prepare(self.profile)

    def prepare(self, profile: Profile) -> None:
        """Make the run again, of another profile."""
        self.run = Run(LiveSetup(profile, self.request, self.sources), self.sources, self.clock)

    def set_budget(self, n_bytes: int) -> None:
        """Make the run again, with so much memory for the frames that wait."""
        self.sources.budget_bytes = n_bytes
        self.prepare(self.profile)

    def play(self, *script: Step | Iterable[Step]) -> Run:
        """Arm, and run the script to the end of the run, in this thread. Frames count up the detector's counter."""
        self.run.arm()
        assert self.run.state is RunState.ARMED
        self.sources.script = itertools.chain.from_iterable(
            step if isinstance(step, Iterator) else [step] for step in script
        )
        self.run.work()
        assert self.run.state.has_ended
        assert self.sources.queue.is_closed and self.sources.readbacks.is_closed
        return self.run

    def stop(self) -> None:
        """Someone asks the run to stop."""
        self.run.stop()

    def exposed(self, n: int) -> Callable[[], None]:
        def happen() -> None:
            self.detector.shown = n

        return happen

    def waits(self, seconds: float) -> Callable[[], None]:
        def happen() -> None:
            self.clock.now_s += seconds

        return happen

    def settles(self) -> Iterator[Step]:
        """Time for the frames so far to be asked after, paired, and flushed."""
        return iter([self.waits(0.2)] * 3)

    def detector_stops(self) -> None:
        self.detector.is_acquiring = False

    def file(self) -> h5py.File:
        """The finished file; a file that was not closed cannot be opened like this."""
        return h5py.File(self.run.setup.path, "r")

    def rows(self) -> list[int]:
        with self.file() as file:
            return file["/entry/frames/unique_id"][:, 0].tolist()

    def statuses(self) -> dict[int, FrameStatus]:
        with self.file() as file:
            ids, status = file["/entry/ledger/unique_id"][:], file["/entry/ledger/status"][:]
            return {int(unique_id): FrameStatus(int(code)) for unique_id, code in zip(ids, status, strict=True)}


def profile_for(folder: Path) -> Profile:
    return Profile.model_validate(
        {
            "beamline": "test",
            "service": {"data_root": folder, "grace_s": 30.0, "drain_s": 2.0, "pairing_timeout_s": 5.0},
            "detector": {
                "frames_pva": "SIM:Image",
                "acquire_pv": "SIM:Acquire",
                "counter_pv": "SIM:Counter",
                "exposure_pv": "SIM:Exposure",
                "distance_m": 0.1,
                "pixel_m": 75e-6,
            },
            "channels": {
                "x": {"how": "timestamp", "pv": "SIM:X", "unit": "um", "moving": {"pv": "SIM:X.DMOV"}},
                "y": {"how": "timestamp", "pv": "SIM:Y", "unit": "um", "moving": {"pv": "SIM:Y.DMOV"}},
                "energy": {"how": "attribute", "attribute": "energy", "unit": "eV"},
                "ring_current": {"how": "timestamp", "pv": "SIM:Ring", "unit": "mA", "continuous": False},
            },
        }
    )


def frames(ids: Iterable[int]) -> Iterator[Step]:
    """One frame after another; pixel values tell them apart."""
    return iter([[frame(n)] for n in ids])


def frame(n: int, shape: tuple[int, int] = (6, 8), seconds: float | None = None) -> Any:
    return corpus.good(n, pixels=np.full(shape, n & 0xFFFF, np.uint16), seconds=seconds)
