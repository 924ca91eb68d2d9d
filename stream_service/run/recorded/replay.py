"""A recorded scan through the live path, without an IOC: same run, queue, pairing and growing file as at a beamline.

For trying what follows a live file (PtyPy, screens, scripts) on known data, and for comparing live with offline.
"""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from stream_service.core.pairing.pairer import ChannelRule, How, channels_followed
from stream_service.core.run import EndReason
from stream_service.errors import ConfigError, SourceError
from stream_service.run.recorded.ingest_settings import IngestSettings
from stream_service.run.recorded.recorded_channels import RecordedChannels, channels_of
from stream_service.run.recorded.recorded_clock import check_clocks
from stream_service.run.recorded.recorded_facts import check_facts, notes_on_facts
from stream_service.run.recorded.recorded_file import axis_signs
from stream_service.run.recorded.recorded_rows import RowsOfFrames
from stream_service.run.recorded.replay_sources import ReplaySources
from stream_service.run.run import Run
from stream_service.settings.profile import (
    PAIRED_CHANNELS,
    ChannelSettings,
    DetectorSettings,
    FrameTimeSettings,
    Motion,
    Optics,
    Profile,
    References,
    ServiceSettings,
)
from stream_service.settings.request import ScanRequest
from stream_service.settings.service_status import RunStatus
from stream_service.sources.recording import Facts, Recording
from stream_service.text.units import ELECTRONVOLTS, METRES

WITHOUT_STAMPS_HZ = 100.0
"""Rate of a recording that does not say when its frames were taken."""
WATCH_S = 0.2
REPLAYED = "replayed from a recording"
"""Where a profile names a PV."""
CONSTANT_ENERGY = ChannelRule("energy", How.ATTRIBUTE, attribute="energy")
"""Of a recording with one energy for all frames."""
NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.\-]")


def replay(
    recording: Recording,
    folder: Path,
    settings: IngestSettings,
    *,
    rate_hz: float | None = None,
    speed: float = 1.0,
    on_progress: Callable[[RunStatus], None] = lambda status: None,
    on_note: Callable[[str], None] = lambda text: None,
) -> RunStatus:
    """Feed the recording into a live run that writes `<folder>/<name of the recording>_std.h5`; how the run ended.

    Raises `ConfigError` or `SourceError` when it cannot begin, or the recording cannot be read to its end.
    """
    if settings.rejected:
        raise ConfigError("a live run rejects no rows when it is recorded: give --reject-json to ingest, not to replay")
    rows = None
    frames = recording.frames()
    if settings.readbacks and settings.readbacks.rows:
        frames = RowsOfFrames(recording, settings.readbacks.rows, settings).attach(frames)
        rows = RowsOfFrames(recording, settings.readbacks.rows, settings)
    first = next(frames, None)
    if first is None:
        raise SourceError(f"{recording.path} ({recording.layout}) holds no frames")
    channels = channels_of(recording, settings, first.attributes)
    facts = settings.facts_of(recording.facts)
    check_facts(settings, recording, facts, has_energy=channels.has("energy"))
    exposure_s = 0.0 if math.isnan(facts.exposure_s) else facts.exposure_s
    frame_time = settings.profile.detector.frame_time if settings.profile else FrameTimeSettings()
    if rate_hz is None and not recording.has_timestamps:
        rate_hz = WITHOUT_STAMPS_HZ
    notes = [*channels.notes, *notes_on_facts(settings, recording, first.attributes)]
    if settings.readbacks and (by_time := channels_followed(channels.rules)):
        notes += check_clocks(
            recording, settings.readbacks, by_time, frame_time.to_core(), exposure_s, first.timestamp_ns
        )
    sources = ReplaySources(
        recording,
        settings.readbacks,
        rows,
        {} if channels.has("energy") else {"energy": facts.energy_eV},
        exposure_s,
        frame_time.to_core(),
        rate_hz=rate_hz,
        speed=speed,
        first_unique_id=settings.first_unique_id,
    )
    with tempfile.TemporaryDirectory() as scratch:
        profile = _as_recorded(recording, folder, Path(scratch), settings, channels, facts, frame_time)
        request = ScanRequest(
            scan_id=settings.scan_id or NOT_IN_A_NAME.sub("_", recording.path.stem).lstrip("._-") or "replay",
            frames_per_position=settings.preprocessing.frames_per_position,
        )
        run = Run(1, profile, request, sources)
        run.arm()
    run.start()
    try:
        while not sources.wait_until_fed(WATCH_S) and not run.join(0):
            on_progress(run.status())
        run.stop(EndReason.RECORDING_READ)
        while not run.join(WATCH_S):
            on_progress(run.status())
    finally:  # interrupted: what came so far stays in a good file
        run.stop(EndReason.STOPPED)
        run.join()
    if sources.failure is not None:
        raise sources.failure
    for note in (*notes, *(rows.notes() if rows else ())):
        on_note(note)
    return run.status()


def _as_recorded(
    recording: Recording,
    folder: Path,
    scratch: Path,
    settings: IngestSettings,
    channels: RecordedChannels,
    facts: Facts,
    frame_time: FrameTimeSettings,
) -> Profile:
    """The beamline as a live run must see it to get the frames of the recording; nothing in it is connected to."""
    arrays = {**recording.references, **settings.references}
    named = {}
    for kind, array in arrays.items():
        named[kind] = str(scratch / f"{kind}.npy")
        np.save(named[kind], array)
    recorded = settings.profile.references.model_dump() if settings.profile else {}
    by_name = {rule.name: rule for rule in channels.rules}
    stage_map = channels.stage_map
    return Profile(
        beamline=settings.profile.beamline if settings.profile else "replay",
        service=ServiceSettings(data_root=folder),
        detector=DetectorSettings(
            frames_pva=REPLAYED,
            acquire_pv=REPLAYED,
            counter_pv=REPLAYED,
            exposure_pv=REPLAYED,
            exposure_attribute="" if math.isfinite(settings.facts.exposure_s) else recording.exposure_attribute,
            frame_time=frame_time,
            axis_signs=axis_signs(recording, settings),
            distance_m=facts.det_dist_m,
            pixel_m=facts.pixel_m,
        ),
        channels={name: _channel(by_name.get(name, CONSTANT_ENERGY)) for name in PAIRED_CHANNELS},
        stage_map=((stage_map.xx, stage_map.xy), (stage_map.yx, stage_map.yy)),
        preprocessing=settings.preprocessing,
        references=References(**{**recorded, **named}),
        optics=settings.profile.optics if settings.profile else Optics(),
    )


def _channel(rule: ChannelRule) -> ChannelSettings:
    units = ELECTRONVOLTS if rule.name == "energy" else METRES
    return ChannelSettings(
        how=rule.how,
        pv=REPLAYED if rule.how is How.TIMESTAMP else "",
        attribute=rule.attribute,
        unit=next(unit for unit, scale in units.factors.items() if scale == rule.scale),
        moving=Motion(pv=REPLAYED) if rule.moving else None,
        continuous=rule.is_continuous,
        gap_s=None if rule.is_sampled else rule.gap_s,  # without it silence tells of rest no more than in a sampled log
    )
