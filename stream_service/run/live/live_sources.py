"""Everything a run listens to: its own subscription to frames, and what the service monitors for all runs."""

from __future__ import annotations

import logging

from p4p.client.thread import Context

from stream_service.cancellation import Cancellation
from stream_service.channel_access.library import attach_thread
from stream_service.core.frame import Frame
from stream_service.core.stream import Begin
from stream_service.errors import ConfigError, SourceError
from stream_service.run.live.arming_doubts import arming_doubts
from stream_service.run.live.check_attributes import Latest
from stream_service.run.live.check_numbers import unit_problem
from stream_service.settings.profile import DetectorSettings, Motion, Profile, moving_channel
from stream_service.sources.live.ca_detector import CaDetector
from stream_service.sources.live.ca_readbacks import CaReadbacks, Follow
from stream_service.sources.live.ca_stream import CaStream, camera_prefix, plugin_prefix
from stream_service.sources.live.ntndarray import decode_ntndarray, identity_of
from stream_service.sources.live.pva_frames import UNKNOWN_FRAME_BYTES, PvaFrames, Received
from stream_service.text.counted import counted

log = logging.getLogger(__name__)

MiB = 1 << 20
DMOV, MOVN = ".DMOV", ".MOVN"


def followed_channels(profile: Profile) -> dict[str, Follow]:
    """Every PV of the profile whose history is followed, by channel name; the motion of an axis is one of its own."""
    follow: dict[str, Follow] = {}
    for name, channel in profile.channels.items():
        if channel.pv:
            follow[name] = Follow(channel.pv)
        if channel.moving:
            follow[moving_channel(name)] = _follow_motion(channel.moving)
    return follow


def _follow_motion(motion: Motion) -> Follow:
    """A motor record stamps DMOV = 0 with the end of the *previous* move, so its MOVN is followed where there is
    one."""
    declared = Follow(motion.pv, motion.moving_when)
    if not motion.pv.endswith(DMOV):
        return declared
    return Follow(motion.pv.removesuffix(DMOV) + MOVN, moving_when=1, instead_of=declared)


def stream_of(detector: DetectorSettings) -> CaStream:
    """The switches between the camera and the PVA channel of a profile."""
    return CaStream(detector.pva_plugin or plugin_prefix(detector.frames_pva), camera_prefix(detector.counter_pv))


def wanted_attributes(profile: Profile) -> frozenset[str]:
    """NDAttributes that a channel or the exposure time asks for: reading each costs a microsecond a frame."""
    named = (channel.attribute for channel in profile.channels.values())
    return frozenset(filter(None, (*named, profile.detector.exposure_attribute)))


def frame_bytes(profile: Profile) -> int:
    """Size of a frame as far as the profile tells: most detectors send 2 bytes per pixel."""
    sensor = profile.detector.sensor_shape
    return 2 * sensor[0] * sensor[1] if sensor else UNKNOWN_FRAME_BYTES


class BeamlineMonitors:
    """The PVs of a profile, monitored from the start of the service to its end; runs share them (ADR 0015)."""

    def __init__(self, profile: Profile, pva: Context) -> None:
        """Nothing is waited for: what does not answer is named when a run is armed."""
        detector = profile.detector
        self.pva = pva
        self.readbacks = CaReadbacks(followed_channels(profile))
        self.detector = CaDetector(detector.acquire_pv, detector.counter_pv, detector.exposure_pv)
        self.stream = stream_of(detector)
        self.stream.connect()

    def close(self) -> None:
        """End all monitors."""
        self.readbacks.close()
        self.detector.close()
        self.stream.close()


class LiveSources:
    """The sources of one run."""

    def __init__(self, profile: Profile, monitors: BeamlineMonitors) -> None:
        detector = profile.detector
        self.budget_bytes = int(profile.service.frame_queue_MiB * MiB)
        self.frames = PvaFrames(monitors.pva, detector.frames_pva, self.budget_bytes, frame_bytes(profile))
        self.readbacks = monitors.readbacks.stream(wake=self.frames.queue.wake)
        self.detector = monitors.detector
        self._monitors = monitors
        self._stream = monitors.stream
        self._settings = detector
        self._profile = profile
        self._wanted = wanted_attributes(profile)

    def connect(self, cancellation: Cancellation) -> None:
        """See that everything answers, and listen from now on. Raises `SourceError` naming what does not answer,
        `ConfigError` when the detector already acquires (its frames could not be told from those of the run), and
        `CancelledError`.
        """
        attach_thread()
        self._stream.connect()
        self.detector.connect(cancellation)
        if self.detector.is_acquiring:
            raise ConfigError(
                f"{self._settings.acquire_pv} says that the detector is already acquiring: "
                "stop it, then arm the service, then start it"
            )
        self._monitors.readbacks.connect(cancellation)
        self.readbacks.start()
        self.frames.start(cancellation)
        self.frames.begin()

    def attach_thread(self) -> None:
        """Let the calling thread ask the PVs; needed once in the thread that works on the run."""
        attach_thread()

    def latest_frame(self) -> Frame | None:
        """The last frame before the run with all its NDAttributes, if there is one that can be decoded."""
        if self.frames.latest_before is None:
            return None
        try:
            return decode_ntndarray(self.frames.latest_before, self._settings.frame_time.field)
        except SourceError as error:
            log.warning("the last frame before the run cannot be used to prepare it: %s", error)
            return None

    def doubts(self) -> list[str]:
        """Doubts about the clocks or the NDAttributes, by the last frame and the readbacks as they are."""
        readbacks = self._monitors.readbacks
        pvs = {name for name, channel in self._profile.channels.items() if channel.pv}
        latest = {name: Latest(readbacks.latest(name), readbacks.latest_stamp_ns(name)) for name in pvs}
        units = [unit_problem(self._profile, name, readbacks.unit(name)) for name in sorted(pvs)]
        try:
            others = list(arming_doubts(self._profile, self.latest_frame(), self.detector, latest))
        except SourceError as error:
            others = [str(error)]
        return [*filter(None, units), *others]

    def decode(self, message: Received) -> Frame:
        """The frame in a message; raises `SourceError` if it is none."""
        return decode_ntndarray(message.message, self._settings.frame_time.field, message.at_s, self._wanted)

    def begin(self) -> Begin:
        """The series that begins after the detector's counter as it stands now."""
        first = self._settings.first_id
        return Begin(
            self.detector.counter() + 1 if first == "after_counter" else first,
            restart_unique_id=self._settings.restart_id,
            last_before=self._last_before(),
            is_counted=first == "after_counter",
        )

    def _last_before(self) -> tuple[int, int] | None:
        """Id and stamp of the last frame before the run; None if there is no such frame, or it cannot be read."""
        message = self.frames.latest_before
        if message is None:
            return None
        try:
            return identity_of(message, self._settings.frame_time.field)
        except SourceError:
            return None

    def silent(self) -> list[str]:
        """The PVs and channels that do not answer now."""
        frames = [] if self.frames.is_connected else [f"{self.frames.channel} (PVA)"]
        return [*frames, *self.detector.silent(), *self.readbacks.silent()]

    @property
    def detector_answers(self) -> bool:
        """False while no frame can come: the PVA channel or the detector itself is gone."""
        return self.frames.is_connected and self.detector.answers

    @property
    def stream_problem(self) -> str:
        """Reason why no frame can come, as far as the detector's switches tell; empty if they are as they must be."""
        return self._stream.problem

    def missing_problem(self, n_missing: int, *, is_first: bool) -> str:
        """How many frames the detector has taken that did not come over PVA, and why, or what to look at."""
        taken = f"the detector has taken {counted(n_missing, 'frame')}"
        taken += ", none came over PVA" if is_first else " more, which did not come over PVA"
        why = self.stream_problem or self._stream.detour
        return f"{taken}: {why or f'is the plugin behind {self.frames.channel} enabled?'}"

    def close(self) -> None:
        """Listen no more; the monitors go on."""
        self.readbacks.close()
        self.frames.close()
