"""A picture made small enough for a page, once for all viewers."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

MOST_PIXELS = 256
"""Longest side of a picture that is renewed all the time: 256 KiB as float32."""
MOST_PIXELS_ONCE = 512
"""Of one that a viewer has asked for."""

_serials = itertools.count(1)


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """Pixels (y, x) float32 as they are shown."""

    pixels: npt.NDArray[np.float32]
    step: int
    """Pixels of the original, along each axis, whose mean one of these is."""
    attributes: Mapping[str, Any]
    """NDAttributes of the original."""
    serial: int
    """Another one for each picture: it tells what is new."""

    @classmethod
    def binned_before(cls, pixels: npt.NDArray[np.float32], step: int) -> Self:
        """One that another process has made small."""
        return cls(pixels, step, {}, next(_serials))

    def extent_um(self) -> tuple[float, float, float, float]:
        """Left and lower edge, width and height on the sample, of a map."""
        ny, nx = self.pixels.shape
        pixel_um = 1e6 * float(self.attributes.get("pixel_m", 1e-6))
        x0_um, y0_um = (1e6 * float(self.attributes.get(name, 0.0)) for name in ("x0_m", "y0_m"))
        left, bottom = x0_um - pixel_um / 2, y0_um - pixel_um / 2
        return left, bottom, nx * self.step * pixel_um, ny * self.step * pixel_um

    @property
    def is_empty(self) -> bool:
        """True for what a channel has before its first picture."""
        return self.pixels.size <= 1 and not np.nan_to_num(self.pixels).any()


def picture_of(pixels: npt.NDArray[Any], attributes: Mapping[str, Any], most_pixels: int = MOST_PIXELS) -> Picture:
    """The picture of pixels (y, x), each the mean of some of them (NaN left out) if there are more than `most_pixels`
    on a side."""
    whole = np.array(pixels, np.float32)
    step = -(-max(whole.shape) // most_pixels)
    small = whole if step == 1 else binned(whole, step)
    return Picture(small, step, dict(attributes), next(_serials))


def binned(pixels: npt.NDArray[np.float32], step: int) -> npt.NDArray[np.float32]:
    """Means of step x step pixels; those at the upper and right edge may be of fewer. NaN where all are."""
    ny, nx = (-(-n // step) for n in pixels.shape)
    padded = np.full((ny * step, nx * step), np.nan, np.float32)
    padded[: pixels.shape[0], : pixels.shape[1]] = pixels
    cells = padded.reshape(ny, step, nx, step)
    is_known = np.isfinite(cells)
    n_known = is_known.sum(axis=(1, 3))
    total = np.where(is_known, cells, 0).sum(axis=(1, 3), dtype=np.float64)
    return np.where(n_known, total / np.maximum(n_known, 1), np.nan).astype(np.float32)
