"""Cells of a frame, side x side of them: where they lie, and how many good pixels are in each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

IN_STORED_AXES = (False, False, False)
"""Orientation of a frame that is stored: see `reduce_pixels`."""


class CellLayout(NamedTuple):
    """As a kernel takes them that meets the lines of the frame in raw axes. Frames of fewer pixels have no cells."""

    ends: NDArray[np.int64]
    """(rows) the line of cells, in stored axes, that ends with this line of pixels; else -1. 0 where there are none."""
    firsts: NDArray[np.int64]
    """(side, 2) the first column of each cell of a line, and that behind its last."""
    n_good: NDArray[np.float64]
    """(side, side) good pixels of each cell, in stored axes."""


def cell_layout(good: NDArray[np.bool_], orientation: tuple[bool, bool, bool], side: int) -> CellLayout:
    """Of frames whose good pixels, in stored axes, are these (ny, nx)."""
    transposes, *is_reversed = orientation
    n_rows, n_columns = reversed(good.shape) if transposes else good.shape
    ends = np.full(n_rows, -1)
    if min(good.shape) < side:
        ends[-1] = 0
        return CellLayout(ends, np.zeros((0, 2), np.int64), np.zeros((0, 0)))
    rows, columns = (_extents(n, side, back) for n, back in zip((n_rows, n_columns), is_reversed, strict=True))
    ends[rows[:, 1] - 1] = np.arange(side)
    of_y, of_x = (_extents(n, side, False)[:, 0] for n in good.shape)
    n_good = np.add.reduceat(np.add.reduceat(good, of_y, axis=0, dtype=np.int64), of_x, axis=1)
    return CellLayout(ends, columns, n_good.astype(np.float64))


def _extents(n: int, side: int, is_reversed: bool) -> NDArray[np.int64]:
    """(side, 2) first and behind the last of the n pixels of each cell, counted from the other end if reversed."""
    bounds = -(-np.arange(side + 1) * n // side)  # pixel x is in cell x * side // n
    extents = np.column_stack([bounds[:-1], bounds[1:]])
    return np.ascontiguousarray(n - extents[:, ::-1]) if is_reversed else extents
