"""The reducer of a run: prepared once from its settings, then one kernel call for a block of rows.

A `FrameReducer` owns its prepared references, its scratch lines and the running saturation counts, so one thread at a
time may use it; the kernel releases the GIL meanwhile. Its results are those of `reference.py`, bit for bit but for
intensity and centre of mass, whose sums are taken in another order (ADR 0002).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from stream_service.core.aligned import aligned_zeros
from stream_service.core.row import CELLS_SIDE, FEATURES_DTYPE, blank_features
from stream_service.kernels.correction import Corrections
from stream_service.kernels.geometry import Geometry
from stream_service.kernels.kernel_settings import KernelSettings, bin_sum
from stream_service.kernels.pixelpass import N_LINES, TILE, reduce_pixels
from stream_service.kernels.raw_frames import RawFrames, supported
from stream_service.kernels.reduction import (
    FrameSummary,
    Grouping,
    ReducedRows,
    best_score,
    row_exposures_s,
    rows_by_exposure,
)
from stream_service.kernels.stored_frames import measure_rows, measuring_scratch


class FrameReducer:
    """Reduces the raw exposures of one position to one stored frame.

    Raises `CorrectionError` when the corrections do not fit frames of the geometry's raw shape.
    """

    def __init__(
        self,
        geometry: Geometry,
        corrections: Corrections | None = None,
        grouping: Grouping = Grouping.SUM,
        dtype: DTypeLike = np.uint16,
    ) -> None:
        """`dtype` is what the detector is expected to send; frames of another supported dtype compile on arrival."""
        self.geometry = geometry
        self.corrections = Corrections() if corrections is None else corrections
        self.grouping = grouping
        self.dtype = supported(dtype)
        self.n_frames_seen = 0
        """Frames that went into rows so far: all of a group for `sum` and `mean`, the kept one for `first`, `best`."""
        self._settings = settings = KernelSettings(geometry, self.corrections)
        self.out_shape = geometry.out_shape
        self.mask = settings.mask
        """(ny, nx) uint8, 1 where no good raw pixel is in the stored pixel (mask, dark, flat), else 0."""
        self.dark_applied = settings.dark_applied
        """(ny, nx) what was subtracted from each exposure, binned like the frames; None without a dark."""
        self.flat_applied = settings.flat_applied
        """(ny, nx) what each exposure was divided by, averaged over the good pixels of a bin; None without a flat."""
        self._is_good = self.mask == 0
        self._limits, self._capped_limits = (settings.limits(is_capped=is_capped) for is_capped in (False, True))
        self._prepare_scratch()

    def _prepare_scratch(self) -> None:
        n_columns = self.geometry.binned_shape[1]
        self._saturated_in_raw_axes = np.zeros(self.geometry.binned_shape, np.uint32)
        self._uncounted = np.zeros(self.geometry.binned_shape, np.uint32)
        self._scratch = (
            aligned_zeros((TILE, n_columns), np.float32),
            np.zeros(n_columns * self.geometry.bin, np.float32),
            np.zeros((N_LINES, n_columns)),
            np.zeros(n_columns, np.uint8),
            np.zeros(n_columns, np.int32),
            np.zeros(n_columns, np.int32),
        )
        self._measuring = measuring_scratch(1, n_columns, CELLS_SIDE)
        self._blank_features = np.array([blank_features()])

    def with_gaps(self, gaps: NDArray[np.bool_]) -> FrameReducer:
        """A new reducer that differs in the gaps (y, x) alone. Raises `CorrectionError` when no good pixel is left."""
        corrections = replace(self.corrections, gaps=gaps)
        return FrameReducer(self.geometry, corrections, self.grouping, self.dtype)

    def stored_where(self, raw: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(ny, nx) the stored pixels in which any raw pixel (y, x) is True."""
        return self._settings.as_stored(bin_sum(self.geometry.crop(raw), self.geometry.bin) > 0, np.bool_)

    @property
    def saturated_counts(self) -> NDArray[np.uint32]:
        """(ny, nx) in how many of `n_frames_seen` each stored pixel was saturated (a copy).

        One good raw pixel saturates a bin, and one neighbour an interpolated pixel. In groups of unequal exposure a
        pixel counts, once for each frame, only when it saturates in all of them.
        """
        return self._settings.as_stored(self._saturated_in_raw_axes, np.uint32)

    @property
    def n_saturated_pixels(self) -> int:
        """Stored pixels that have saturated in any frame."""
        return int(np.count_nonzero(self._saturated_in_raw_axes))

    def saturated_mask(self, fraction: float) -> NDArray[np.uint8]:
        """(ny, nx) 1 where a pixel saturated in more than `fraction` of the frames so far; 0 means in any frame."""
        return (self.saturated_counts > fraction * self.n_frames_seen).astype(np.uint8)

    def forget_saturated(self, n_frames: int) -> None:
        """Take back so many frames that were counted in every good pixel: they held no measurement."""
        self._saturated_in_raw_axes -= np.minimum(self._saturated_in_raw_axes, np.uint32(n_frames))
        self.n_frames_seen -= n_frames

    def warm_up(self, dtype: DTypeLike | None = None, n_frames: int = 1) -> None:
        """Compile for frames of this dtype (default: the expected one), which takes a second or two the first time.

        Counts nothing. `n_frames` is the size of the groups to come.
        """
        kept = self._saturated_in_raw_axes.copy(), self.n_frames_seen
        n_frames = 1 if self.grouping is Grouping.NONE else n_frames
        frames = np.zeros((n_frames, *self.geometry.raw_shape), supported(dtype or self.dtype))
        stored = np.empty(self.out_shape, np.float32)
        summary = self.reduce(frames, np.ones(n_frames), stored)
        self.measure(stored, ~self._is_good, summary.features)
        self._saturated_in_raw_axes[:], self.n_frames_seen = kept

    def reduce(
        self,
        frames: NDArray[Any],
        exposures_s: NDArray[np.float64] | Sequence[float],
        out: NDArray[np.float32],
    ) -> FrameSummary:
        """Reduce the exposures (k, y, x) of one position, in the order of time, into `out` (ny, nx), see `reduce_rows`.

        `exposures_s` is (k,) seconds.
        """
        if frames.ndim != 3 or len(frames) < 1 or frames.shape[1:] != self.geometry.raw_shape:
            raise ValueError(f"frames of shape {frames.shape} are not (k, y, x) of {self.geometry.raw_shape}")
        features = np.empty(1, FEATURES_DTYPE)
        chosen, exposure_s = self.reduce_rows(
            [list(frames)], np.asarray(exposures_s, np.float64)[None], out[None], features
        )
        return FrameSummary(features[0], int(chosen[0]), float(exposure_s[0]))

    def reduce_rows(
        self,
        groups: Sequence[Sequence[NDArray[Any]]],
        exposures_s: NDArray[np.float64],
        out: NDArray[np.float32],
        features: NDArray[np.void],
    ) -> ReducedRows:
        """Reduce the exposures of n positions, each in the order of time, into the n frames of `out`.

        `groups` are n of k >= 1 raw frames (y, x), all of one raw dtype; they are only read, without a copy when they
        are C-contiguous, aligned and in native byte order. `exposures_s` is (n, k) seconds, NaN where unknown. `out` is
        (n, ny, nx) float32, C-contiguous; `features` is (n,) of `FEATURES_DTYPE`, with any stride, so a field of a
        block's rows will do. Both are the caller's. Raises ValueError when shapes or dtypes are not these; nothing is
        counted then.
        """
        frames = RawFrames(groups, self.geometry.raw_shape)
        addresses = frames.addresses
        n, k = addresses.shape
        times_s = np.array(exposures_s, np.float64, order="C")
        if times_s.shape != (n, k):
            raise ValueError(f"{n} rows of {k} frames but exposure times of shape {times_s.shape}: give one per frame")
        expected = (n, *self.out_shape)
        if out.shape != expected or out.dtype != np.float32 or not out.flags.c_contiguous:
            raise ValueError(f"out must be C-contiguous float32 {expected}, not {out.dtype} {out.shape}")
        if features.shape != (n,) or features.dtype != FEATURES_DTYPE:
            raise ValueError(f"features must be FEATURES_DTYPE ({n},), not {features.dtype} {features.shape}")
        chosen = self._chosen(frames)
        if k > 1 and chosen[0] >= 0:
            addresses = np.take_along_axis(addresses, chosen[:, None], axis=1)
        row_s = row_exposures_s(self.grouping, times_s, chosen)
        group = (
            self.grouping is Grouping.MEAN,
            rows_by_exposure(self.grouping, times_s),
            times_s,
            times_s.argmin(axis=1),
            row_s,
        )
        measured = self._run_kernel(
            addresses, self._settings.saturation[frames.dtype], self._limits, group, out, self._saturated_in_raw_axes
        )
        self.n_frames_seen += addresses.size
        features[:] = measured
        return ReducedRows(chosen, row_s)

    def measure(self, stored: NDArray[np.float32], mask: NDArray[np.bool_], features: np.void) -> None:
        """Enter anew what the pixels of a stored frame tell that are not masked; saturation stays as it is."""
        row = np.array([features], FEATURES_DTYPE)
        measure_rows(stored[None], ~mask, row)
        for name in FEATURES_DTYPE.names or ():
            features[name] = row[0][name]

    def _chosen(self, frames: RawFrames) -> NDArray[np.int64]:
        """(n,) the exposure of each row to keep, or -1 to combine them all."""
        n, k = frames.addresses.shape
        if self.grouping is Grouping.NONE and k != 1:
            raise ValueError(f"grouping none makes a row of every frame: got {k} frames at once")
        if self.grouping is Grouping.BEST and k > 1:
            return np.array([self._best(group, frames.dtype) for group in frames.addresses[:, :, None]])
        return np.full(n, 0 if self.grouping in (Grouping.FIRST, Grouping.BEST) else -1)

    def _best(self, addresses: NDArray[np.int64], dtype: np.dtype[Any]) -> int:
        """The exposure (k, 1) of the best score, raw values capped at the saturation level."""
        k = len(addresses)
        never_saturated = (False, self._settings.saturation[dtype][1])
        candidates = np.empty((k, *self.out_shape), np.float32)
        group = (False, np.zeros(k, bool), np.ones((k, 1)), np.zeros(k, np.int64), np.ones(k))
        self._run_kernel(addresses, never_saturated, self._capped_limits, group, candidates, self._uncounted)
        scores = [best_score(candidate, self._is_good) for candidate in candidates]
        return scores.index(max(scores))

    def _run_kernel(
        self, addresses: NDArray[np.int64], saturation: Any, limits: Any, group: Any, out: Any, saturated_counts: Any
    ) -> NDArray[np.void]:
        """Features (n,) of the rows, see `reduce_pixels`."""
        n, settings = len(addresses), self._settings
        features = np.repeat(self._blank_features, n)
        cells = np.full((n, CELLS_SIDE, CELLS_SIDE), np.nan, np.float32)  # as a field: another type for several rows
        if n > len(self._measuring[0]):
            self._measuring = measuring_scratch(n, self.geometry.binned_shape[1], CELLS_SIDE)
        arguments = (
            np.ascontiguousarray(addresses),
            settings.window,
            settings.references,
            settings.stored_good,
            saturation,
            limits,
            settings.neighbours,
            group,
            settings.orientation,
            out,
            saturated_counts,
            self._scratch,
            settings.cells,
            self._measuring,
            features,
            cells,
        )
        try:
            reduce_pixels(*arguments)
        except OSError:  # the disk is too full to keep the machine code: a run goes on, by now it is compiled
            reduce_pixels(*arguments)
        features["cells"] = cells
        return features
