"""Which frame of a run belongs to which row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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
