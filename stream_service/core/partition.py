"""Partition of the frames of a run into rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream_service.core.exposure import Exposure
from stream_service.core.stage_map import StageMap

Ordinals = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ByIndex:
    """By the place of a frame in the run: so many frames after one another are a row, whatever came of them."""

    frames_per_row: int = 1

    def row_of(self, ordinal: int) -> int:
        """The row of the frame in this place, from 0 in the order of the scan."""
        return ordinal // self.frames_per_row

    def rows_of(self, ordinals: Ordinals) -> Ordinals:
        """The same of the frames in these places, (n,) each."""
        return ordinals if self.frames_per_row == 1 else ordinals // self.frames_per_row

    def frames_of(self, row: int) -> range:
        """The places of the frames of a row."""
        return range(row * self.frames_per_row, (row + 1) * self.frames_per_row)

    def n_filled(self, n_frames: int) -> int:
        """Rows that so many frames fill."""
        return n_frames // self.frames_per_row

    def n_begun(self, n_frames: int) -> int:
        """Rows of which so many frames are, the last one perhaps not full."""
        return -(-n_frames // self.frames_per_row)

    def portions(self, ordinals: Ordinals, most_frames: int) -> list[Ordinals]:
        """These frames, in order, in portions of whole rows, of `most_frames` at the most or of a single row.

        Single frames are one portion.
        """
        if self.frames_per_row == 1:
            return [ordinals]
        portion = self.rows_of(ordinals) // max(1, most_frames // self.frames_per_row)
        return np.split(ordinals, np.flatnonzero(np.diff(portion)) + 1)


NO_FRAME = np.iinfo(np.int64).max
"""Stands for the place of a frame where a row has fewer of them than it may have."""


@dataclass(frozen=True, slots=True)
class ByPosition:
    """By where the stage was: exposures after one another at one place are a row, however many they are.

    An exposure in which the stage travelled further than `same_m` belongs to no position. The stage is at the place of
    the first exposure of a row while it is no further than `same_m` from it, on the sample.
    """

    frames_per_row: int
    """The most a row may have; what comes beyond begins another row of the same position."""
    same_m: float
    stage_map: StageMap

    def place_of(self, exposure: Exposure) -> tuple[float, float]:
        """Of the beam on the sample, x and y in metres; NaN where it is not known."""
        if exposure.position_flags:
            return math.nan, math.nan
        return self.stage_map.beam_on_sample(exposure.values["x"], exposure.values["y"])

    def is_between_positions(self, exposure: Exposure) -> bool:
        """True if the stage is known to have travelled during the exposure."""
        return exposure.travel_m * self.stage_map.largest_factor > self.same_m


Partition = ByIndex | ByPosition
