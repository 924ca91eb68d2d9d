"""The transport of a profile's frames: the one place that knows which it is. Today NDPluginPva, over PV Access."""

from __future__ import annotations

from typing import Self

from p4p.client.raw import Context

from stream_service.run.sources import FrameSource
from stream_service.settings.profile import DetectorSettings, Profile
from stream_service.sources.live.ca_stream import CaStream, camera_prefix, plugin_prefix
from stream_service.sources.live.pva_frames import UNKNOWN_FRAME_BYTES, PvaFrames

MiB = 1 << 20


class FrameTransport:
    """What the frame sources of a profile share; each run has a source of its own. Close it, or use it in a `with`."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._pva = Context("pva", nt=False, useenv=True)

    def source(self) -> FrameSource:
        """A source of the frames of one run, which is not started yet."""
        detector = self._profile.detector
        return PvaFrames(
            self._pva,
            detector.frames_pva,
            queue_bytes(self._profile),
            frame_bytes(detector),
            timestamp_field=detector.frame_time.field,
            wanted=wanted_attributes(self._profile),
        )

    def close(self) -> None:
        """End it, and with it what its sources hear."""
        self._pva.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def frame_switches(detector: DetectorSettings) -> CaStream:
    """The switches between the camera and the plugin that sends its frames."""
    return CaStream(detector.pva_plugin or plugin_prefix(detector.frames_pva), camera_prefix(detector.counter_pv))


def queue_bytes(profile: Profile) -> int:
    """Budget of each queue of frames."""
    return int(profile.service.frame_queue_MiB * MiB)


def wanted_attributes(profile: Profile) -> frozenset[str]:
    """NDAttributes that a channel or the exposure time asks for: reading each costs a microsecond a frame."""
    named = (channel.attribute for channel in profile.channels.values())
    return frozenset(filter(None, (*named, profile.detector.exposure_attribute)))


def frame_bytes(detector: DetectorSettings) -> int:
    """Size of a frame as far as the profile tells: most detectors send 2 bytes per pixel."""
    sensor = detector.sensor_shape
    return 2 * sensor[0] * sensor[1] if sensor else UNKNOWN_FRAME_BYTES
