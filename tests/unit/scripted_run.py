"""A run whose sources a script plays, with the profile, request and file of a test around it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import corpus
import h5py
import numpy as np

from stream_service.core.frame import Frame
from stream_service.core.frame_status import FrameStatus
from stream_service.core.run import RunState
from stream_service.core.stream import Begin, StreamEvent
from stream_service.run.live.frame_transport import wanted_attributes
from stream_service.run.live.live_setup import LiveSetup
from stream_service.run.live.live_sources import LiveSources
from stream_service.run.rows.sink import Sink
from stream_service.run.run import Run
from stream_service.settings.preprocessing import Preprocessing
from stream_service.settings.profile import Profile
from stream_service.settings.request import ScanRequest
from stream_service.sources.live.pva_frames import PvaSource
from stream_service.sources.live.pva_queue import Received
from stream_service.testing.manual_clock import ManualClock
from stream_service.testing.scripted_beamline import ScriptedBeamline
from stream_service.testing.scripted_frames import ScriptedFrames, Step
from stream_service.testing.scripted_readbacks import ScriptedReadbacks

BEFORE_NS = (corpus.STAMP_S - 10) * 1_000_000_000
AT_REST = {"x": 3.0, "y": -4.0, "x_moving": 0.0, "y_moving": 0.0, "ring_current": 200.0}


class PvaScript(ScriptedFrames):
    """Messages as PVA brings them, through the decoder of the real source."""

    transport = "PVA"

    def __init__(self, profile: Profile, clock: ManualClock, latest_before: Any = None) -> None:
        """`latest_before` is the last frame of an earlier run."""
        super().__init__(clock)
        self._pva: Any = PvaSource(
            lambda: None,  # type: ignore[arg-type,return-value]  it is not started
            self.channel,
            1 << 20,
            timestamp_field=profile.detector.frame_time.field,
            wanted=wanted_attributes(profile),
        )
        if latest_before is not None:
            updates = iter([latest_before])
            self._pva.queue.subscribe(SimpleNamespace(pop=lambda: next(updates, None), close=lambda: None))

    def begin(self) -> Begin:
        return self._pva.begin()

    def latest_frame(self) -> Frame | None:
        return self._pva.latest_frame()

    def decode(self, message: Any) -> StreamEvent:
        return self._pva.decode(message if isinstance(message, Received) else Received(message, None))


class ScriptedSources(LiveSources):
    """The sources of a run, without any network."""

    def __init__(self, profile: Profile, beamline: ScriptedBeamline) -> None:
        monitors: Any = beamline
        super().__init__(profile, monitors)
        self.queue = beamline.frames.queue

    def doubts(self) -> list[str]:  # they are about the clock of this machine
        return []


class Bench:
    """One run with everything around it."""

    def __init__(
        self,
        folder: Path,
        latest_before: Any = None,
        preprocessing: Mapping[str, Any] | None = None,
        begin: Begin | None = None,
        sinks: Sequence[Sink] = (),
        at_rest: Mapping[str, float] = AT_REST,
        profile: Mapping[str, Any] | None = None,
        **request: Any,
    ) -> None:
        """With `begin` the frames come from a source that says it, as events; else over PVA.

        `at_rest` are the channels with a PV, `profile` what it has unlike others.
        """
        self.clock = ManualClock()
        settings = Preprocessing(**preprocessing or {})
        self.profile = profile_for(folder).model_copy(update={"preprocessing": settings, **(profile or {})})
        self.frames = (
            PvaScript(self.profile, self.clock, latest_before) if begin is None else ScriptedFrames(self.clock, begin)
        )
        self.beamline = ScriptedBeamline(self.frames, ScriptedReadbacks(self.clock, at_rest, BEFORE_NS))
        self.sources = ScriptedSources(self.profile, self.beamline)
        self.detector = self.beamline.detector
        self.request = ScanRequest(scan_id="scan", **request)
        self.sinks = sinks
        self.prepare(self.profile)

    def prepare(self, profile: Profile) -> None:
        """Make the run again, of another profile."""
        self.run = Run(LiveSetup(profile, self.request, self.sources), self.sources, self.clock, self.sinks)

    def set_budget(self, n_bytes: int) -> None:
        """Make the run again, with so much memory for the frames that wait."""
        self.sources.budget_bytes = n_bytes
        self.prepare(self.profile)

    def play(self, *script: Step | Iterable[Step]) -> Run:
        """Arm, and run the script to the end of the run, in this thread. Frames count up the detector's counter."""
        self.run.arm()
        assert self.run.state is RunState.ARMED
        self.frames.script = itertools.chain.from_iterable(
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

    def file_is_written(self) -> None:
        """What was posted until now is in the file, on any machine: what the disk does next meets the next rows."""
        assert self.run.out is not None
        self.run.out.file.call(lambda file: None)

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
                "frames": {"pva": "SIM:Image"},
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
