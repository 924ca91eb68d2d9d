"""Index arithmetic from raw to stored frame: the pixels that are kept, and where each lands.

Order: ROI, bin, rotate, flip. ROI and its centre are in raw detector axes (row, column). The pixel at the ROI centre
lands at index n//2 of the stored frame for every rotate and flip, because PtyPy expects the optical axis there.
Cropping first and flipping an even frame would move it by one, so on an axis that the orientation reverses an even ROI
starts one pixel later. A full-size ROI, or none, crops nothing: `Geometry.center` then tells where the centre lies.
ADR 0002 has the reasons.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROTATIONS = (0, 90, 180, 270)
FLIPS = ("none", "h", "v", "hv")
_CENTER_NUMBER = re.compile(r"\d+\.?\d*|\.\d+")


class GeometryError(ValueError):
    """An ROI, bin or orientation that cannot be applied to frames of this shape; the text says what to change."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """ROI, bin and orientation of every frame of a run.

    Raises `GeometryError` when the ROI leaves the frame, does not divide by the bin, or an option is unknown.
    """

    raw_shape: tuple[int, int]
    """Shape (y, x) of the frames as the detector sends them, in pixels."""
    roi_shape: tuple[int, int] | None = None
    """Rows and columns kept, in raw axes; None keeps all. An axis kept in full length is never cropped."""
    roi_center: tuple[float, float] | None = None
    """Row and column of the centre in raw axes, in pixels (0.0 is the middle of pixel 0); None is the sensor's n//2."""
    bin: int = 1
    """Raw pixels per side of a stored pixel; 1 stores raw pixels."""
    rotate: int = 0
    """Degrees counter-clockwise in the sense of `numpy.rot90`: 90 is k = 1. Applied before `flip`."""
    flip: str = "none"
    """`h` reverses the last axis (left-right), `v` the first (up-down), `hv` both."""

    def __post_init__(self) -> None:
        if self.rotate not in ROTATIONS:
            raise GeometryError(f"rotate {self.rotate!r} is not one of 0, 90, 180, 270 (degrees)")
        if self.flip not in FLIPS:
            raise GeometryError(f"flip {self.flip!r} is not one of none, h, v, hv")
        if self.bin < 1:
            raise GeometryError(f"bin {self.bin} must be 1 or more raw pixels per stored pixel")
        if min(self.raw_shape) < 1:
            raise GeometryError(f"frames of {_text(self.raw_shape)} pixels cannot be stored")
        if self.roi_center is not None and not all(math.isfinite(value) for value in self.roi_center):
            raise GeometryError(f"ROI centre {self.roi_center} must be two finite numbers, in pixels")
        for name, value, n in zip(("row", "column"), self.roi_center or (0.0, 0.0), self.raw_shape, strict=True):
            if not -0.5 <= value < n:
                raise GeometryError(f"ROI centre: {name} {value:g} lies outside of the frame, which has 0 to {n - 1}")
        self._check_roi()

    def _check_roi(self) -> None:
        kept = self._kept_shape
        if min(kept) < 1:
            raise GeometryError(f"an ROI of {_text(kept)} pixels keeps nothing")
        for name, window, n in zip(("rows", "columns"), self.roi_slices, self.raw_shape, strict=True):
            if window.start < 0 or window.stop > n:
                row, column = self._center_in_raw
                raise GeometryError(
                    f"an ROI of {_text(kept)} pixels around row {row:g}, column {column:g} needs {name} "
                    f"{window.start} to {window.stop - 1}, but the frame has {name} 0 to {n - 1}: "
                    "make the ROI smaller or move its centre"
                )
        if any(n % self.bin for n in kept):
            fitting = tuple(n - n % self.bin for n in kept)
            fits = f"an ROI of {_text(fitting)} would" if min(fitting) > 0 else "use a smaller bin"
            raise GeometryError(f"{_text(kept)} pixels do not divide by bin {self.bin}: {fits}")

    @property
    def _kept_shape(self) -> tuple[int, int]:
        return self.raw_shape if self.roi_shape is None else self.roi_shape

    @property
    def _center_in_raw(self) -> tuple[float, float]:
        ny, nx = self.raw_shape
        return (float(ny // 2), float(nx // 2)) if self.roi_center is None else self.roi_center

    @property
    def transposes(self) -> bool:
        """True when raw rows become stored columns (rotate 90 and 270)."""
        return self.rotate in (90, 270)

    @property
    def is_reversed(self) -> tuple[bool, bool]:
        """True where raw rows, and raw columns, run backwards in the stored frame."""
        rows, columns = {0: (False, False), 90: (False, True), 180: (True, True), 270: (True, False)}[self.rotate]
        flips_rows, flips_columns = "v" in self.flip, "h" in self.flip
        if self.transposes:
            flips_rows, flips_columns = flips_columns, flips_rows
        return rows != flips_rows, columns != flips_columns

    @property
    def roi_slices(self) -> tuple[slice, slice]:
        """Raw rows and raw columns that are kept.

        With n pixels kept around the pixel nearest to the centre c, they start at c - n//2, and at c - (n-1-n//2) on an
        axis that the orientation reverses. That puts the pixel at n//2 before the bin, so with a bin it is in stored
        pixel n_binned//2, at the same place within it, in every orientation.
        """
        windows = []
        for n_raw, n, center, backwards in zip(
            self.raw_shape, self._kept_shape, self._center_in_raw, self.is_reversed, strict=True
        ):
            before = n - 1 - n // 2 if backwards else n // 2
            start = 0 if n == n_raw else math.floor(center + 0.5) - before
            windows.append(slice(start, start + n))
        return windows[0], windows[1]

    @property
    def binned_shape(self) -> tuple[int, int]:
        """Shape after ROI and bin, still in raw axes."""
        ny, nx = self._kept_shape
        return ny // self.bin, nx // self.bin

    @property
    def out_shape(self) -> tuple[int, int]:
        """Shape (y, x) of a stored frame."""
        ny, nx = self.binned_shape
        return (nx, ny) if self.transposes else (ny, nx)

    @property
    def center(self) -> tuple[float, float]:
        """True centre in the stored frame: (row, column), in stored pixels, index 0.0 being a middle.

        It is (n//2, n//2) for an ROI around a whole pixel with bin 1. A fraction of a pixel in the centre, a bin (by
        less than half a stored pixel) and an axis that is not cropped move it, and this says by how much.
        """
        along = []
        for window, center, backwards in zip(self.roi_slices, self._center_in_raw, self.is_reversed, strict=True):
            index = window.stop - 1 - center if backwards else center - window.start
            along.append((index + 0.5) / self.bin - 0.5)
        return (along[1], along[0]) if self.transposes else (along[0], along[1])

    def crop(self, image: NDArray[Any]) -> NDArray[Any]:
        """The ROI of raw images, shape (..., y, x): a view. Raises `GeometryError` for another shape."""
        if image.shape[-2:] != self.raw_shape:
            raise GeometryError(
                f"an image of {_text(image.shape[-2:])} pixels is not of the frames' shape {_text(self.raw_shape)}"
            )
        rows, columns = self.roi_slices
        return image[..., rows, columns]

    def orient(self, image: NDArray[Any]) -> NDArray[Any]:
        """Rotate, then flip images that are cropped (and binned) already, shape (..., y, x): a view."""
        turned = np.rot90(image, self.rotate // 90, axes=(-2, -1))
        if "h" in self.flip:
            turned = turned[..., :, ::-1]
        if "v" in self.flip:
            turned = turned[..., ::-1, :]
        return turned

    def apply(self, image: NDArray[Any]) -> NDArray[Any]:
        """ROI, rotate and flip of one raw image, without the bin: a C-contiguous copy or the image itself."""
        return np.ascontiguousarray(self.orient(self.crop(image)))


def parse_center(text: str, raw_shape: tuple[int, int]) -> tuple[float, float]:
    """Row and column in pixels from the text `cy,cx`.

    A number is a fraction of the frame only when it is written with a decimal point and is below 1: "0.5,0.5" is the
    pixel n//2 on both axes, "0,1" is row 0 and column 1. Raises `GeometryError` when it is not two such numbers.
    """
    words = [word.strip() for word in text.split(",")]
    if len(words) != 2 or not all(_CENTER_NUMBER.fullmatch(word) for word in words):
        raise GeometryError(
            f"ROI centre {text!r} must be 'row,column', each in pixels (256 or 256.5) or a fraction below 1 "
            "with a decimal point (0.5)"
        )
    row, column = (_pixel(word, n) for word, n in zip(words, raw_shape, strict=True))
    return row, column


def _pixel(word: str, n: int) -> float:
    number = float(word)
    is_fraction = "." in word and number < 1.0
    return float(math.floor(number * n)) if is_fraction else number


def _text(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in shape)
