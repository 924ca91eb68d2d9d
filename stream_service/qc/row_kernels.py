"""The numba kernels of the evaluation: nearest neighbours, their medians, and the embedding of a row.

Every row is worked out by itself, in one order of operations: the bits of a row do not depend on the block it came in.
The machine code is kept on disk, as that of the pixel kernel; the cache notices changes of this file only, so all of it
stands here.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

BANDS = 16
"""Of rows and of columns of a frame, that may read nothing."""


def _compiled(function: Any) -> Any:
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # no folder for the cache can be written
        return njit(**options)(function)


@_compiled
def describe(cells: Any, floor: float, ring_of_cell: Any, logs: Any, rings: Any, halves: Any, dark: Any) -> None:
    """What the cells (n, side, side) of rows show, relative to their sum or mean.

    `logs` (n, side²) are their logarithms, `rings` (n, r) the share of each ring, `halves` (n, 2) that of the lower and
    of the right half, and `dark` (n,) tells the lines of cells that read nothing: bit y for a row of cells, bit
    side + x for a column. A cell without good pixels (NaN) counts as the mean, and as dark only in a dark line.
    """
    n, side, _ = cells.shape
    n_rings, n_bands = rings.shape[1], min(side, BANDS)
    for i in range(n):
        total, n_known = 0.0, 0
        rows_lit, columns_lit, rows_known, columns_known = 0, 0, 0, 0
        for r in range(n_rings):
            rings[i, r] = 0.0
        halves[i, 0] = halves[i, 1] = 0.0
        for y in range(side):
            for x in range(side):
                value = float(cells[i, y, x])
                if not math.isfinite(value):
                    continue
                of_row, of_column = 1 << (y * n_bands // side), 1 << (x * n_bands // side)
                rows_known |= of_row
                columns_known |= of_column
                n_known += 1
                if value > 0.0:
                    total += value
                    rows_lit |= of_row
                    columns_lit |= of_column
                    rings[i, ring_of_cell[y, x]] += value
                    if 2 * y >= side:
                        halves[i, 0] += value
                    if 2 * x >= side:
                        halves[i, 1] += value
        dark[i] = np.uint32((rows_known & ~rows_lit) | ((columns_known & ~columns_lit) << BANDS))
        mean = total / n_known if n_known > 0 else 0.0
        for y in range(side):
            for x in range(side):
                value = float(cells[i, y, x])
                if mean > 0.0 and math.isfinite(value):
                    logs[i, y * side + x] = math.log(max(value / mean, 0.0) + floor)
                else:
                    logs[i, y * side + x] = 0.0
        if total > 0.0:
            for r in range(n_rings):
                rings[i, r] = math.sqrt(rings[i, r] / total)
            halves[i, 0] /= total
            halves[i, 1] /= total


@_compiled
def fingerprint(records: Any, prints: Any) -> None:
    """64-bit hash (n,) of the bytes (n, b) of each record: FNV-1a."""
    for i in range(records.shape[0]):
        value = np.uint64(14695981039346656037)
        for j in range(records.shape[1]):
            value = (value ^ np.uint64(records[i, j])) * np.uint64(1099511628211)
        prints[i] = value


@_compiled
def project(logs: Any, centre: Any, basis: Any, coordinates: Any, errors: Any) -> None:
    """Coordinates (n, k) of `logs` (n, c) in the basis (k, c) about `centre` (c,), and the rms (n,) of what is left."""
    n, n_cells = logs.shape
    k = basis.shape[0]
    for i in range(n):
        square = 0.0
        for c in range(n_cells):
            off = logs[i, c] - centre[c]
            square += off * off
        for j in range(k):
            coordinate = 0.0
            for c in range(n_cells):
                coordinate += (logs[i, c] - centre[c]) * basis[j, c]
            coordinates[i, j] = coordinate
            square -= coordinate * coordinate
        errors[i] = math.sqrt(max(square, 0.0) / n_cells)


@_compiled
def places(order: Any, along: Any, of_rows: Any, found: Any) -> None:
    """Where in `order`, which sorts rows by `along`, rows begin that are as far as each of `of_rows` (m,)."""
    for at in range(of_rows.size):
        a = along[of_rows[at]]
        low, high = 0, order.size
        while low < high:
            middle = (low + high) // 2
            if along[order[middle]] < a:
                low = middle + 1
            else:
                high = middle
        found[at] = low


@_compiled
def nearest(
    order: Any, along: Any, across: Any, is_placed: Any, of_rows: Any, first: Any, most_looked_at: int, found: Any
) -> None:
    """Indices of the nearest rows (m, k) of the rows `of_rows` (m,), nearest first, -1 where there are no more.

    `order` sorts the rows with a position by `along` (n,), and `first` (m,) is the place of each row there. From there
    the search goes both ways, until no row further on can be nearer, or it has looked at so many on a side. Of equally
    distant rows the earlier one is nearer.
    """
    k = found.shape[1]
    squares = np.empty(k)
    for at in range(of_rows.size):
        row = of_rows[at]
        a, b = along[row], across[row]
        for j in range(k):
            found[at, j] = -1
            squares[j] = np.inf
        if not is_placed[row]:
            continue
        for side in range(2):
            place, step = (first[at], 1) if side == 0 else (first[at] - 1, -1)
            looked_at = 0
            while 0 <= place < order.size and looked_at < most_looked_at:
                other = order[place]
                place += step
                looked_at += 1
                off_a, off_b = along[other] - a, across[other] - b
                if off_a * off_a > squares[k - 1]:
                    break
                if other == row:
                    continue
                square = off_a * off_a + off_b * off_b
                j = k - 1
                if square > squares[j] or (square == squares[j] and found[at, j] >= 0 and other > found[at, j]):
                    continue
                while j > 0 and (square < squares[j - 1] or (square == squares[j - 1] and other < found[at, j - 1])):
                    squares[j], found[at, j] = squares[j - 1], found[at, j - 1]
                    j -= 1
                squares[j], found[at, j] = square, other


@_compiled
def median_of_neighbours(values: Any, neighbours: Any, counts: Any, most: int, medians: Any, used: Any) -> None:
    """Median (m, f) of `values` (n, f) over the first `most` of the `neighbours` (m, k) that count (n,).

    `used` (m,) says how many those were; the median of none is NaN. Values that are no number are left out.
    """
    n_values = values.shape[1]
    chosen = np.empty(most, np.int64)
    sorted_values = np.empty(most)
    for i in range(neighbours.shape[0]):
        n = 0
        for j in range(neighbours.shape[1]):
            other = neighbours[i, j]
            if other < 0 or n == most:
                break
            if counts[other]:
                chosen[n] = other
                n += 1
        used[i] = n
        for f in range(n_values):
            m = 0
            for j in range(n):
                value = float(values[chosen[j], f])
                if math.isnan(value):
                    continue
                place = m
                while place > 0 and sorted_values[place - 1] > value:
                    sorted_values[place] = sorted_values[place - 1]
                    place -= 1
                sorted_values[place] = value
                m += 1
            if m == 0:
                medians[i, f] = np.nan
            else:
                medians[i, f] = 0.5 * (sorted_values[(m - 1) // 2] + sorted_values[m // 2])


@_compiled
def plane_of_neighbours(
    values: Any,
    x: Any,
    y: Any,
    rows: Any,
    neighbours: Any,
    counts: Any,
    most: int,
    ridge: float,
    planes: Any,
    used: Any,
) -> None:
    """Values (m, f) at the places of the `rows` (m,), of planes through those of neighbours, as above.

    Least squares, whose slopes are held back by `ridge` neighbours' worth of level ground; values further than twice
    the usual distance (median) from a first plane are moved there, once.
    """
    n_values = values.shape[1]
    chosen = np.empty(most, np.int64)
    east, north, value = np.empty(most), np.empty(most), np.empty(most)
    off, ordered = np.empty(most), np.empty(most)
    for i in range(neighbours.shape[0]):
        n = 0
        square = 0.0
        for j in range(neighbours.shape[1]):
            other = neighbours[i, j]
            if other < 0 or n == most:
                break
            if counts[other]:
                chosen[n] = other
                east[n], north[n] = x[other] - x[rows[i]], y[other] - y[rows[i]]
                square += east[n] * east[n] + north[n] * north[n]
                n += 1
        used[i] = n
        if n == 0:
            planes[i, :] = np.nan
            continue
        scale = math.sqrt(square / n) if square > 0.0 else 1.0
        for j in range(n):
            east[j] /= scale
            north[j] /= scale
        for f in range(n_values):
            m = 0
            for j in range(n):
                value[j] = float(values[chosen[j], f])
                if math.isnan(value[j]):
                    m = n + 1
            if m > n:
                planes[i, f] = np.nan
                continue
            level, slope_east, slope_north = _plane(east, north, value, n, ridge)
            for j in range(n):
                off[j] = value[j] - (level + slope_east * east[j] + slope_north * north[j])
                size = abs(off[j])
                place = j
                while place > 0 and ordered[place - 1] > size:
                    ordered[place] = ordered[place - 1]
                    place -= 1
                ordered[place] = size
            furthest = 2.0 * 1.4826 * 0.5 * (ordered[(n - 1) // 2] + ordered[n // 2])
            for j in range(n):
                value[j] -= off[j] - min(max(off[j], -furthest), furthest)
            planes[i, f] = _plane(east, north, value, n, ridge)[0]


@_compiled
def _plane(east: Any, north: Any, value: Any, n: int, ridge: float) -> Any:
    """Level at the origin and slopes, by Cramer's rule."""
    e = no = ee = en = nn = v = ev = nv = 0.0
    for j in range(n):
        e += east[j]
        no += north[j]
        ee += east[j] * east[j]
        en += east[j] * north[j]
        nn += north[j] * north[j]
        v += value[j]
        ev += east[j] * value[j]
        nv += north[j] * value[j]
    ee += ridge
    nn += ridge
    k = float(n)
    determinant = k * (ee * nn - en * en) - e * (e * nn - en * no) + no * (e * en - ee * no)
    level = v * (ee * nn - en * en) - e * (ev * nn - en * nv) + no * (ev * en - ee * nv)
    slope_east = k * (ev * nn - en * nv) - v * (e * nn - en * no) + no * (e * nv - ev * no)
    slope_north = k * (ee * nv - ev * en) - e * (e * nv - ev * no) + v * (e * en - ee * no)
    return level / determinant, slope_east / determinant, slope_north / determinant
