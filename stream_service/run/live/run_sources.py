"""Everything a run listens to: frames, readbacks, and the detector's own state; connected when the run is armed."""

from __future__ import annotations

import logging

from p4p.client.thread import Context

from stream_service.channel_access.library import attach_thread
from stream_service.core.frame import Frame
from stream_service.core.ledger import Ledger
from stream_service.errors import ConfigError, SourceError
from stream_service.run.live.arming_doubts import arming_doubts
from stream_service.run.live.check_attributes import Latest
from stream_service.run.live.check_numbers import unit_problem
from stream_service.settings.profile import DetectorSettings, Motion, Profile, moving_channel
from stream_service.settings.request import ScanRequest
from stream_service.sources.live.ca_detector import CaDetector
from stream_service.sources.live.ca_readbacks import CaReadbacks, Follow
from stream_service.sources.live.ca_stream import CaStream, camera_prefix, plugin_prefix
from stream_service.sources.live.ntndarray import decode_ntndarray, identity_of
from stream_service.sources.live.pva_frames import UNKNOWN_FRAME_BYTES, PvaFrames, Received

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


def frame_bytes(profile: Profile) -> int:
    """Size of a frame as far as the profile tells: most detectors send 2 bytes per pixel."""
    sensor = profile.detector.sensor_shape
    return 2 * sensor[0] * sensor[1] if sensor else UNKNOWN_FRAME_BYTES


class RunSources:
    """The sources of one run."""

    def __init__(self, profile: Profile, pva: Context) -> None:
        detector = profile.detector
        self.budget_bytes = int(profile.service.frame_queue_MiB * MiB)
        self.frames = PvaFrames(pva, detector.frames_pva, self.budget_bytes, frame_bytes(profile))
        self.readbacks = CaReadbacks(followed_channels(profile), wake=self.frames.queue.wake)
        self.detector = CaDetector(detector.acquire_pv, detector.counter_pv, detector.exposure_pv)
        self._stream = stream_of(detector)
        self._settings = detector
        self._profile = profile

    def connect(self) -> None:
        """Connect everything and wait for first values. Raises `SourceError` naming what does not answer, and
        `ConfigError` when the detector already acquires: its frames could not be told from those of the run.
        """
        self._stream.start()
        self.detector.start()
        if self.detector.is_acquiring:
            raise ConfigError(
                f"{self._settings.acquire_pv} says that the detector is already acquiring: "
                "stop it, then arm the service, then start it"
            )
        self.readbacks.start()
        self.frames.start()
        self.frames.begin()

    def attach_thread(self) -> None:
        """Let the calling thread ask the PVs; needed once in the thread that works on the run."""
        attach_thread()

    def latest_frame(self) -> Frame | None:
        """The last frame before the run, if there is one that can be decoded."""
        if self.frames.latest_before is None:
            return None
        try:
            return self.decode(Received(self.frames.latest_before, None))
        except SourceError as error:
            log.warning("the last frame before the run cannot be used to prepare it: %s", error)
            return None

    def doubts(self) -> list[str]:
        """What speaks against the clocks or the NDAttributes, by the last frame and the readbacks as they are."""
        pvs = {name for name, channel in self._profile.channels.items() if channel.pv}
        latest = {name: Latest(self.readbacks.latest(name), self.readbacks.latest_stamp_ns(name)) for name in pvs}
        units = [unit_problem(self._profile, name, self.readbacks.unit(name)) for name in sorted(pvs)]
        try:
            others = list(arming_doubts(self._profile, self.latest_frame(), self.detector, latest))
        except SourceError as error:
            others = [str(error)]
        return [*filter(None, units), *others]

    def decode(self, message: Received) -> Frame:
        """The frame in a message; raises `SourceError` if it is none."""
        return decode_ntndarray(message.message, self._settings.frame_time.field, message.at_s)

    def open_ledger(self, request: ScanRequest) -> Ledger:
        """The account of the run, beginning after the detector's counter as it stands now."""
        first = self._settings.first_id
        return Ledger(
            self.detector.counter() + 1 if first == "after_counter" else first,
            request.n_planned_frames,
            n_extra=request.extra_frames,
            restart_unique_id=self._settings.restart_id,
            last_before=self._last_before(),
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
        """Why no frame can come, as far as the detector's switches tell; empty if they are as they must be."""
        return self._stream.problem

    @property
    def stream_detour(self) -> str:
        """What stands between the camera and its PVA channel; empty if there is nothing, or nobody tells."""
        return self._stream.detour

    def close(self) -> None:
        """Disconnect everything."""
        self.frames.close()
        self.readbacks.close()
        self.detector.close()
        self._stream.close()
