"""Scan-space maps: a value per row, drawn where the beam was on the sample.

Rows come in any order and at any place. A map is drawn from all of them; one that is looked at while they come is only
added to, until they are twice as many or lie outside of it, so that a look at a million rows costs no more than one at
a few thousand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream_service.core.row import LONGEST_TRAVEL_M, RowBlock
from stream_service.core.run import RunOutcome

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


INTENSITY, COM_Y, COM_X = range(2, 5)
"""Columns of the table of `RowValues`, behind x and y."""


class RowValues:
    """Positions, intensities and centres of mass of every row so far: a sink of the run, read by whoever draws."""

    name = "the map of the scan"

    def __init__(self, capacity: int = 1024) -> None:
        self._table = np.empty((capacity, 5))
        self._n = 0

    def __len__(self) -> int:
        return self._n

    def append(self, block: RowBlock) -> None:
        """Add rows; those whose position is not known, or cannot be, are left out."""
        rows, features = block.rows, block.rows["features"]
        columns = (rows["x_m"], rows["y_m"], features["intensity"], features["com_y"], features["com_x"])
        self.add(np.stack(columns, axis=1))

    def flush(self) -> None:
        """It is drawn when someone looks."""

    def finish(self, outcome: RunOutcome) -> None:
        """It stays as it is."""

    def add(self, values: npt.NDArray[np.float64]) -> None:
        """Add rows (n, 5): x and y in metres, intensity, centre of mass."""
        with np.errstate(invalid="ignore"):
            values = values[(np.abs(values[:, :2]) < LONGEST_TRAVEL_M).all(axis=1)]
        n = self._n + len(values)
        if n > len(self._table):
            self._table = np.concatenate([self._table, np.empty((max(len(self._table), n), 5))])
        self._table[self._n : n] = values
        self._n = n

    def table(self) -> npt.NDArray[np.float64]:
        """(n, 5) as they were added, not to be written to: rows never change, and later ones are not in it."""
        return self._table[: self._n]


class GrowingMap:
    """The map of rows that keep coming."""

    def __init__(self, column: int = 2) -> None:
        """`column` of their table is what is drawn."""
        self._column = column
        self._n_begun = self._n_drawn = 0
        """Rows when it was begun, and those that are in it now."""
        self._pixel_m = self._x0_m = self._y0_m = 0.0
        self._total = self._count = np.zeros((0, 0))

    def draw(self, table: npt.NDArray[np.float64]) -> ScanMap:
        """Draw all rows (n, c), x and y in metres and values; those of the last call come first, unchanged.

        A pixel is as wide as the mean spacing of the rows was when the map was begun, and shows the mean of its rows.
        One without a row takes the mean of the pixels around it that have one; NaN where there is none.
        """
        if len(table) == 0:
            return ScanMap(np.full((1, 1), np.nan, np.float32), 1e-9, 0.0, 0.0)
        if len(table) > 2 * self._n_begun or not self._add(table[self._n_drawn :]):
            self._begin(table)
            self._add(table)
        self._n_drawn = len(table)
        return self._cut_out()

    def _begin(self, table: npt.NDArray[np.float64]) -> None:
        x_m, y_m = table[:, 0], table[:, 1]
        x0_m, y0_m = float(x_m.min()), float(y_m.min())
        width_m, height_m = float(x_m.max()) - x0_m, float(y_m.max()) - y0_m
        self._pixel_m = pixel_m = _spacing(width_m, height_m, len(table))
        margins = int(MARGIN * width_m / pixel_m) + 1, int(MARGIN * height_m / pixel_m) + 1
        nx, ny = int(width_m / pixel_m + 0.5) + 1, int(height_m / pixel_m + 0.5) + 1
        self._x0_m, self._y0_m = x0_m - margins[0] * pixel_m, y0_m - margins[1] * pixel_m
        self._total = np.zeros((ny + 2 * margins[1], nx + 2 * margins[0]))
        self._count = np.zeros(self._total.shape)
        self._n_begun = len(table)

    def _add(self, rows: npt.NDArray[np.float64]) -> bool:
        """Add rows, or none of them: False if not all of them lie within the map."""
        column = np.floor((rows[:, 0] - self._x0_m) / self._pixel_m + 0.5)
        row = np.floor((rows[:, 1] - self._y0_m) / self._pixel_m + 0.5)
        ny, nx = self._total.shape
        if not ((row >= 0) & (row < ny) & (column >= 0) & (column < nx)).all():
            return False
        flat = (row * nx + column).astype(np.intp)
        self._count += np.bincount(flat, minlength=nx * ny).reshape(ny, nx)
        self._total += np.bincount(flat, weights=rows[:, self._column], minlength=nx * ny).reshape(ny, nx)
        return True

    def _cut_out(self) -> ScanMap:
        rows, columns = (np.flatnonzero(self._count.any(axis=axis)) for axis in (1, 0))
        at = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        with np.errstate(invalid="ignore", divide="ignore"):
            image = self._total[at] / self._count[at]
        _fill_gaps(image)
        x0_m, y0_m = self._x0_m + columns[0] * self._pixel_m, self._y0_m + rows[0] * self._pixel_m
        return ScanMap(image.astype(np.float32), self._pixel_m, float(x0_m), float(y0_m))


def scan_map(x_m: npt.NDArray[np.float64], y_m: npt.NDArray[np.float64], values: npt.NDArray[np.float64]) -> ScanMap:
    """The map of all rows of a scan, see `GrowingMap`. All arrays (n,)."""
    return GrowingMap().draw(np.stack([x_m, y_m, values], axis=1))


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
