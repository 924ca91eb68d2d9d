"""Scan-space maps: a value per row, drawn where the beam was on the sample.

Rows come in any order and at any place. A map is drawn from all of them; one that is looked at while they come is only
added to, until they are twice as many or lie outside of it, so that a look at a million rows costs no more than one at
a few thousand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MAX_PIXELS = 512
"""Longest side of a map."""
MARGIN = 0.25
"""Share of a map's width and height that stays free on every side for rows to come."""


@dataclass(frozen=True, slots=True, eq=False)
class ScanMap:
    """A value over the sample: `image[row, column]` with y growing by rows and x by columns; NaN where no beam was."""

    image: npt.NDArray[np.float32]
    pixel_m: float
    x0_m: float
    """x of the centre of the first column."""
    y0_m: float

    @property
    def extent_m(self) -> tuple[float, float, float, float]:
        """Left, right, bottom, top edge: matplotlib's `extent` for `origin="lower"`."""
        ny, nx = self.image.shape
        half = self.pixel_m / 2
        left, bottom = self.x0_m - half, self.y0_m - half
        return left, left + nx * self.pixel_m, bottom, bottom + ny * self.pixel_m


class GrowingMap:
    """The map of rows that keep coming."""

    def __init__(self) -> None:
        self._n_begun = self._n_drawn = 0
        """Rows when it was begun, and those that are in it now."""
        self._pixel_m = self._x0_m = self._y0_m = 0.0
        self._total = self._count = np.zeros((0, 0))

    def draw(self, x_m: Floats, y_m: Floats, values: Floats, usual: float = 0.0, n_final: int | None = None) -> ScanMap:
        """Draw all rows (n,), those of the last call first and unchanged; their values count from the `usual` one.

        With `n_final` only so many of them need be unchanged the next time.

        A pixel is as wide as the mean spacing of the rows was when the map was begun, and shows the mean of its rows.
        One without a row takes the mean of the pixels around it that have one; NaN where there is none. Rows without a
        position or a value are left out.
        """
        n, first = len(values), self._n_drawn
        n_final = n if n_final is None else n_final
        others = _known(x_m[n_final:], y_m[n_final:], values[n_final:])
        final = _known(x_m[first:n_final], y_m[first:n_final], values[first:n_final])
        if n >= 2 * self._n_begun or not self._holds(final) or not self._holds(others):
            final = _known(x_m[:n_final], y_m[:n_final], values[:n_final])
            known = np.concatenate([final, others])
            if not len(known):
                return ScanMap(np.full((1, 1), np.nan, np.float32), 1e-9, 0.0, 0.0)
            self._begin(known)
            self._n_begun = n
        self._add(final, self._total, self._count)
        self._n_drawn = n_final
        if not len(others):
            return self._cut_out(self._total, self._count, usual)
        total, count = self._total.copy(), self._count.copy()
        self._add(others, total, count)
        return self._cut_out(total, count, usual)

    def _begin(self, table: Floats) -> None:
        x_m, y_m = table[:, 0], table[:, 1]
        x0_m, y0_m = float(x_m.min()), float(y_m.min())
        width_m, height_m = float(x_m.max()) - x0_m, float(y_m.max()) - y0_m
        self._pixel_m = pixel_m = _spacing(width_m, height_m, len(table))
        margins = int(MARGIN * width_m / pixel_m) + 1, int(MARGIN * height_m / pixel_m) + 1
        nx, ny = int(width_m / pixel_m + 0.5) + 1, int(height_m / pixel_m + 0.5) + 1
        self._x0_m, self._y0_m = x0_m - margins[0] * pixel_m, y0_m - margins[1] * pixel_m
        self._total = np.zeros((ny + 2 * margins[1], nx + 2 * margins[0]))
        self._count = np.zeros(self._total.shape)

    def _pixels(self, rows: Floats) -> tuple[Floats, Floats]:
        row = np.floor((rows[:, 1] - self._y0_m) / self._pixel_m + 0.5)
        return row, np.floor((rows[:, 0] - self._x0_m) / self._pixel_m + 0.5)

    def _holds(self, rows: Floats) -> bool:
        """True if all rows lie within the map."""
        if not len(rows):
            return True
        (row, column), (ny, nx) = self._pixels(rows), self._total.shape
        return bool(((row >= 0) & (row < ny) & (column >= 0) & (column < nx)).all())

    def _add(self, rows: Floats, total: Floats, count: Floats) -> None:
        (row, column), (ny, nx) = self._pixels(rows), total.shape
        flat = (row * nx + column).astype(np.intp)
        count += np.bincount(flat, minlength=nx * ny).reshape(ny, nx)
        total += np.bincount(flat, weights=rows[:, 2], minlength=nx * ny).reshape(ny, nx)

    def _cut_out(self, total: Floats, count: Floats, usual: float) -> ScanMap:
        rows, columns = (np.flatnonzero(count.any(axis=axis)) for axis in (1, 0))
        at = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        with np.errstate(invalid="ignore", divide="ignore"):
            image = total[at] / count[at] - usual
        _fill_gaps(image)
        x0_m, y0_m = self._x0_m + columns[0] * self._pixel_m, self._y0_m + rows[0] * self._pixel_m
        with np.errstate(over="ignore"):  # of a damaged file
            image = image.astype(np.float32)
        return ScanMap(image, self._pixel_m, float(x0_m), float(y0_m))


def _known(x_m: Floats, y_m: Floats, values: Floats) -> Floats:
    """(n, 3) of the rows that can be drawn."""
    rows = np.stack([x_m, y_m, values], axis=1)
    return rows[np.isfinite(rows).all(axis=1)]


def scan_map(x_m: Floats, y_m: Floats, values: Floats, usual: float = 0.0) -> ScanMap:
    """The map of all rows of a scan, see `GrowingMap`. All arrays (n,)."""
    return GrowingMap().draw(x_m, y_m, values, usual)


def _spacing(width_m: float, height_m: float, n: int) -> float:
    """The step of a grid of n points that spans this rectangle: (width/step + 1) (height/step + 1) = n.

    A line has no height, and a single point neither; no map has more than `MAX_PIXELS` on a side.
    """
    longest_m = max(width_m, height_m, 1e-12)
    around_m, area_m2 = width_m + height_m, width_m * height_m
    steps_per_m = 2 * max(n - 1, 1) / (around_m + (around_m**2 + 4 * area_m2 * max(n - 1, 1)) ** 0.5 + 1e-30)
    return max(1 / steps_per_m, longest_m / (MAX_PIXELS - 1))


def _fill_gaps(image: npt.NDArray[np.float64]) -> None:
    """Give empty pixels the mean of their filled neighbours (3x3), once: to close the gaps of a spiral."""
    known = np.isfinite(image)
    if known.all():
        return
    values, counts = np.pad(np.where(known, image, 0.0), 1), np.pad(known.astype(np.float64), 1)
    ny, nx = image.shape
    total, count = np.zeros(image.shape), np.zeros(image.shape)
    for dy in range(3):
        for dx in range(3):
            total += values[dy : dy + ny, dx : dx + nx]
            count += counts[dy : dy + ny, dx : dx + nx]
    empty = ~known & (count > 0)
    image[empty] = total[empty] / count[empty]
