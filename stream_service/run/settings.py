"""Settings of a run, resolved: from profile and request where it is live, else from a recording and its options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.core.frame import FrameTime
from stream_service.core.partition import ByIndex, ByPosition, Partition
from stream_service.core.spread import STANDSTILL_M
from stream_service.core.stage_map import StageMap
from stream_service.errors import ConfigError
from stream_service.kernels import (
    CorrectionError,
    Corrections,
    FrameReducer,
    Geometry,
    GeometryError,
    Grouping,
    parse_center,
)
from stream_service.settings.preprocessing import Preprocessing
from stream_service.settings.quality import QualitySettings
from stream_service.standard_file import ChannelColumn

UNKNOWN_DTYPE = np.uint16
"""Taken for a detector that has sent no frame yet: most count in 16 bits."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RunSettings:
    """All that the file and the rows of a run follow from, beside its frames and readbacks."""

    scan_id: str
    preprocessing: Preprocessing
    corrections: Corrections
    stage_map: StageMap
    partition: Partition
    """Which frames are a row."""
    rows_per_position: int = 1
    """More than one where each frame of a position is a row."""
    n_positions: int | None = None
    """Planned; None when the length of the scan is not known."""
    n_extra_frames: int = 0
    """Frames that may come beyond them, as repeats."""
    n_rows_expected: int | None
    """Rows that may come, repeats included; None when the length of the scan is not known."""
    det_dist_m: float
    pixel_m: float
    """Pitch of a raw pixel."""
    axis_signs: tuple[int, int]
    """Of a stored frame, see `FileHeader`."""
    channels: tuple[ChannelColumn, ...]
    """Whose history is recorded."""
    optics: Mapping[str, Any]
    sample: str = ""
    planned_m: npt.NDArray[np.float64] | None = None
    """(N, 2) planned positions of the beam on the sample."""
    rejected: frozenset[int] = frozenset()
    """Positions, counted from 0, whose rows are not to be used (`/entry/keep` = 0)."""
    quality: QualitySettings
    """How rows are judged."""
    frame_time: FrameTime
    """Of a frame's stamp."""
    energy_eV: float | None = None
    """Photon energy that was asked for."""
    about_references: tuple[str, ...] = ()
    """What is to be said of dark, flat and mask, in sentences."""
    record: Mapping[str, Any]
    """For `/entry/process/settings`: enough to redo the run."""

    def reducer(self, raw_shape: tuple[int, int], dtype: Any) -> FrameReducer:
        """The reducer for frames of this shape and type, compiled. Raises `ConfigError` where they do not fit."""
        return build_reducer(self.preprocessing, self.corrections, raw_shape, self.partition.frames_per_row, dtype)


def partition_of(
    preprocessing: Preprocessing,
    frames_per_position: int,
    stage_map: StageMap,
    planned_m: npt.NDArray[np.float64] | None = None,
) -> Partition:
    """Which frames are reduced to a row.

    By position, successive planned positions (N, 2) that are close are told apart by half of what lies between them.
    """
    if preprocessing.group_by == "index":
        return ByIndex(1 if preprocessing.grouping == "none" else frames_per_position)
    same_m = preprocessing.same_position_m
    if planned_m is not None and len(planned_m) > 1:
        steps_m = np.hypot(*np.diff(planned_m, axis=0).T)
        same_m = min(same_m, 0.5 * float(steps_m.min(where=steps_m > STANDSTILL_M, initial=np.inf)))
    return ByPosition(frames_per_position, same_m, stage_map)


def grouping_notes(preprocessing: Preprocessing) -> tuple[str, ...]:
    """What is to be said of how rows come to be, in sentences."""
    if preprocessing.group_by == "position" and preprocessing.grouping == "sum":
        return (
            "grouping: sum with group_by: position makes rows of fewer frames darker, and they may be rejected for it: "
            "mean does not",
        )
    return ()


def build_reducer(
    preprocessing: Preprocessing, corrections: Corrections, raw_shape: tuple[int, int], frames_per_row: int, dtype: Any
) -> FrameReducer:
    """The reducer for frames of this shape and type, compiled. Raises `ConfigError` where they do not fit."""
    try:
        geometry = Geometry(
            raw_shape=raw_shape,
            roi_shape=preprocessing.roi,
            roi_center=parse_center(preprocessing.roi_center, raw_shape) if preprocessing.roi_center else None,
            bin=preprocessing.bin,
            rotate=preprocessing.rotate,
            flip=preprocessing.flip,
        )
        reducer = FrameReducer(geometry, corrections, Grouping(preprocessing.grouping))
        reducer.warm_up(np.dtype(dtype), frames_per_row)
    except (GeometryError, CorrectionError) as error:
        raise ConfigError(f"frames of {raw_shape[0]} rows and {raw_shape[1]} columns: {error}") from error
    return reducer


def warm_up(preprocessing: Preprocessing, frames_per_row: int, dtype: npt.DTypeLike | None) -> FrameReducer:
    """Compile the kernel for a detector of unknown shape, for this type of pixels if it is known; for trials."""
    reducer = FrameReducer(Geometry(raw_shape=(8, 8)), Corrections(), Grouping(preprocessing.grouping))
    reducer.warm_up(np.dtype(dtype or UNKNOWN_DTYPE), frames_per_row)
    return reducer
