"""The settings of a reduction as the kernel takes them: prepared once, for any number of blocks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from stream_service.core.aligned import aligned_zeros
from stream_service.core.row import CELLS_SIDE
from stream_service.kernels.cells import cell_layout
from stream_service.kernels.correction import Corrections
from stream_service.kernels.geometry import Geometry
from stream_service.kernels.neighbours import find_neighbours, without_neighbours
from stream_service.kernels.raw_frames import RAW_DTYPES


class KernelSettings:
    """Of one geometry and its corrections, in the forms that `reduce_pixels` lists.

    Raises `CorrectionError` when the corrections do not fit frames of the geometry's raw shape.
    """

    def __init__(self, geometry: Geometry, corrections: Corrections) -> None:
        self._geometry = geometry
        self._corrections = corrections
        calibration = corrections.calibrate(geometry.raw_shape)
        rows, columns = geometry.roi_slices
        dark, flat, inverse_flat, good = (
            np.ascontiguousarray(geometry.crop(image))
            for image in (calibration.dark, calibration.flat, calibration.inverse_flat, calibration.good)
        )
        interpolates = corrections.bad_pixels == "interpolate"
        counts = np.ones_like(good) if interpolates else good
        n_counting = bin_sum(counts, geometry.bin)
        scale = np.divide(geometry.bin**2, n_counting, out=np.zeros(geometry.binned_shape), where=n_counting > 0)
        n_good = bin_sum(good, geometry.bin)
        is_good = n_good > 0
        self.mask = self.as_stored(~is_good, np.uint8)
        """See `FrameReducer`, as of the next two."""
        self.dark_applied: NDArray[np.float32] | None = None
        self.flat_applied: NDArray[np.float32] | None = None
        if corrections.dark is not None:
            good_dark = dark if geometry.bin == 1 else bin_sum(np.where(good, dark, 0), geometry.bin)
            share = np.divide(geometry.bin**2, n_good, out=np.zeros(n_good.shape), where=is_good)
            self.dark_applied = self.as_stored(dark if geometry.bin == 1 else good_dark * share, np.float32)
        if corrections.flat is not None:
            mean_flat = np.divide(
                bin_sum(np.where(good, flat, 0), geometry.bin), n_good, out=np.ones(n_good.shape), where=is_good
            )
            self.flat_applied = self.as_stored(flat if geometry.bin == 1 else mean_flat, np.float32)
        images = (dark, inverse_flat, good.view(np.uint8), counts.view(np.uint8))
        self.references = (*map(_as_lines, images), scale)
        self.stored_good = _as_lines(np.ascontiguousarray(is_good).view(np.uint8))
        gaps = np.zeros(geometry.raw_shape, bool) if corrections.gaps is None else corrections.gaps
        if interpolates:
            neighbours = find_neighbours(calibration.good, rows, columns)
        else:
            neighbours = without_neighbours(gaps[rows, columns])
        at_neighbours = (neighbours.raw_row, neighbours.raw_column)
        self.neighbours = (*neighbours, calibration.dark[at_neighbours], calibration.inverse_flat[at_neighbours])
        self.window = (geometry.raw_shape, rows.start, columns.start, geometry.bin)
        self.orientation = (geometry.transposes, *geometry.is_reversed)
        self.cells = tuple(cell_layout(self.mask == 0, self.orientation, CELLS_SIDE))
        self.saturation = {dtype: self._saturation_of(dtype) for dtype in RAW_DTYPES}
        """By the dtype of raw frames."""

    def _saturation_of(self, dtype: np.dtype[Any]) -> tuple[bool, Any]:
        """True if saturation can happen, and the smallest raw value of this dtype at or above the level."""
        level = self._corrections.saturation_level
        if level is None:
            return False, dtype.type(0)
        if dtype.kind == "f":
            nearest = dtype.type(level)
            return True, nearest if float(nearest) >= level else np.nextafter(nearest, dtype.type(math.inf))
        smallest, largest = np.iinfo(dtype).min, np.iinfo(dtype).max
        threshold = math.ceil(level)
        return threshold <= largest, dtype.type(min(max(threshold, smallest), largest))

    def limits(self, *, is_capped: bool) -> tuple[np.float32, np.float32, np.float32]:
        """`limits`; where they are capped, by the saturation level."""
        level, gain = self._corrections.saturation_level, self._corrections.gain
        cap = math.inf if level is None or not is_capped else level
        floor = 0.0 if self._corrections.negatives == "clip" else -math.inf
        return np.float32(cap), np.float32(floor), np.float32(gain)

    def as_stored(self, image: NDArray[Any], dtype: DTypeLike) -> NDArray[Any]:
        """An image (y, x) of the binned shape, turned as frames are stored; new and C-contiguous."""
        return np.array(self._geometry.orient(image), dtype, order="C")


def bin_sum(image: NDArray[Any], bin: int) -> NDArray[Any]:
    """Sum of the pixels of each bin, int64 or float64."""
    ny, nx = image.shape
    wide = np.float64 if image.dtype.kind == "f" else np.int64
    return image.reshape(ny // bin, bin, nx // bin, bin).sum(axis=(1, 3), dtype=wide)


def _as_lines(image: NDArray[Any]) -> NDArray[Any]:
    """The image; or its first line, if all are alike: a kernel then need not read the others."""
    needed = image[:1] if (image == image[:1]).all() else image
    lines = aligned_zeros(needed.shape, image.dtype)
    lines[:] = needed
    return lines
