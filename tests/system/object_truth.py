"""Likeness of a reconstructed object to the truth: correlation on the scanned area, no other orientation tried.

What no ptychographic reconstruction can know is removed first: a global complex factor, a shift common to object and
probe, a linear phase ramp. The mean is removed as well: a transmission near 1 everywhere correlates with anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

Complex = npt.NDArray[np.complexfloating[Any, Any]]
Floats = npt.NDArray[np.float64]
OVERSAMPLING = 3


@dataclass(frozen=True)
class Image:
    """A complex image on the sample: element [0, 0] is at (y0_m, x0_m), rows grow with +y, columns with +x."""

    data: Complex
    pixel_yx_m: tuple[float, float]
    origin_yx_m: tuple[float, float]

    def at(self, y_m: Floats, x_m: Floats) -> Complex:
        """The image on the grid of these rows and columns: band-limited interpolation, then linear."""
        fine = _finer(self.data, OVERSAMPLING)
        rows = (y_m - self.origin_yx_m[0]) / self.pixel_yx_m[0] * OVERSAMPLING
        columns = (x_m - self.origin_yx_m[1]) / self.pixel_yx_m[1] * OVERSAMPLING
        row, column = np.clip(rows, 0, fine.shape[0] - 1.001), np.clip(columns, 0, fine.shape[1] - 1.001)
        i, j = row.astype(int), column.astype(int)
        u, v = (row - i)[:, None], (column - j)[None, :]
        above = fine[np.ix_(i, j)] * (1 - v) + fine[np.ix_(i, j + 1)] * v
        below = fine[np.ix_(i + 1, j)] * (1 - v) + fine[np.ix_(i + 1, j + 1)] * v
        return above * (1 - u) + below * u

    @property
    def axes_m(self) -> tuple[Floats, Floats]:
        """y of the rows, x of the columns."""
        return tuple(
            origin + pixel * np.arange(n)
            for origin, pixel, n in zip(self.origin_yx_m, self.pixel_yx_m, self.data.shape, strict=True)
        )  # type: ignore[return-value]


def read_truth(path: Path) -> Image:
    """The simulated sample of a run."""
    with np.load(path) as truth:
        pixel, origin = truth["object_pixel_yx_m"], truth["object_origin_yx_m"]
        return Image(truth["object"], (pixel[0], pixel[1]), (origin[0], origin[1]))


def read_reconstruction(path: Path) -> tuple[Image, npt.NDArray[np.bool_]]:
    """`image_1` of a reconstruction, and where it is covered by the scan."""
    with h5py.File(path, "r") as file:
        image = file["/entry_1/image_1"]
        data = np.asarray(image["data"])
        pixel = float(image["y_pixel_size"][()]), float(image["x_pixel_size"][()])
        x_m, y_m, _ = np.asarray(image["first_pixel_position"])
        return Image(data, pixel, (y_m, x_m)), np.asarray(image["mask"]) > 0


def correlation(found: Image, covered: npt.NDArray[np.bool_], truth: Image, *, max_shift_px: int = 12) -> float:
    """|correlation| of object and truth over the covered area, 1 = equal."""
    rows, columns = np.flatnonzero(covered.any(axis=1)), np.flatnonzero(covered.any(axis=0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    weight = covered[box].astype(np.float64)
    image = found.data[box].astype(np.complex128)
    y_m, x_m = found.axes_m
    y_m, x_m = y_m[box[0]], x_m[box[1]]
    best = 0.0
    shift = np.zeros(2)
    for _ in range(4):
        true = truth.at(y_m + shift[0] * found.pixel_yx_m[0], x_m + shift[1] * found.pixel_yx_m[1])
        flattened = image * np.conj(_ramp(image * np.conj(true) * weight))
        best = max(best, _correlation(flattened, true, weight))
        shift = shift + _shift_between(flattened, true, weight, max_shift_px)
    return best


def _correlation(a: Complex, b: Complex, weight: Floats) -> float:
    total = weight.sum()
    a, b = a - (a * weight).sum() / total, b - (b * weight).sum() / total
    return float(
        abs((a * np.conj(b) * weight).sum()) / np.sqrt((abs(a) ** 2 * weight).sum() * (abs(b) ** 2 * weight).sum())
    )


def _ramp(product: Complex) -> Complex:
    """exp(i(a y + b x)) with the gradient that makes `product` most even: the peak of its transform, refined."""
    ny, nx = product.shape
    spectrum = abs(np.fft.fft2(product, (4 * ny, 4 * nx)))
    at_y, at_x = np.unravel_index(int(spectrum.argmax()), spectrum.shape)
    y, x = np.arange(ny)[:, None], np.arange(nx)[None, :]
    gradient = np.array([_peak(spectrum[:, at_x], int(at_y)) / (4 * ny), _peak(spectrum[at_y], int(at_x)) / (4 * nx)])
    return np.exp(2j * np.pi * (gradient[0] * y + gradient[1] * x))


def _shift_between(a: Complex, b: Complex, weight: Floats, most_px: int) -> Floats:
    """Shift of the features from a to b: peak of the cross correlation, to a fraction of a pixel."""
    a, b = (a - a[weight > 0].mean()) * weight, (b - b[weight > 0].mean()) * weight
    shape = (2 * a.shape[0], 2 * a.shape[1])
    cross = abs(np.fft.ifft2(np.conj(np.fft.fft2(a, shape)) * np.fft.fft2(b, shape)))
    near = np.zeros(shape, bool)
    near[np.ix_(np.r_[: most_px + 1, -most_px:0], np.r_[: most_px + 1, -most_px:0])] = True
    at_y, at_x = np.unravel_index(int(np.where(near, cross, 0).argmax()), shape)
    found = np.array([_peak(cross[:, at_x], int(at_y)), _peak(cross[at_y], int(at_x))])
    return np.where(found > np.array(shape) / 2, found - np.array(shape), found)


def _peak(line: Floats, at: int) -> float:
    """Place of a maximum between samples, by the parabola through three of them."""
    before, here, after = line[at - 1], line[at], line[(at + 1) % len(line)]
    curvature = before - 2 * here + after
    return at + (0.5 * (before - after) / curvature if curvature < 0 else 0.0)


def _finer(data: Complex, factor: int) -> Complex:
    """More samples of the same band-limited image; element [0, 0] stays where it is."""
    ny, nx = data.shape
    spectrum = np.fft.fftshift(np.fft.fft2(data))
    padded = np.zeros((ny * factor, nx * factor), np.complex128)
    top, left = ny * factor // 2 - ny // 2, nx * factor // 2 - nx // 2
    padded[top : top + ny, left : left + nx] = spectrum
    return np.fft.ifft2(np.fft.ifftshift(padded)) * factor**2
