"""The PVs of a profile, monitored from the start of the service to its end; runs share them (ADR 0015)."""

from __future__ import annotations

import math

from stream_service.cancellation import Cancellation
from stream_service.channel_access.library import attach_thread
from stream_service.core.energies import FINEST_eV
from stream_service.core.exposure import POSITION_CHANNELS
from stream_service.core.pairing.rule import How
from stream_service.errors import ConfigError
from stream_service.run.live.frame_transport import LiveFrames, frame_switches, frame_transport
from stream_service.settings.channel_settings import Motion
from stream_service.settings.profile import Profile, moving_channel
from stream_service.settings.service_status import ReadbackStatus, Severity
from stream_service.sources.live.ca_detector import CaDetector
from stream_service.sources.live.ca_file_name import RAW_FILE_NAME, CaFileName
from stream_service.sources.live.ca_monitor import CaMonitor
from stream_service.sources.live.ca_readbacks import CaReadbacks, Follow
from stream_service.sources.live.pva_array_monitor import PvaArrayMonitor

DMOV, MOVN = ".DMOV", ".MOVN"
DETECTOR = "detector"
"""Stands for a channel where the PV is the detector's."""


class BeamlineMonitors:
    """Readbacks, detector and switches over CA; and the transport of the frames, of which each run has its source."""

    def __init__(self, profile: Profile) -> None:
        """Nothing is waited for: what does not answer is named when a run is armed."""
        detector = profile.detector
        self.readbacks = CaReadbacks(followed_channels(profile))
        self.detector = CaDetector(detector.acquire_pv, detector.counter_pv, detector.exposure_pv)
        self.switches = frame_switches(detector)
        self.switches.connect()
        self._raw_file = CaFileName(profile.raw_file.plugin + RAW_FILE_NAME) if profile.raw_file.plugin else None
        self._arrays_file = CaFileName(profile.arrays_file.pv) if profile.arrays_file.pv else None
        self._acquire_pv = detector.acquire_pv
        self._transport = frame_transport(profile)

    @property
    def raw_file_mark(self) -> int:
        """For `raw_file_names`: this moment."""
        return 0 if self._raw_file is None else self._raw_file.mark

    def raw_file_names(self, mark: int) -> tuple[str, ...]:
        """Of the files that the HDF5 plugin of the profile has written since then, that of then among them; none if
        nobody says."""
        return () if self._raw_file is None else self._raw_file.since(mark)

    @property
    def arrays_file_name(self) -> str:
        """Of the file with hardware-captured arrays, by the PV of the profile; empty if nobody says."""
        return "" if self._arrays_file is None else self._arrays_file.latest

    @property
    def arrays_file_problem(self) -> str:
        """Why that PV can never tell the name; empty if it can."""
        return "" if self._arrays_file is None else self._arrays_file.problem

    def frame_source(self) -> LiveFrames:
        """A source of the frames of one run, which is not started yet."""
        return self._transport.source()

    def connect(self, cancellation: Cancellation, *, may_acquire: bool = False) -> None:
        """See that everything answers. Raises `SourceError` naming what does not, `CancelledError`, and, unless it
        `may_acquire`, `ConfigError` when the detector already acquires: its frames could not be told from those of the
        run to come.
        """
        self.attach_thread()
        self.switches.connect()
        self.detector.connect(cancellation)
        if self.detector.is_acquiring and not may_acquire:
            raise ConfigError(
                f"{self._acquire_pv} says that the detector is already acquiring: "
                "stop it, then arm the service, then start it"
            )
        self.readbacks.connect(cancellation)

    def readback_status(self) -> tuple[ReadbackStatus, ...]:
        """The followed PVs as they are now, and the connections of the detector's, whose values are not told. Asks for
        units that are not known yet, and may wait for them."""
        self.attach_thread()
        followed = (_status_of(channel, monitor) for channel, monitor in self.readbacks.followed())
        connections = self.detector.connections().items()
        return *followed, *(ReadbackStatus(DETECTOR, *each, 0, math.nan, "", 0) for each in connections)

    def attach_thread(self) -> None:
        """Let the calling thread ask the PVs; needed once in the thread that works on a run."""
        attach_thread()

    def close(self) -> None:
        """End all monitors."""
        self._transport.close()
        self.readbacks.close()
        self.detector.close()
        self.switches.close()
        for name in filter(None, (self._raw_file, self._arrays_file)):
            name.close()


def _status_of(channel: str, monitor: CaMonitor | PvaArrayMonitor) -> ReadbackStatus:
    last, speaks = monitor.last, monitor.speaks
    return ReadbackStatus(
        channel=channel,
        pv=monitor.name,
        is_connected=monitor.is_connected,
        severity=monitor.severity if speaks else Severity.INVALID,
        value=math.nan if last is None else last.raw,
        unit=monitor.unit if speaks else "",
        time_ns=0 if last is None else last.stamp_ns,
    )


def followed_channels(profile: Profile) -> dict[str, Follow]:
    """Every PV of the profile whose history is followed, by channel name; the motion of an axis is one of its own."""
    follow: dict[str, Follow] = {}
    for name, channel in profile.channels.items():
        if channel.pv:
            follow[name] = Follow(channel.pv, is_array=channel.how is How.INDEX, tolerance=_tolerance(profile, name))
        if channel.times is not None and channel.times.pv:
            follow[profile.times_of(name)] = Follow(channel.times.pv, is_array=True)
        if channel.moving:
            follow[moving_channel(name)] = _follow_motion(channel.moving)
    return follow


def _tolerance(profile: Profile, name: str) -> float:
    """What makes no difference to a row, in the channel's own unit; infinite for one whose value no row waits for."""
    if profile.channels[name].how is How.INDEX:
        return math.inf
    if name in POSITION_CHANNELS:
        return profile.position_tolerance_m / profile.scale_of(name)
    return FINEST_eV / profile.scale_of(name) if name == "energy" else math.inf


def _follow_motion(motion: Motion) -> Follow:
    """A motor record stamps DMOV = 0 with the end of the *previous* move, so its MOVN is followed where there is
    one."""
    declared = Follow(motion.pv, motion.moving_when, tolerance=0.0)
    if not motion.pv.endswith(DMOV):
        return declared
    return Follow(motion.pv.removesuffix(DMOV) + MOVN, moving_when=1, tolerance=0.0, instead_of=declared)
