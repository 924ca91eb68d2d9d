"""Scan-space maps: a value per row, drawn where the beam was on the sample.

Rows come in any order and at any place, so a map is made anew from all rows so far each time someone looks; a scan of
5,000 rows takes about a millisecond.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream_service.core.row import RowBlock
from stream_service.core.run import RunOutcome

MAX_PIXELS = 512
"""Longest side of a map."""
LONGEST_TRAVEL_M = 10.0
"""No stage reaches further; a position beyond it is a wrong number."""


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


class RowValues:
    """Positions and intensities of every row so far: a sink of the run, read by whoever draws."""

    name = "the map of the scan"

    def __init__(self, capacity: int = 1024) -> None:
        self._table = np.empty((capacity, 3))
        self._n = 0

    def __len__(self) -> int:
        return self._n

    def append(self, block: RowBlock) -> None:
        """Add rows with their intensity; those whose position is not known, or cannot be, are left out."""
        rows = block.rows
        self.add(np.stack([rows["x_m"], rows["y_m"], rows["features"]["intensity"]], axis=1))

    def flush(self) -> None:
        """It is drawn when someone looks."""

    def finish(self, outcome: RunOutcome) -> None:
        """It stays as it is."""

    def add(self, values: npt.NDArray[np.float64]) -> None:
        """Add rows (n, 3): x and y in metres, value."""
        with np.errstate(invalid="ignore"):
            values = values[(np.abs(values[:, :2]) < LONGEST_TRAVEL_M).all(axis=1)]
        n = self._n + len(values)
        if n > len(self._table):
            self._table = np.concatenate([self._table, np.empty((max(len(self._table), n), 3))])
        self._table[self._n : n] = values
        self._n = n

    def table(self) -> npt.NDArray[np.float64]:
        """(n, 3) x and y in metres, value, not to be written to: rows never change, and later ones are not in it."""
        return self._table[: self._n]


def scan_map(x_m: npt.NDArray[np.float64], y_m: npt.NDArray[np.float64], values: npt.NDArray[np.float64]) -> ScanMap:
    """Draw values at scattered positions: pixels as wide as the rows' mean spacing, each the mean of its rows.

    A pixel without a row takes the mean of the pixels around it that have one; NaN where there is none. All arrays
    (n,).
    """
    if len(values) == 0:
        return ScanMap(np.full((1, 1), np.nan, np.float32), 1e-9, 0.0, 0.0)
    x0_m, y0_m = float(x_m.min()), float(y_m.min())
    width_m, height_m = float(x_m.max()) - x0_m, float(y_m.max()) - y0_m
    pixel_m = _spacing(width_m, height_m, len(values))
    nx, ny = int(width_m / pixel_m + 0.5) + 1, int(height_m / pixel_m + 0.5) + 1
    column = np.minimum(((x_m - x0_m) / pixel_m + 0.5).astype(np.intp), nx - 1)
    row = np.minimum(((y_m - y0_m) / pixel_m + 0.5).astype(np.intp), ny - 1)
    flat = row * nx + column
    count = np.bincount(flat, minlength=nx * ny)
    with np.errstate(invalid="ignore", divide="ignore"):
        image = (np.bincount(flat, weights=values, minlength=nx * ny) / count).reshape(ny, nx)
    _fill_gaps(image)
    return ScanMap(image.astype(np.float32), pixel_m, x0_m, y0_m)


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
    padded = np.pad(image, 1, constant_values=np.nan)
    ny, nx = image.shape
    neighbours = np.stack([padded[dy : dy + ny, dx : dx + nx] for dy in range(3) for dx in range(3)])
    known = np.isfinite(neighbours)
    count = known.sum(axis=0)
    total = np.where(known, neighbours, 0.0).sum(axis=0)
    empty = ~np.isfinite(image) & (count > 0)
    image[empty] = total[empty] / count[empty]
