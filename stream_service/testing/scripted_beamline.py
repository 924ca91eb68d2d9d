"""A beamline that a script plays: what a live run needs beside its profile (see `BeamlineMonitors`), without EPICS."""

from __future__ import annotations

from stream_service.cancellation import Cancellation
from stream_service.errors import SourceError
from stream_service.testing.scripted_frames import ScriptedFrames
from stream_service.testing.scripted_readbacks import ScriptedReadbacks


class ScriptedDetector:
    """A detector that acquires, and whose counter shows what the script says."""

    def __init__(self) -> None:
        self.is_acquiring = True
        self.exposure_s = 0.001
        self.shown: int | None = 0
        """What its counter shows; None: it does not answer."""
        self.answers = True

    def counter(self) -> int:
        """See `DetectorSource`."""
        if self.shown is None or not self.answers:
            raise SourceError("the counter does not answer")
        return self.shown

    def silent(self) -> list[str]:
        """The PVs that do not answer now."""
        return [] if self.answers else ["SIM:Acquire", "SIM:Counter"]


class ScriptedSwitches:
    """The switches between the camera and the plugin that sends its frames: as they must be, or as a script says."""

    def __init__(self) -> None:
        self.problem = self.detour = ""


class ScriptedBeamline:
    """`LiveSources(profile, beamline)` makes the sources of a run of it."""

    def __init__(self, frames: ScriptedFrames, readbacks: ScriptedReadbacks) -> None:
        self.frames = frames
        self.readbacks = readbacks
        self.detector = ScriptedDetector()
        self.switches = ScriptedSwitches()
        self.raw_file_name = self.arrays_file_name = self.arrays_file_problem = ""
        self.raw_file_mark = 0

    def frame_source(self) -> ScriptedFrames:
        """There is one run."""
        return self.frames

    def raw_file_names(self, mark: int) -> tuple[str, ...]:
        """That one, if it is named."""
        return tuple(filter(None, (self.raw_file_name,)))

    def connect(self, cancellation: Cancellation, *, may_acquire: bool = False) -> None:
        """The script answers at once."""

    def attach_thread(self) -> None:
        """There is no EPICS."""
