"""Pixels that lost their measurement in single rows: not a number, or a value that no detector counts to.

A mask is one for all rows, so such a pixel goes into it, with the value 0 in that row, as long as few do. A row that
would spoil the mask, or has no measurement at all, is stored and not used. Nothing is looked for in a row whose
intensity is in order, so this costs nothing where all is well.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.kernels import FrameReducer, GapSetting
from stream_service.kernels.gaps import is_blank, least_certain
from stream_service.text.counted import agrees, counted

MOST_MASKED = 0.01
"""Share of the pixels that may be masked for what happened in single rows."""
SUSPICIOUS_SHARE = 0.25
"""Of a marker, in the intensity of a row: below it the row holds none, whatever the flat made of it."""

Frames = Sequence[npt.NDArray[Any]]
"""Raw (y, x)."""


class UnmeasuredPixels:
    """Looks after the rows of one run; `mask` grows with them."""

    def __init__(self, reducer: FrameReducer, dtype: np.dtype[Any], setting: GapSetting) -> None:
        corrections = reducer.corrections
        self.mask = np.zeros(reducer.out_shape, bool)
        """(ny, nx) stored pixels masked for single rows."""
        self._reducer, self._dtype = reducer, dtype
        self._n_rows = self._n_unused = self._n_mended = self._n_masked = self._first_unused = 0
        self._knows_markers = setting == "auto"
        marker = least_certain(dtype) if self._knows_markers else math.inf
        self._limit = SUSPICIOUS_SHARE * marker / corrections.gain
        self._saturation_level = corrections.saturation_level
        self._marker = marker if corrections.saturation_level is None else math.inf
        """Of single pixels: where a level is given, those above it are saturated, and no marker."""
        self._may_be_negative = dtype.kind != "u"
        is_bad = reducer.mask != 0
        if corrections.gaps is not None and corrections.bad_pixels == "keep":
            is_bad &= ~reducer.stored_where(corrections.gaps)  # these are 0
        self._kept_bad = np.flatnonzero(is_bad) if dtype.kind == "f" and reducer.geometry.bin == 1 else ()
        """Bad pixels that keep what the detector sent, which does not show in the intensity."""

    def look(
        self, groups: Sequence[Frames], stored: npt.NDArray[np.float32], features: npt.NDArray[np.void]
    ) -> npt.NDArray[np.bool_]:
        """Mend rows in place, their pixels (n, ny, nx) and features (n,); True for each that is to be used.

        `groups` are the frames that each is made of, as many for all.
        """
        intensity = features["intensity"]
        is_plain = np.isfinite(intensity) & (intensity < self._limit / len(groups[0]))
        if self._may_be_negative:
            is_plain &= intensity > 0
        if len(self._kept_bad):
            is_plain &= np.isfinite(stored.reshape(len(stored), -1)[:, self._kept_bad]).all(axis=1)
        is_used = np.ones(len(groups), bool)
        for row in np.flatnonzero(~is_plain).tolist():
            is_used[row] = self._mend(self._n_rows + row, groups[row], stored[row], features[row])
        self._n_rows += len(groups)
        return is_used

    def notes(self) -> Iterator[str]:
        """Notes on such rows, in sentences."""
        is_judged = self._dtype.kind != "f" and math.isfinite(self._marker)
        what = f"are {self._marker:.10g} or more" if is_judged else "are not a number"
        if n := self._n_masked:
            rows = counted(self._n_mended, "row")
            yield f"{counted(n, 'pixel')} {agrees(n, 'is')} masked (0 in {rows}), because there the frames {what}"
        if n := self._n_unused:
            is_all = self._dtype.kind != "f" and not is_judged  # then nothing else can be wrong with a row
            why = "all pixels of the frames" if is_all else f"too many pixels of the frames {what}, or all of them"
            yield (
                f"{counted(n, 'row')} {agrees(n, 'is')} not used (the first is row {self._first_unused}), because "
                f"{why} hold a marker"
            )

    def _mend(self, row: int, frames: Frames, stored: npt.NDArray[np.float32], features: np.void) -> bool:
        is_lost = ~np.isfinite(stored)
        if math.isfinite(self._marker) and not stored.max() < self._limit / len(frames):
            is_lost |= self._reducer.stored_where(np.logical_or.reduce([frame >= self._marker for frame in frames]))
        is_used = not is_lost.all() and not (self._knows_markers and any(is_blank(frame) for frame in frames))
        if not is_used:
            is_lost[:] = True
        elif not is_lost.any():
            return True
        stored[is_lost] = 0
        grown = self.mask | (is_lost & (self._reducer.mask == 0))
        if is_used and np.count_nonzero(grown) <= MOST_MASKED * grown.size:
            self._n_mended += bool((is_lost & (self._reducer.mask == 0)).any())
            n_masked = int(np.count_nonzero(grown))
            if n_masked > self._n_masked:
                self.mask, self._n_masked = grown, n_masked
        else:
            is_used = False
            self._first_unused = self._first_unused if self._n_unused else row
            self._n_unused += 1
            self._take_saturation_back(frames, features)
        self._reducer.measure(stored, (self._reducer.mask != 0) | self.mask, features)
        return is_used

    def _take_saturation_back(self, frames: Frames, features: np.void) -> None:
        """A marker in every pixel lies above the saturation level, too, and would mask every pixel of the run."""
        if (level := self._saturation_level) is None:
            return
        if n_frames := sum(bool((frame >= level).all()) for frame in frames):
            self._reducer.forget_saturated(n_frames)
            features["n_saturated"] = 0
