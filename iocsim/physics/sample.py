"""The sample in the beam: a complex transmission function, chiral and with structure down to the resolution.

A flipped, rotated or twinned reconstruction of a symmetric test pattern looks right. This one has a spiral whose arms
differ, letters F and grains, and no mirror or rotation brings it back onto itself. It is described in metres, and
drawn for the pixel the optics has at the sample, so a change of energy or of sensor shows the same sample.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from iocsim.physics.optics import Optics

AMPLITUDE_MIN = 0.6
PHASE_MAX_RAD = 1.5
EDGE_M = 12e-9  # half width of every edge: about one pixel at the sample, so the pattern is sharp, not aliased

RIM_HALF_WIDTH_M = 150e-9
RIM_AMPLITUDE = 0.7  # of the rim itself: half of the light
RIM_REFRACTION = 1.0
PATCHES_STREAM = 6  # of the random streams of one seed, see `frame_faults`

SPIRAL_CENTRE_M = (-0.45e-6, 0.3e-6)  # x, y
SPIRAL_ARMS = 7
SPIRAL_WINDING = 5.0  # phase in radians per factor e in radius
GRAIN_CLASSES = (  # grains per um^2, smallest and largest radius (m)
    (3.0, 70e-9, 170e-9),
    (14.0, 30e-9, 70e-9),
    (50.0, 14e-9, 30e-9),
)
LETTERS = (  # x, y of the lower left corner and height, all in m
    (0.55e-6, 0.15e-6, 1.3e-6),
    (-1.55e-6, -1.75e-6, 0.8e-6),
    (0.2e-6, -1.2e-6, 0.5e-6),
    (2.3e-6, -2.2e-6, 1.6e-6),
    (-3.6e-6, 1.6e-6, 1.8e-6),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """A complex transmission function on a grid; outside it the sample is bare membrane, transmission 1."""

    transmission: NDArray[np.complex64]
    """(rows, columns), the index growing with +y and +x."""
    pixel_y_m: float
    pixel_x_m: float
    origin_y_m: float
    """Position on the sample of element [0, 0], along y."""
    origin_x_m: float

    def window(self, x_m: float, y_m: float, shape: tuple[int, int]) -> tuple[NDArray[np.complex64], float, float]:
        """The part of the sample that `shape` sees with the beam at (x_m, y_m).

        Gives the nearest window on the grid, a view where possible, and by how much of a pixel along y and x
        (-0.5 to 0.5) the beam lies beyond the window's centre element n//2.
        """
        row = (y_m - self.origin_y_m) / self.pixel_y_m
        column = (x_m - self.origin_x_m) / self.pixel_x_m
        nearest_row, nearest_column = round(row), round(column)
        top, left = nearest_row - shape[0] // 2, nearest_column - shape[1] // 2
        return self._cut(top, left, shape), row - nearest_row, column - nearest_column

    def _cut(self, top: int, left: int, shape: tuple[int, int]) -> NDArray[np.complex64]:
        rows, columns = self.transmission.shape
        bottom, right = top + shape[0], left + shape[1]
        if top >= 0 and left >= 0 and bottom <= rows and right <= columns:
            return self.transmission[top:bottom, left:right]
        cut = np.ones(shape, np.complex64)
        inside_rows = slice(max(top, 0), max(min(bottom, rows), 0))
        inside_columns = slice(max(left, 0), max(min(right, columns), 0))
        seen = self.transmission[inside_rows, inside_columns]
        if seen.size:
            row, column = inside_rows.start - top, inside_columns.start - left
            cut[row : row + seen.shape[0], column : column + seen.shape[1]] = seen
        return cut


class Specimen(Protocol):
    """A sample that can be drawn for the pixel that a given optics has at the sample."""

    def draw(self, optics: Optics) -> Sample:
        """The sample, on a grid with the optics' `sample_pixel_y_m` and `sample_pixel_x_m`."""
        ...


@dataclass(frozen=True, slots=True)
class ChiralSpecimen:
    """Spiral, letters, grains and a smooth phase; amplitude 0.6 to 1, phase 0 to 1.5 rad, the same for one seed."""

    seed: int = 1
    scan_range_x_m: float = 10e-6
    """The beam may be anywhere within +- half of this; the pattern reaches half a window beyond."""
    scan_range_y_m: float = 10e-6
    contrast: float = 1.0
    """Factor on absorption and refraction: 1 is strong; 0.15 is a thin section without stain."""
    empty_share: float = 0.0
    """Share of the area that is bare membrane, in a few patches."""
    thick_edges: bool = False
    """The sample is thick where it borders on bare membrane, as the rim of a section or of a dried drop."""

    def draw(self, optics: Optics) -> Sample:
        """The sample on a grid whose element (rows // 2, columns // 2) is at position (0, 0)."""
        dy, dx = optics.sample_pixel_y_m, optics.sample_pixel_x_m
        rows = math.ceil(self.scan_range_y_m / dy) + optics.shape[0] + 2
        columns = math.ceil(self.scan_range_x_m / dx) + optics.shape[1] + 2
        y_m = np.arange(-(rows // 2), rows - rows // 2, dtype=np.float64) * dy
        x_m = np.arange(-(columns // 2), columns - columns // 2, dtype=np.float64) * dx
        spiral = _spiral(x_m, y_m)
        letters = _letters(x_m, y_m)
        # The specimen is laid out on its own area, not on the window's, so that the same grains are met at any energy.
        half_x_m, half_y_m = self.scan_range_x_m / 2 + 3e-6, self.scan_range_y_m / 2 + 3e-6
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([self.seed, 0])))
        absorbing, refracting = _grains(x_m, y_m, half_x_m, half_y_m, rng)
        absorption = self.contrast * (0.35 * spiral + 1.2 * letters + absorbing)
        refraction = self.contrast * (0.35 * _swell(x_m, y_m, rng) + 0.6 * spiral + 0.9 * letters + refracting)
        rim: NDArray[np.float64] | float = 0.0
        if self.empty_share:
            covered, rim = self._patches(x_m, y_m)
            absorption *= covered
            refraction *= covered
        amplitude = 1 - (1 - AMPLITUDE_MIN) * (1 - np.exp(-absorption))
        if self.thick_edges:
            amplitude *= RIM_AMPLITUDE**rim
            refraction += RIM_REFRACTION * rim
        phase_rad = PHASE_MAX_RAD * (1 - np.exp(-refraction))
        transmission = (amplitude * np.exp(1j * phase_rad)).astype(np.complex64)
        transmission.setflags(write=False)
        return Sample(transmission, dy, dx, float(y_m[0]), float(x_m[0]))

    def _patches(
        self, x_m: NDArray[np.float64], y_m: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where the sample is (1) and is not (0), and its rim (1 on the border, falling off to both sides)."""
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([self.seed, PATCHES_STREAM])))
        height = _swell(x_m, y_m, rng)
        inside = height[np.ix_(np.abs(y_m) <= self.scan_range_y_m / 2, np.abs(x_m) <= self.scan_range_x_m / 2)]
        level = float(np.quantile(inside, self.empty_share))
        slope_y, slope_x = np.gradient(height, y_m, x_m)
        distance_m = (height - level) / np.maximum(np.hypot(slope_y, slope_x), 1.0)
        return _step(distance_m), np.exp(-((distance_m / RIM_HALF_WIDTH_M) ** 2))


def _step(distance_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """From 0 (far below zero) to 1 (far above) over the width of an edge."""
    return 0.5 + 0.5 * np.tanh(distance_m / EDGE_M)


def _spiral(x_m: NDArray[np.float64], y_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Arms of a logarithmic spiral; the first harmonic makes them unequal, so no rotation maps one onto the next."""
    x = (x_m - SPIRAL_CENTRE_M[0])[np.newaxis, :]
    y = (y_m - SPIRAL_CENTRE_M[1])[:, np.newaxis]
    radius_m = np.hypot(x, y) + 1e-9  # the logarithm needs it at the very centre
    angle_rad = np.arctan2(y, x)
    turn_rad = SPIRAL_ARMS * angle_rad - SPIRAL_WINDING * np.log(radius_m / 1e-6) + 0.8 * np.sin(angle_rad)
    width_per_rad_m = radius_m / math.hypot(SPIRAL_ARMS, SPIRAL_WINDING)
    return _step(np.cos(turn_rad) * width_per_rad_m) * (0.65 + 0.35 * np.cos(angle_rad - 0.6))


def _letters(x_m: NDArray[np.float64], y_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Capital F, upright when +y is up: it has no symmetry at all."""
    letters = np.zeros((y_m.size, x_m.size))
    for left_m, bottom_m, height_m in LETTERS:
        stroke_m = 0.18 * height_m
        bars = (  # x from, x to, y from, y to, in units of the letter
            (0.0, stroke_m, 0.0, height_m),
            (0.0, 0.65 * height_m, height_m - stroke_m, height_m),
            (0.0, 0.5 * height_m, 0.45 * height_m, 0.45 * height_m + stroke_m),
        )
        for from_x, to_x, from_y, to_y in bars:
            across = _step(x_m - left_m - from_x) * _step(left_m + to_x - x_m)
            along = _step(y_m - bottom_m - from_y) * _step(bottom_m + to_y - y_m)
            np.maximum(letters, along[:, np.newaxis] * across[np.newaxis, :], out=letters)
    return letters


def _swell(x_m: NDArray[np.float64], y_m: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """A smooth hilly landscape between 0 and 1: a few plane waves of 1.5 to 6 um."""
    n_waves = 12
    per_m = 2 * np.pi / rng.uniform(1.5e-6, 6e-6, n_waves)
    direction_rad = rng.uniform(0, 2 * np.pi, n_waves)
    start_rad = rng.uniform(0, 2 * np.pi, n_waves)
    landscape = np.zeros((y_m.size, x_m.size))
    for k, direction, start in zip(per_m, direction_rad, start_rad, strict=True):
        along_y = np.exp(1j * (k * math.sin(direction) * y_m + start))
        along_x = np.exp(1j * k * math.cos(direction) * x_m)
        landscape += (along_y[:, np.newaxis] * along_x[np.newaxis, :]).real
    return 0.5 + 0.5 * landscape / n_waves


def _grains(
    x_m: NDArray[np.float64],
    y_m: NDArray[np.float64],
    half_x_m: float,
    half_y_m: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Absorption and refraction of round grains scattered over the specimen, each of its own strength."""
    absorbing = np.zeros(y_m.size * x_m.size)  # flat: numpy adds at one index several times faster than at two
    refracting = np.zeros_like(absorbing)
    dy, dx = float(y_m[1] - y_m[0]), float(x_m[1] - x_m[0])
    for per_um2, smallest_m, largest_m in GRAIN_CLASSES:
        n = round(per_um2 * 4e12 * half_x_m * half_y_m)
        centre_x_m, centre_y_m = rng.uniform(-half_x_m, half_x_m, n), rng.uniform(-half_y_m, half_y_m, n)
        radius_m = rng.uniform(smallest_m, largest_m, n)
        absorbs, refracts = rng.uniform(0.0, 0.6, n), rng.uniform(0.0, 1.8, n)
        reach_y, reach_x = (math.ceil((largest_m + 3 * EDGE_M) / pixel_m) for pixel_m in (dy, dx))
        row0 = np.rint((centre_y_m - y_m[0]) / dy).astype(np.intp)
        column0 = np.rint((centre_x_m - x_m[0]) / dx).astype(np.intp)
        for row_step in range(-reach_y, reach_y + 1):
            for column_step in range(-reach_x, reach_x + 1):
                row, column = row0 + row_step, column0 + column_step
                inside = (row >= 0) & (row < y_m.size) & (column >= 0) & (column < x_m.size)
                row, column = row[inside], column[inside]
                pixel = row * x_m.size + column
                distance_m = np.hypot(y_m[row] - centre_y_m[inside], x_m[column] - centre_x_m[inside])
                cover = _step(radius_m[inside] - distance_m)
                np.add.at(absorbing, pixel, absorbs[inside] * cover)
                np.add.at(refracting, pixel, refracts[inside] * cover)
    return absorbing.reshape(y_m.size, -1), refracting.reshape(y_m.size, -1)
