"""Options of an ingest: what the operator says of a recording."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt

from stream_service.core.pairing.readback import Entries
from stream_service.core.stage_map import StageMap
from stream_service.errors import InputFileError
from stream_service.settings.preprocessing import Preprocessing
from stream_service.settings.profile import Profile
from stream_service.settings.recorded_choices import Match, Translation
from stream_service.sources.recording import Facts
from stream_service.sources.tables.recorded_readbacks import RecordedReadbacks
from stream_service.text.text_file import text_of

REJECT_KEYS = ("reject_positions", "reject_indices", "rejected_indices", "reject", "rejected")
"""Under which a list of rejected positions is found in a JSON; the first two are what `evaluate` writes:
positions where frames are lost or late, so that rows are not positions."""


@dataclass(frozen=True, slots=True, eq=False)
class IngestSettings:
    """Options of the operator; what is left open here is as recorded."""

    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    references: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    """`dark`, `flat`, `mask` in raw axes, instead of those in the recording."""
    facts: Facts = field(default_factory=Facts)
    """Numbers the operator knows better than the recording; NaN = as recorded."""
    profile: Profile | None = None
    """Where the channels are, which way the stage moves the beam, and what the recording does not say."""
    given: frozenset[str] = frozenset()
    """Channels (x, y, energy) whose paths in the recording the operator gave."""
    readbacks: RecordedReadbacks | None = None
    """Recorded apart from the frames."""
    arrays: tuple[Entries, ...] = ()
    """Captured by hardware: an entry for each frame of the scan."""
    match: Match = Match.AUTO
    """How rows of a log or sidecar find their frames."""
    row_offset: int | None = None
    """Key of a row (frame_index, unique_id) minus that of its frame, where the operator says it."""
    stage_map: StageMap | None = None
    """From the recorded positions to the beam on the sample, where the operator says it."""
    translation: Translation | None = None
    """What moves by the translation of a CXI file, where the operator says it."""
    rejected: frozenset[int] = frozenset()
    """Positions, counted from 0, whose rows are not to be used (`/entry/keep` = 0)."""
    scan_id: str = ""
    """The name of the scan, where the operator says it."""
    first_unique_id: int | None = None
    """The uniqueId of the scan's first frame, where the recording begins later."""

    @property
    def translation_to_read(self) -> Translation | None:
        """For who reads the recording; not in question where positions are recorded apart."""
        is_asked = self.translation is None and not (self.readbacks is not None and self.readbacks.has_positions)
        return None if is_asked else self.translation or Translation.SAMPLE

    def facts_of(self, recorded: Facts) -> Facts:
        """The numbers of the scan: the operator's, else the recorded ones, else the profile's."""
        sources = astuple(self.facts), astuple(recorded), astuple(self.in_profile)
        return Facts(*(_first_known(*values) for values in zip(*sources, strict=True)))

    @property
    def in_profile(self) -> Facts:
        """Facts by the profile."""
        detector = self.profile.detector if self.profile else None
        return Facts(det_dist_m=detector.distance_m, pixel_m=detector.pixel_m) if detector else Facts()


def load_rejected(path: Path) -> frozenset[int]:
    """The positions that a `ptypy_indices.json` rejects. Raises `InputFileError` naming what is wrong with it."""
    try:
        document = json.loads(text_of(path))
    except OSError as error:
        raise InputFileError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise InputFileError(f"{path} is not JSON: {error}") from error
    lists = [document[key] for key in REJECT_KEYS if key in document] if isinstance(document, dict) else []
    if not lists:
        raise InputFileError(f"{path} has no list '{REJECT_KEYS[1]}' of the positions to be left out, counted from 0")
    if not isinstance(lists[0], list) or not all(type(index) is int and index >= 0 for index in lists[0]):
        raise InputFileError(f"'{REJECT_KEYS[1]}' in {path} must be a list of positions, whole numbers from 0 on")
    return frozenset(lists[0])


def _first_known(*values: float) -> float:
    return next((value for value in values if math.isfinite(value)), math.nan)
