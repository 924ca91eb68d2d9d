"""Good neighbours that stand in for bad pixels when these are interpolated.

The neighbours of a bad pixel are the good pixels of the smallest square ring around it (3x3, 5x5, ...) that has any.
They may lie outside the ROI: the sensor measured them all the same.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Neighbours(NamedTuple):
    """The bad pixels of an ROI, row by row, each with its good neighbours in row-major order.

    Bad pixels of ROI row y are numbers `first_bad[y]` to `first_bad[y + 1]`; the neighbours of bad pixel b are numbers
    `first_neighbour[b]` to `first_neighbour[b + 1]`. One without neighbours becomes 0.
    """

    first_bad: NDArray[np.int64]
    """(ROI rows + 1,)"""
    column: NDArray[np.int64]
    """(bad pixels,) column of each bad pixel in the ROI."""
    first_neighbour: NDArray[np.int64]
    """(bad pixels + 1,)"""
    raw_row: NDArray[np.int64]
    """(neighbours,) row of each neighbour in the raw frame."""
    raw_column: NDArray[np.int64]
    """(neighbours,)"""


def without_neighbours(bad: NDArray[np.bool_]) -> Neighbours:
    """The bad pixels of an ROI (y, x) with no neighbour each: they become 0."""
    row, column = np.nonzero(bad)
    nothing = np.zeros(0, np.int64)
    first_bad = np.searchsorted(row, np.arange(bad.shape[0] + 1)).astype(np.int64)
    return Neighbours(first_bad, column.astype(np.int64), np.zeros(row.size + 1, np.int64), nothing, nothing)


def find_neighbours(good: NDArray[np.bool_], rows: slice, columns: slice) -> Neighbours:
    """Neighbours of every bad pixel in the window `rows`, `columns` of `good` (y, x), which has a good pixel."""
    bad_row, bad_column = np.nonzero(~good[rows, columns])
    raw_row, raw_column = bad_row + rows.start, bad_column + columns.start
    radius = _ring_radius(good, raw_row, raw_column)
    owners, neighbour_rows, neighbour_columns = [], [], []
    for r in np.unique(radius):
        bad = np.nonzero(radius == r)[0]
        n_parts = max(1, bad.size * 8 * int(r) // 1_000_000)  # of some tens of MB at most
        for some in np.array_split(bad, n_parts):
            owner, row, column = _good_on_ring(good, raw_row[some], raw_column[some], int(r))
            owners.append(some[owner])
            neighbour_rows.append(row)
            neighbour_columns.append(column)
    nothing = [np.zeros(0, np.int64)]
    owner = np.concatenate(owners or nothing)
    order = np.argsort(owner, kind="stable")
    return Neighbours(
        first_bad=np.searchsorted(bad_row, np.arange(good[rows, columns].shape[0] + 1)).astype(np.int64),
        column=bad_column.astype(np.int64),
        first_neighbour=np.searchsorted(owner[order], np.arange(bad_row.size + 1)).astype(np.int64),
        raw_row=np.concatenate(neighbour_rows or nothing)[order],
        raw_column=np.concatenate(neighbour_columns or nothing)[order],
    )


def _ring_radius(good: NDArray[np.bool_], row: NDArray[np.int64], column: NDArray[np.int64]) -> NDArray[np.int64]:
    """Radius of the smallest ring with a good pixel, for each pixel (row, column)."""
    ny, nx = good.shape
    n_good_before = np.zeros((ny + 1, nx + 1), np.int64)  # good pixels above and left of each corner
    n_good_before[1:, 1:] = good.cumsum(0).cumsum(1)
    radius = np.zeros(row.size, np.int64)
    searching = np.arange(row.size)
    while searching.size:
        radius[searching] += 1
        r = radius[searching]
        top, bottom = np.maximum(row[searching] - r, 0), np.minimum(row[searching] + r + 1, ny)
        left, right = np.maximum(column[searching] - r, 0), np.minimum(column[searching] + r + 1, nx)
        n_good = (
            n_good_before[bottom, right]
            - n_good_before[top, right]
            - n_good_before[bottom, left]
            + n_good_before[top, left]
        )
        searching = searching[n_good == 0]
    return radius


def _good_on_ring(
    good: NDArray[np.bool_], row: NDArray[np.int64], column: NDArray[np.int64], radius: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Good pixels on the ring around each (row, column): whose they are, their rows, their columns; row-major."""
    ny, nx = good.shape
    offset = np.arange(-radius, radius + 1)
    dy, dx = (grid.ravel() for grid in np.meshgrid(offset, offset, indexing="ij"))
    on_ring = np.maximum(abs(dy), abs(dx)) == radius
    y, x = row[:, None] + dy[on_ring], column[:, None] + dx[on_ring]
    inside = (y >= 0) & (y < ny) & (x >= 0) & (x < nx)
    is_neighbour = inside & good[y.clip(0, ny - 1), x.clip(0, nx - 1)]
    owner = np.nonzero(is_neighbour)[0]
    return owner, y[is_neighbour], x[is_neighbour]
