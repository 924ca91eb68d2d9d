"""The camera: photons in, raw frames out, with everything a real sensor adds to them.

The order is nature's: photons are counted with Poisson statistics by pixels of unequal sensitivity, the gain makes
counts (ADU) of them, dark current, offset and read noise are added, and the converter rounds and saturates. All of the
sensor's own patterns are laid down in the axes of the stored frame and turned together with the frame, so the eight
mountings give the same stored frame pixel for pixel. Noise comes from (seed, index) alone: frame n is the same
whatever was exposed before it (with one version of numpy, whose generators may change between versions).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from iocsim.unique_ids import seed_of

Rotate = Literal[0, 90, 180, 270]
Flip = Literal["none", "h", "v", "hv"]

PIXEL_TYPES = (
    "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64",
)  # fmt: skip

HOT_CURRENT_FACTOR = 400.0  # a hot pixel leaks hundreds of times more than its neighbours
HOT_NOISE_FACTOR = 8.0
FLAT_LEVEL = 0.4  # of saturation: what one would choose for a flat field, bright and safely linear


class _Stream(IntEnum):
    """Independent random streams of one seed (0 is the specimen's)."""

    SENSOR = 1
    FRAME = 2
    DARK = 3
    FLAT = 4


def mount(stored: NDArray[Any], rotate: Rotate, flip: Flip) -> NDArray[Any]:
    """Turn a frame from stored into raw axes: the inverse of "rotate by numpy's rot90, then flip"; a view."""
    if flip in ("h", "hv"):
        stored = stored[:, ::-1]
    if flip in ("v", "hv"):
        stored = stored[::-1]
    return np.rot90(stored, -rotate // 90)


@dataclass(frozen=True, slots=True)
class CameraSpec:
    """The numbers of a sensor; `rotate` and `flip` are the profile's, which bring its raw frames back."""

    shape: tuple[int, int]
    """Rows and columns in stored axes."""
    dtype: str = "uint16"
    seed: int = 1
    rotate: Rotate = 0
    flip: Flip = "none"
    gain_ADU_per_photon: float = 4.0
    offset_ADU: float = 100.0
    fixed_pattern_ADU: float = 3.0
    """Standard deviation of the offset from pixel to pixel, and half as much from column to column."""
    read_noise_ADU: float = 2.0
    dark_current_ADU_per_s: float = 5.0
    sensitivity_spread: float = 0.03
    """Standard deviation of the pixels' sensitivity, on top of a smooth fall of 5 % towards the corners."""
    hot_fraction: float = 0.0005
    dead_fraction: float = 0.0005
    saturation_ADU: float = 65535.0

    def __post_init__(self) -> None:
        """Raise ValueError for a mounting or a seed that does not exist."""
        if self.rotate not in (0, 90, 180, 270) or self.flip not in ("none", "h", "v", "hv"):
            raise ValueError(
                f"rotate = {self.rotate!r}, flip = {self.flip!r}: rotate is 0, 90, 180 or 270, flip is none, h, v or hv"
            )
        if self.seed < 0:
            raise ValueError(f"seed = {self.seed}: it must be 0 or more")

    @classmethod
    def for_dtype(cls, shape: tuple[int, int], dtype: str, seed: int, rotate: Rotate, flip: Flip) -> Self:
        """A sensor with gain, offset and saturation that suit the pixel type.

        One byte: a small camera that counts a fraction of an ADU per photon. Four bytes and floating point: a
        20-bit sensor. Raises ValueError for a type that is not a camera's.
        """
        if dtype not in PIXEL_TYPES:
            raise ValueError(f"dtype {dtype!r} is not a pixel type of this camera: use one of {', '.join(PIXEL_TYPES)}")
        kind = np.dtype(dtype)
        if kind.itemsize == 1:
            return cls(
                shape, kind.name, seed, rotate, flip, 0.02, 8.0, 0.5, 0.6, 0.2, 0.03, 0.0005, 0.0005,
                float(np.iinfo(kind).max),
            )  # fmt: skip
        saturation_ADU = float(np.iinfo(kind).max) if kind.kind in "ui" and kind.itemsize == 2 else 2.0**20 - 1
        return cls(shape, kind.name, seed, rotate, flip, saturation_ADU=saturation_ADU)


class Camera:
    """A sensor made from its numbers: the same spec is the same sensor, hot pixel for hot pixel."""

    def __init__(self, spec: CameraSpec) -> None:
        self.spec = spec
        rng = self._rng(_Stream.SENSOR, 0)
        ny, nx = spec.shape
        n_pixels = ny * nx
        bad = rng.permutation(n_pixels)
        n_hot, n_dead = round(spec.hot_fraction * n_pixels), round(spec.dead_fraction * n_pixels)
        hot, dead = np.zeros(n_pixels, np.bool_), np.zeros(n_pixels, np.bool_)
        hot[bad[:n_hot]] = True
        dead[bad[n_hot : n_hot + n_dead]] = True
        hot, dead = hot.reshape(spec.shape), dead.reshape(spec.shape)

        rows = np.linspace(-1, 1, ny)[:, np.newaxis]
        columns = np.linspace(-1, 1, nx)[np.newaxis, :]
        falloff = 1 - 0.025 * (rows**2 + columns**2)
        spread = np.maximum(1 + spec.sensitivity_spread * rng.standard_normal(spec.shape), 0.1)
        self._sensitivity = np.where(dead, 0.0, falloff * spread)
        pattern = rng.standard_normal(spec.shape) + 0.5 * rng.standard_normal(nx)[np.newaxis, :]
        self._offset_ADU = (spec.offset_ADU + spec.fixed_pattern_ADU * pattern).astype(np.float32)
        current = spec.dark_current_ADU_per_s * rng.uniform(0.5, 1.5, spec.shape)
        self._current_ADU_per_s = np.where(hot, HOT_CURRENT_FACTOR * current, current).astype(np.float32)
        noise = np.where(hot, HOT_NOISE_FACTOR * spec.read_noise_ADU, spec.read_noise_ADU)
        self._noise_ADU = noise.astype(np.float32)
        self._bad = (hot | dead).astype(np.uint8)
        self._dtype = np.dtype(spec.dtype)

    @property
    def raw_shape(self) -> tuple[int, int]:
        """Rows and columns of a frame as the sensor, in its mounting, is read out."""
        ny, nx = self.spec.shape
        return (nx, ny) if self.spec.rotate in (90, 270) else (ny, nx)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Pixel type of the raw frames."""
        return self._dtype

    def noise_of(self, index: int) -> np.random.Generator:
        """The random generator of exposure `index` (>= 0)."""
        return self._rng(_Stream.FRAME, index)

    def expose(
        self,
        photons: NDArray[np.floating] | None,
        exposure_s: float,
        rng: np.random.Generator,
        *,
        drifted_ADU: float = 0.0,
    ) -> NDArray[Any]:
        """One raw frame, C order: `photons` are those expected per pixel, stored axes; None when it is dark.

        `drifted_ADU` is what the offset of all pixels has gone up by.
        """
        spec = self.spec
        frame = rng.standard_normal(spec.shape, np.float32)
        frame *= self._noise_ADU
        frame += self._offset_ADU + np.float32(drifted_ADU)
        frame += self._current_ADU_per_s * np.float32(exposure_s)
        if photons is not None:
            counts = rng.poisson(photons * self._sensitivity)
            frame += counts.astype(np.float32) * np.float32(spec.gain_ADU_per_photon)
        floor_ADU = -np.inf if self._dtype.kind == "f" else float(np.iinfo(self._dtype).min)
        np.clip(frame, floor_ADU, spec.saturation_ADU, out=frame)
        if self._dtype.kind != "f":
            np.rint(frame, out=frame)
        return np.ascontiguousarray(mount(frame.astype(self._dtype), spec.rotate, spec.flip))

    def dark_reference(self, exposure_s: float, n_frames: int = 64) -> NDArray[np.float32]:
        """The mean of `n_frames` exposures without beam, in ADU, raw axes: what a beamline measures as its dark."""
        return self._mean(_Stream.DARK, None, exposure_s, n_frames)

    def flat_reference(self, exposure_s: float, n_frames: int = 64) -> NDArray[np.float32]:
        """The mean of `n_frames` evenly lit exposures, in ADU, dark included, raw axes; dead pixels stay dark."""
        level = (FLAT_LEVEL * self.spec.saturation_ADU - self.spec.offset_ADU) / self.spec.gain_ADU_per_photon
        return self._mean(_Stream.FLAT, np.full(self.spec.shape, level), exposure_s, n_frames)

    def bad_pixel_mask(self) -> NDArray[np.uint8]:
        """1 for hot and dead pixels, 0 for good ones, raw axes."""
        return np.ascontiguousarray(mount(self._bad, self.spec.rotate, self.spec.flip))

    def _mean(
        self, stream: _Stream, photons: NDArray[np.float64] | None, exposure_s: float, n_frames: int
    ) -> NDArray[np.float32]:
        total = np.zeros(self.raw_shape)
        for index in range(n_frames):
            total += self.expose(photons, exposure_s, self._rng(stream, index))
        return (total / n_frames).astype(np.float32)

    def _rng(self, stream: _Stream, index: int) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence([self.spec.seed, stream, seed_of(index)])))
