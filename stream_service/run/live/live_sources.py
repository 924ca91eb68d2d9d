"""Everything a run listens to: a source of frames of its own, and what the service monitors for all runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from stream_service.cancellation import Cancellation
from stream_service.core.frame import Frame
from stream_service.core.pairing.rule import How
from stream_service.core.stream import Begin
from stream_service.errors import SourceError
from stream_service.run.live.arming_doubts import arming_doubts, scalar_problems
from stream_service.run.live.beamline_monitors import BeamlineMonitors
from stream_service.run.live.check_attributes import Latest
from stream_service.run.live.check_numbers import unit_problem
from stream_service.run.live.frame_transport import queue_bytes
from stream_service.run.live.live_readbacks import LiveReadbacks
from stream_service.settings.arrays_file import RIGHT_PV
from stream_service.settings.profile import Profile
from stream_service.sources.hdf5.arrays_file import ArraysFile
from stream_service.sources.live.ca_readbacks import ReadbackStream
from stream_service.text.counted import counted


class LiveSources:
    """The sources of one run; how its frames come is known to their source alone."""

    def __init__(self, profile: Profile, monitors: BeamlineMonitors) -> None:
        self.budget_bytes = queue_bytes(profile)
        self.frames = monitors.frame_source()
        self._pvs = monitors.readbacks.stream(wake=self.frames.queue.wake)
        self._arrays_file: ArraysFile | None = None
        self.readbacks: ReadbackStream | LiveReadbacks = self._pvs
        self.detector = monitors.detector
        self._monitors = monitors
        self._raw_file_mark = 0
        self._switches = monitors.switches
        self._profile = profile

    def follow_arrays(self, profile: Profile) -> None:
        """Let the run hear of arrays in the file that the profile, as it is for its scan, names; before it is made."""
        settings, self._profile = profile.arrays_file, profile

        def path() -> Path | None:
            name = settings.path or self._monitors.arrays_file_name
            return settings.local_path(name) if name else None

        self._arrays_file = ArraysFile(profile.datasets_of_file, path)
        self.readbacks = LiveReadbacks(self._pvs, self._arrays_file)

    def connect(self, cancellation: Cancellation) -> None:
        """See that everything answers, and listen from now on; see `BeamlineMonitors.connect`."""
        self._monitors.connect(cancellation)
        self._raw_file_mark = self._monitors.raw_file_mark
        self._listen(cancellation)
        self.frames.start(cancellation)

    def _listen(self, cancellation: Cancellation) -> None:
        self.readbacks.start()
        if self._arrays_file is not None:
            self._arrays_file.start(cancellation)

    def connect_again(self, cancellation: Cancellation) -> None:
        """The same for a run that goes on: the detector may acquire, and what its channel has kept is the run's."""
        self.frames.listen_again(cancellation)
        self._monitors.connect(cancellation, may_acquire=True)
        self._listen(cancellation)

    def begin(self) -> Begin:
        """The series that begins now: after what the detector's counter shows, unless its source counts by itself."""
        begin, settings = self.frames.begin(), self._profile.detector
        if begin.first_unique_id is not None:
            with suppress(SourceError):  # its frames are counted without
                begin = replace(begin, counter_before=self.detector.counter())
            return begin
        begin = replace(begin, restart_unique_id=settings.restart_id)
        if settings.first_id == "after_counter":
            return replace(begin, first_unique_id=self.detector.counter() + 1, is_counted=True)
        return replace(begin, first_unique_id=settings.first_id)

    @property
    def raw_file_names(self) -> tuple[str, ...]:
        """Of the files that the HDF5 plugin has written since the run was armed, and before it, as its IOC names them;
        none if nobody says."""
        return self._monitors.raw_file_names(self._raw_file_mark)

    def attach_thread(self) -> None:
        """See `BeamlineMonitors.attach_thread`."""
        self._monitors.attach_thread()

    def latest_frame(self) -> Frame | None:
        """The last frame before the run, if there is one that can be decoded."""
        try:
            return self.frames.latest_frame()
        except SourceError:  # told when the series began
            return None

    def doubts(self) -> list[str]:
        """Doubts about the clocks or the NDAttributes, by the last frame and the readbacks as they are."""
        readbacks = self._monitors.readbacks
        pvs = {n for n, channel in self._profile.channels.items() if channel.pv and channel.how is not How.INDEX}
        latest = {name: Latest(readbacks.latest(name), readbacks.latest_stamp_ns(name)) for name in pvs}
        units = [unit_problem(self._profile, name, readbacks.unit(name)) for name in sorted(pvs)]
        try:
            others = list(arming_doubts(self._profile, self.latest_frame(), self.detector, latest))
        except SourceError as error:
            others = [str(error)]
        scalars = [finding.text for finding in scalar_problems(self._profile, readbacks)]
        return [*filter(None, units), *scalars, *self._arrays_file_doubt(), *others]

    def _arrays_file_doubt(self) -> Iterator[str]:
        settings, problem = self._profile.arrays_file, self._monitors.arrays_file_problem
        if problem and not settings.path and self._profile.datasets_of_file:
            yield f"{problem}: every row of this run will be flagged missing, and not used. {RIGHT_PV}"

    def silent(self) -> list[str]:
        """The PVs and channels that do not answer now."""
        return [*self.frames.silent(), *self.detector.silent(), *self.readbacks.silent()]

    @property
    def detector_answers(self) -> bool:
        """False while no frame can come: its channel or the detector itself is gone."""
        return self.frames.is_connected and self.detector.answers

    @property
    def stream_problem(self) -> str:
        """Reason why no frame can come, as far as connections and switches tell; empty if they are as they must be."""
        return self._switches.problem or self.frames.problem

    def missing_problem(self, n_missing: int, *, is_first: bool) -> str:
        """How many frames the detector has taken that did not come, and why, or what to look at.

        Where frames had come, and the detector is idle, what the switches are now tells nothing of what they were.
        """
        over = f"over {self.frames.transport}"
        taken = f"the detector has taken {counted(n_missing, 'frame')}"
        taken += f", none came {over}" if is_first else f" more, which did not come {over}"
        if not (is_first or self.detector.is_acquiring):
            return taken
        why = self.stream_problem or self._switches.detour
        return f"{taken}: {why or self.frames.advice}"

    def close(self) -> None:
        """Listen no more; the monitors go on."""
        self.readbacks.close()
        self.frames.close()
