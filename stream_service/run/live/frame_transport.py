"""The transport of a profile's frames: the one place that knows which it is."""

from __future__ import annotations

from typing import Protocol
from zoneinfo import ZoneInfo

from p4p.client.raw import Context

from stream_service.cancellation import Cancellation
from stream_service.core.frame import MOST_FRAME_BYTES
from stream_service.run.sources import FrameSource
from stream_service.settings.frames import Frames, MiB, ZmqFrames
from stream_service.settings.profile import DetectorSettings, Profile
from stream_service.sources.live.ca_stream import CaStream, camera_prefix, plugin_prefix
from stream_service.sources.live.pva_frames import UNKNOWN_FRAME_BYTES, PvaSource
from stream_service.sources.live.zmq.adzmq import Adzmq
from stream_service.sources.live.zmq.dialect import Dialect
from stream_service.sources.live.zmq.frames import ZmqSource
from stream_service.sources.live.zmq.receiver import ZmqReceiver
from stream_service.sources.live.zmq.simplon import Simplon
from stream_service.sources.live.zmq.stream2 import Stream2

HEADER_BYTES = 1 << 16
"""Of a message, beside its pixels."""


class LiveFrames(FrameSource, Protocol):
    """A source that has connections."""

    def silent(self) -> list[str]:
        """Channels or addresses of it that do not answer now, as a message names them."""
        ...

    @property
    def problem(self) -> str:
        """What else is wrong with its connections, in a sentence; empty if nothing is."""
        ...

    @property
    def advice(self) -> str:
        """What to look at when frames do not come, a question."""
        ...

    def listen(self) -> None:
        """Let messages come, what the sender has kept among them, without a run. Raises `SourceError` when nothing
        answers, and `ConfigError`."""
        ...

    def listen_again(self, cancellation: Cancellation) -> None:
        """Let messages come for a run that goes on: what the sender has kept is of it. Raises what `start` raises."""
        ...


class FrameTransport(Protocol):
    """What the frame sources of a profile share; each run has a source of its own."""

    def source(self) -> LiveFrames:
        """A source of the frames of one run, which is not started yet."""
        ...

    def close(self) -> None:
        """End it, and with it what its sources hear."""
        ...


class PvaTransport:
    """PV Access: each source has clients of its own."""

    def __init__(self, profile: Profile, channel: str, wanted: frozenset[str] | None) -> None:
        self._profile = profile
        self._channel = channel
        self._wanted = wanted

    def source(self) -> LiveFrames:
        """See `FrameTransport`."""
        detector = self._profile.detector
        return PvaSource(
            lambda: Context("pva", nt=False, useenv=True),
            self._channel,
            queue_bytes(self._profile),
            frame_bytes(detector),
            timestamp_field=detector.frame_time.field,
            wanted=self._wanted,
        )

    def close(self) -> None:
        """See `FrameTransport`; nothing is shared."""


class ZmqTransport:
    """ZMQ: all sources share one socket, and what is known of the sender's series."""

    def __init__(self, profile: Profile, frames: ZmqFrames, dialect: Dialect) -> None:
        detector = profile.detector
        self._budget_bytes = queue_bytes(profile)
        self._receiver = ZmqReceiver(frames, self._budget_bytes, frame_bytes(detector), largest_bytes(frames, detector))
        self._dialect = dialect

    def source(self) -> LiveFrames:
        """See `FrameTransport`."""
        return ZmqSource(self._receiver, self._dialect, self._budget_bytes)

    def close(self) -> None:
        """See `FrameTransport`."""
        self._receiver.close()


def frame_transport(profile: Profile, *, all_attributes: bool = False) -> FrameTransport:
    """The transport that a profile names; of the attributes of a frame those that the profile names are read."""
    frames, wanted = profile.detector.frames, None if all_attributes else wanted_attributes(profile)
    if frames.adzmq:
        return ZmqTransport(profile, frames.adzmq, Adzmq(wanted))
    if frames.simplon:
        zone = ZoneInfo(frames.simplon.time_zone) if frames.simplon.time_zone else None
        return ZmqTransport(profile, frames.simplon, Simplon(wanted, zone))
    if frames.stream2:
        return ZmqTransport(profile, frames.stream2, Stream2(frames.stream2.channel, wanted))
    assert frames.pva is not None, "the profile has one of them"
    return PvaTransport(profile, frames.pva.channel, wanted)


def frame_switches(detector: DetectorSettings) -> CaStream:
    """The switches between the camera and the plugin that sends its frames; a Dectris detector's stream has none."""
    frames = detector.frames
    if frames.simplon or frames.stream2:
        return CaStream("", "")
    return CaStream(sending_plugin(frames), camera_prefix(detector.counter_pv))


def sending_plugin(frames: Frames) -> str:
    """Prefix of the plugin that sends the frames; empty if nobody knows."""
    if frames.adzmq:
        return frames.adzmq.plugin
    return frames.pva.plugin or plugin_prefix(frames.pva.channel) if frames.pva else ""


def takes_from_others(frames: Frames) -> bool:
    """True if whoever listens takes frames, or the address, away from a service that runs."""
    zmq = frames.zmq
    return zmq is not None and (zmq.socket == "pull" or bool(zmq.bind))


def counts_each_series(frames: Frames) -> bool:
    """True if ids begin anew with each series: the detector's counter does not show them."""
    return frames.simplon is not None or frames.stream2 is not None


def attribute_advice(frames: Frames) -> str:
    """What to do about an attribute that frames do not carry."""
    if not counts_each_series(frames):
        return "add it to the attributes file"
    name, numbers = ("SIMPLON", "the image appendix") if frames.simplon else ("Stream2", "the user data")
    return f"{name} has none, only real_time and numbers of {numbers}. Pair by 'how: timestamp'"


def no_time_advice(frames: Frames) -> str:
    """What to do about frames that carry no time."""
    if frames.simplon:
        return (
            "set header_detail of the control unit to basic or all; if its arm date names no time zone, give "
            "detector.frames.simplon.time_zone; of a series that began before, the header is gone: start the "
            "detector anew"
        )
    if frames.adzmq:
        return "this version of ADZMQ sends none: update it"
    return "choose the other detector.frame_time.field"


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


def largest_bytes(frames: ZmqFrames, detector: DetectorSettings) -> int:
    """The largest part of a message that is let in."""
    if frames.largest_message_MiB is not None:
        return int(frames.largest_message_MiB * MiB)
    sensor = detector.sensor_shape
    return min(MOST_FRAME_BYTES, 8 * sensor[0] * sensor[1] if sensor else MOST_FRAME_BYTES) + HEADER_BYTES
