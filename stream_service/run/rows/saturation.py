"""Saturated share of a run, in a sentence: a level that is wrong shows in the share of pixels it masks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.kernels import FrameReducer
from stream_service.text.counted import counted

LARGE_SHARE = 0.01
"""Of masked pixels: a beam that saturates more of a detector is too bright, or the level is wrong."""
IS_IT_RIGHT = "is the level right (preprocessing.sat of the profile, --sat)?"
OFTEN_ONLY = "sat_fraction (--sat-fraction) masks what saturates often only"


class SaturationShare:
    """Counts the saturated rows of a run; the pixels are counted again when the rows have doubled."""

    def __init__(self, fraction: float) -> None:
        """`fraction` is that of the frames in which a pixel must saturate to be masked."""
        self._fraction = fraction
        self._n_rows = self._n_saturated = self._n_pixels = self._n_salvaged = 0
        self._is_known: npt.NDArray[np.bool_] | None = None
        """(ny, nx) pixels that saturated in rows of before."""
        self._is_told: npt.NDArray[np.bool_] | None = None
        """(ny, nx) those of which `take_new` has told, and those of before."""
        self._n_told = self._n_told_at = 0
        self._n_all = 1
        self._level: float | None = None
        self.masks_all = False
        """Whether the mask would call every pixel bad; then saturation is left out of it."""

    def add(self, n_saturated: npt.NDArray[np.integer[Any]], reducer: FrameReducer) -> None:
        """Rows were appended; (n,) pixels of each."""
        self._n_rows += len(n_saturated)
        n_before, self._n_saturated = self._n_saturated, self._n_saturated + int(np.count_nonzero(n_saturated))
        if self._n_saturated.bit_length() > n_before.bit_length():  # 1, 2, 4, 8, ...
            self.settle(reducer)

    def add_salvaged(self, n_saturated: npt.NDArray[np.integer[Any]]) -> None:
        """Rows of an interrupted file were appended; (n,) pixels of each. Which ones these were is restored."""
        self._n_rows += len(n_saturated)
        self._n_saturated += int(np.count_nonzero(n_saturated))
        self._n_salvaged += int(np.count_nonzero(n_saturated))

    def restore(self, is_saturated: npt.NDArray[np.bool_]) -> None:
        """These pixels (ny, nx) saturated before the run was interrupted."""
        self._is_known = self._is_told = is_saturated

    def take_new(self, reducer: FrameReducer) -> npt.NDArray[np.bool_] | None:
        """(ny, nx) the pixels that saturate since the last call; None if there is none."""
        n_rows, n_pixels = self._n_saturated, reducer.n_saturated_pixels if self._n_saturated > self._n_told_at else 0
        self._n_told_at = n_rows
        if n_pixels <= self._n_told:
            return None
        self._n_told = n_pixels
        is_saturated = reducer.saturated_counts > 0
        are_new = is_saturated if self._is_told is None else is_saturated & ~self._is_told
        self._is_told = is_saturated if self._is_told is None else is_saturated | self._is_told
        return are_new if are_new.any() else None

    def settle(self, reducer: FrameReducer) -> np.ndarray:
        """(ny, nx) bool, the pixels to be masked by the rows so far."""
        is_saturated = reducer.saturated_mask(self._fraction) != 0
        if self._is_known is not None and not self._fraction:
            is_saturated |= self._is_known
        self._level = reducer.corrections.saturation_level
        self._n_pixels, self._n_all = int(np.count_nonzero(is_saturated)), is_saturated.size
        self.masks_all = self._n_pixels > 0 and bool((is_saturated | (reducer.mask != 0)).all())
        return is_saturated

    def notes(self) -> Iterator[str]:
        """Note on saturated pixels, if there are any."""
        if self._fraction and self._n_salvaged:
            yield (
                f"{counted(self._n_salvaged, 'row')} of before the service was started again saturate: how often each "
                "pixel did is counted from then on (sat_fraction)"
            )
        if not self._n_pixels or self._level is None:
            return
        share = self._n_pixels / self._n_all
        said = (
            f"{100 * share:.3g} % of the pixels ({self._n_pixels} of {self._n_all}) are saturated, {self._level:g} or "
            f"more, in {self._n_saturated} of {counted(self._n_rows, 'row')}"
        )
        if self.masks_all:
            yield f"{said}, so that no good pixel is left: this is not in the mask; {IS_IT_RIGHT}"
        elif share > LARGE_SHARE:
            yield f"{said}, and masked for all rows: {IS_IT_RIGHT} {OFTEN_ONLY}"
        else:
            yield f"{said}, and masked for all rows"
