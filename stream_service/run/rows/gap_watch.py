"""Looks again at the pixels that the first frames called gaps: one that measures later was none, and is told.

It stays masked, because rows that are written already were corrected without it. Looking costs next to nothing: it is
done when the rows have doubled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.kernels.gaps import is_uniform
from stream_service.text.counted import agrees, counted


class GapWatch:
    """Of one run; `look` takes raw frames (y, x), one of each row."""

    def __init__(self, is_gap: npt.NDArray[np.bool_], first: npt.NDArray[Any]) -> None:
        """`first` is a frame that told of the gaps: it has their markers."""
        self._where = np.flatnonzero(is_gap)
        self._markers = first.ravel()[self._where]
        self._has_measured = np.zeros(self._where.size, bool)
        self._n_looked = 0

    def look(self, frames: Sequence[npt.NDArray[Any]]) -> None:
        """See whether gaps measure, in one of a few frames: the first, second, fourth, eighth, ..."""
        n_before, self._n_looked = self._n_looked, self._n_looked + len(frames)
        number = 1 << n_before.bit_length()
        while number <= self._n_looked:
            self._look(frames[number - n_before - 1])
            number *= 2

    def _look(self, frame: npt.NDArray[Any]) -> None:
        if is_uniform(frame):
            return
        values = frame.ravel()[self._where]
        is_marker = np.isin(values, self._markers)
        if values.dtype.kind == "f":
            is_marker |= ~np.isfinite(values)
        self._has_measured |= ~is_marker

    def notes(self) -> Iterator[str]:
        """Note on gap pixels that measured after all."""
        if n := int(np.count_nonzero(self._has_measured)):
            yield (
                f"{counted(n, 'pixel')} of {self._where.size} taken for gaps {agrees(n, 'measures')} in later frames, "
                f"and {agrees(n, 'is')} masked all the same: if it was saturation, --gaps none and --sat are right"
            )
