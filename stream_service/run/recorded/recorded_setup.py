"""Set-up of a run over a recording: its settings from what is recorded, given, and in the profile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from stream_service.cancellation import Cancellation
from stream_service.core.exposure import Exposure
from stream_service.core.frame import Frame
from stream_service.core.ledger import Ledger
from stream_service.core.partition import ByPosition, Partition
from stream_service.core.spread import SpreadJudge
from stream_service.core.stream import Begin
from stream_service.errors import ConfigError, SourceError
from stream_service.kernels import FrameReducer, Geometry
from stream_service.run.corrections import corrections_from, images_of, load_references, reference_notes
from stream_service.run.journal import FileBegin, NoJournal, RunJournal
from stream_service.run.past import Past
from stream_service.run.recorded.ingest_settings import IngestSettings
from stream_service.run.recorded.recorded_channels import RecordedChannels
from stream_service.run.recorded.recorded_facts import check_facts, check_names_of_frames
from stream_service.run.recorded.recorded_scan import RecordedScan
from stream_service.run.rows.group_check import JUDGED_GROUPS, check_groups
from stream_service.run.rows.sink import Sink
from stream_service.run.run_file import RunFile, open_run_file
from stream_service.run.settings import RunSettings, grouping_notes, partition_of
from stream_service.run.sources import RawFrames
from stream_service.settings.quality import QualitySettings
from stream_service.sources.recording import Recording
from stream_service.standard_file import ChannelColumn, StandardFile


class RecordedSetup:
    """See `RunSetup`. The file grows for others to follow, or is there when it is whole."""

    def __init__(
        self,
        scan: RecordedScan,
        scan_id: str,
        path: Path,
        *,
        is_live: bool,
        is_growing: bool = False,
        on_open: Callable[[StandardFile], None] = lambda file: None,
    ) -> None:
        """`is_live` if others read the file while it is written; `is_growing` if the recording is not whole yet.

        `on_open` is called when the file is there.
        """
        self.scan_id, self.path, self.rules = scan_id, path, scan.rules
        self.journal: RunJournal = NoJournal()
        self.n_planned: int | None = None  # the recording says it at its end
        self.n_extra, self.n_shares = 0, 1
        self.notes: tuple[str, ...] = ()
        self._scan = scan
        self._is_live, self.is_growing = is_live, is_growing
        self._on_open = on_open
        preprocessing = scan.settings.preprocessing
        self._partition = partition_of(preprocessing, preprocessing.frames_per_position, scan.channels.stage_map)
        self.n_rows_expected = _n_rows_expected(scan.recording, self._partition, is_growing=is_growing)
        self._settings: RunSettings | None = None
        self._reducer: FrameReducer | None = None
        self._out: RunFile | None = None

    def check(self, cancellation: Cancellation) -> None:
        """Raises `ConfigError` when settings and frames do not fit, `SourceError` when a number is missing."""
        scan = self._scan
        check_facts(scan.settings, scan.recording, scan.facts, has_energy=scan.channels.has("energy"))
        if not self.is_growing:
            check_names_of_frames(scan.recording, scan.settings, self._partition)

    def prepare(self, begin: Begin) -> None:
        """Load the references, and make the kernel."""
        self._settings = recorded_settings(self._scan, self.scan_id, self.n_rows_expected, self._partition)
        assert begin.shape is not None, "a recording knows it"
        self._reducer = self._settings.reducer(begin.shape, begin.dtype)

    def past(self) -> Past:
        """A recording is read again."""
        return Past()

    def exposure_of(self, frame: Frame) -> float:
        """See `RecordedScan.exposure_of`."""
        return self._scan.exposure_of(frame)

    def open_raw_file(self) -> RawFrames:
        """A recording has nothing beside it."""
        raise SourceError("")

    def see(self, exposure: Exposure) -> None:
        """See `RecordedScan.see`."""
        self._scan.see(exposure)

    def check_end(self) -> None:
        """Raises `ConfigError` if the groups of a short scan are no positions."""
        is_by_index = not isinstance(self._partition, ByPosition)
        if is_by_index and self._out is not None and self._out.pipeline.spread.n_judged < JUDGED_GROUPS:
            self._check_groups(self._out.pipeline.spread)

    def _see_groups(self, spread: SpreadJudge) -> None:
        """Raises `ConfigError` as soon as it is plain that the groups are no positions."""
        if spread.n_judged == JUDGED_GROUPS:
            self._check_groups(spread)

    def _check_groups(self, spread: SpreadJudge) -> None:
        if not self.is_growing:  # one that grows is there to be looked at
            check_groups(spread, self._scan.settings.preprocessing, self._scan.recording.path)

    def doubts_at_end(self) -> Iterator[str]:
        """Names of frames that a recording which grew does not have after all, in sentences."""
        if self.is_growing:
            try:
                check_names_of_frames(self._scan.recording, self._scan.settings, self._partition)
            except ConfigError as error:
                yield str(error)

    def open(self, frame: Frame, ledger: Ledger, sinks: Iterable[Sink]) -> RunFile:
        """Create the file."""
        assert self._settings is not None and self._reducer is not None, "prepare comes first"
        begin = FileBegin(
            self._scan.recording.frame_shape,
            self._scan.recording.dtype,
            self._scan.facts.energy_eV,
            self._scan.facts.exposure_s,
            self._scan.start_ns(frame),
        )
        self._out = out = open_run_file(
            self.path, self._settings, self._reducer, ledger, begin, sinks=sinks, swmr=self._is_live
        )
        if not isinstance(self._partition, ByPosition):
            out.pipeline.on_judged(self._see_groups)
        out.file.call(self._on_open)
        return out


def recorded_settings(
    scan: RecordedScan, scan_id: str, n_rows_expected: int | None, partition: Partition
) -> RunSettings:
    """The settings of a run over a recording, resolved. Raises `ConfigError`."""
    recording, settings, channels = scan.recording, scan.settings, scan.channels
    preprocessing, profile = settings.preprocessing, settings.profile
    references = _references(recording, settings)
    corrections = corrections_from(preprocessing, references)
    is_own_mask = references.get("mask") is recording.references.get("mask")
    return RunSettings(
        scan_id=scan_id,
        preprocessing=preprocessing,
        corrections=corrections,
        stage_map=channels.stage_map,
        partition=partition,
        rows_per_position=preprocessing.frames_per_position // partition.frames_per_row,
        n_rows_expected=n_rows_expected,
        det_dist_m=scan.facts.det_dist_m,
        pixel_m=scan.facts.pixel_m,
        axis_signs=axis_signs(recording, settings),
        channels=_channel_columns(settings),
        optics=profile.optics.model_dump(mode="json") if profile else {},
        rejected=settings.rejected,
        quality=profile.quality if profile else QualitySettings(),
        frame_time=scan.rules.frame_time,
        about_references=(
            *reference_notes(preprocessing, references, corrections, is_own_mask=is_own_mask),
            *grouping_notes(preprocessing),
        ),
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


def _n_rows_expected(recording: Recording, partition: Partition, *, is_growing: bool) -> int | None:
    n_frames = recording.n_frames if recording.n_expected is None else max(recording.n_expected, recording.n_frames)
    is_open = is_growing and recording.n_expected is None
    return None if is_open or isinstance(partition, ByPosition) else partition.n_begun(n_frames)


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
