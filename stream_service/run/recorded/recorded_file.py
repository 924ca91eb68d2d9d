"""The standard file that a recording goes into: its header from what is recorded, given, and in the profile."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from stream_service.core.frame import Frame
from stream_service.core.ledger import Ledger
from stream_service.kernels import Geometry
from stream_service.run.corrections import corrections_from, images_of, load_references, reference_notes
from stream_service.run.recorded.ingest_settings import IngestSettings
from stream_service.run.recorded.recorded_channels import RecordedChannels
from stream_service.run.recorded.recorded_extent import check_names_of_frames
from stream_service.run.recorded.recorded_facts import check_facts
from stream_service.run.run_file import RunFile, open_run_file
from stream_service.run.settings import RunSettings, frames_per_row
from stream_service.sources.recording import Facts, Recording
from stream_service.standard_file import ChannelColumn


def open_recorded_file(
    path: Path,
    scan_id: str,
    recording: Recording,
    settings: IngestSettings,
    channels: RecordedChannels,
    facts: Facts,
    ledger: Ledger,
    first: Frame,
    *,
    live: bool,
) -> RunFile:
    """Create the file, with a pipeline that fills it; `first` is the recording's first frame.

    Raises `ConfigError` when settings and frames do not fit, `SourceError` when a number is missing.
    """
    check_facts(settings, recording, facts, has_energy=channels.has("energy"))
    if not live:
        preprocessing = settings.preprocessing
        check_names_of_frames(recording, settings, frames_per_row(preprocessing, preprocessing.frames_per_position))
    resolved = recorded_settings(recording, scan_id, settings, channels, facts, is_followed=live)
    return open_run_file(
        path,
        resolved,
        resolved.reducer(recording.frame_shape, recording.dtype),
        ledger,
        dtype=recording.dtype,
        energy_eV=facts.energy_eV,
        exposure_s=facts.exposure_s,
        start_timestamp_ns=first.timestamp_ns or time.time_ns(),
        swmr=live,
    )


def recorded_settings(
    recording: Recording,
    scan_id: str,
    settings: IngestSettings,
    channels: RecordedChannels,
    facts: Facts,
    *,
    is_followed: bool,
) -> RunSettings:
    """The settings of a run over a recording, resolved. Raises `ConfigError`."""
    preprocessing, profile = settings.preprocessing, settings.profile
    n_frames = frames_per_row(preprocessing, preprocessing.frames_per_position)
    references = _references(recording, settings)
    corrections = corrections_from(preprocessing, references)
    is_own_mask = references.get("mask") is recording.references.get("mask")
    return RunSettings(
        scan_id=scan_id,
        preprocessing=preprocessing,
        corrections=corrections,
        stage_map=channels.stage_map,
        frames_per_row=n_frames,
        n_rows_expected=_n_rows_expected(recording, n_frames, live=is_followed),
        det_dist_m=facts.det_dist_m,
        pixel_m=facts.pixel_m,
        axis_signs=axis_signs(recording, settings),
        channels=_channel_columns(settings),
        optics=profile.optics.model_dump(mode="json") if profile else {},
        rejected=settings.rejected,
        about_references=tuple(reference_notes(preprocessing, references, corrections, is_own_mask=is_own_mask)),
        record=_settings_record(recording, settings, channels),
    )


def axis_signs(recording: Recording, settings: IngestSettings) -> Any:
    """Those of the stored frames: +1 or -1 each."""
    if settings.profile:
        return settings.profile.detector.axis_signs
    preprocessing = settings.preprocessing
    mounting = Geometry(raw_shape=recording.frame_shape, rotate=preprocessing.rotate, flip=preprocessing.flip)
    return turned_signs(recording.axis_signs, mounting)


def _references(recording: Recording, settings: IngestSettings) -> dict[str, np.ndarray[Any, Any]]:
    """Those the operator gave, else those recorded with the frames, else those of the profile."""
    in_profile = images_of(load_references(settings.profile)) if settings.profile else {}
    return {**in_profile, **recording.references, **settings.references}


def _n_rows_expected(recording: Recording, frames_per_row: int, *, live: bool) -> int | None:
    n_frames = recording.n_frames if recording.n_expected is None else max(recording.n_expected, recording.n_frames)
    is_open = live and recording.n_expected is None
    return None if is_open else -(-n_frames // frames_per_row)


def _channel_columns(settings: IngestSettings) -> tuple[ChannelColumn, ...]:
    histories = settings.readbacks.histories if settings.readbacks else {}
    return tuple(ChannelColumn(name, history.unit) for name, history in histories.items())


def _settings_record(recording: Recording, settings: IngestSettings, channels: RecordedChannels) -> dict[str, Any]:
    """Enough to redo it."""
    profile = settings.profile
    return {
        "ingest": {
            "source": recording.path.name,
            "layout": recording.layout,
            "readbacks": settings.readbacks.path.name if settings.readbacks else None,
            "readbacks_offset_s": settings.readbacks.offset_s if settings.readbacks else 0.0,
            "match": settings.match.value,
            "row_offset": settings.row_offset,
            "translation": settings.translation.value if settings.translation else None,
            "channels": {
                rule.name: {"how": rule.how.value, "attribute": rule.attribute, "scale": rule.scale}
                for rule in channels.rules
            },
            "stage_map": [
                [channels.stage_map.xx, channels.stage_map.xy],
                [channels.stage_map.yx, channels.stage_map.yy],
            ],
            "rejected": sorted(settings.rejected),
            "notes": list(channels.notes),
        },
        "preprocessing": settings.preprocessing.model_dump(mode="json"),
        "profile": profile.model_dump(mode="json") if profile else None,
    }


def turned_signs(signs: tuple[int, int] | None, geometry: Geometry) -> tuple[int, int]:
    """The signs of the stored frame's axes when those of the raw frame's are `signs`.

    Where the recording does not say them, the operator's rotate and flip are what makes the frames upright.
    """
    if signs is None:
        return 1, 1
    rows, columns = (
        -sign if is_reversed else sign for sign, is_reversed in zip(signs, geometry.is_reversed, strict=True)
    )
    return (columns, rows) if geometry.transposes else (rows, columns)
