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

SAME = 1e-20
"""Of the square of a vector: what is left of it beside others is rounding."""
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
def principal(off: Any, n_rounds: int, components: Any, turned: Any) -> None:
    """Turn `components` (k, c) into the directions in which rows (n, c) about 0 differ most; zeros where they do not.

    Orthogonal iteration, from what they are. Not LAPACK's decomposition, since its threads wait for each other by
    spinning: beside other work on all cores it takes seconds, where this takes a fraction of one. `turned` (k, c) is
    scratch.
    """
    k, n_columns = components.shape
    for _ in range(n_rounds):
        turned[:] = 0.0
        for row in range(off.shape[0]):
            for i in range(k):
                along = 0.0
                for x in range(n_columns):
                    along += off[row, x] * components[i, x]
                for x in range(n_columns):
                    turned[i, x] += along * off[row, x]
        for i in range(k):
            size = 0.0
            for x in range(n_columns):
                size += turned[i, x] * turned[i, x]
            for j in range(i):
                along = 0.0
                for x in range(n_columns):
                    along += turned[i, x] * components[j, x]
                for x in range(n_columns):
                    turned[i, x] -= along * components[j, x]
            left = 0.0
            for x in range(n_columns):
                left += turned[i, x] * turned[i, x]
            if left > SAME * size:
                for x in range(n_columns):
                    components[i, x] = turned[i, x] / math.sqrt(left)
            else:  # the rows have fewer directions
                components[i] = 0.0


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
def nearest(
    order: Any, along: Any, across: Any, of_rows: Any, first: Any, a: Any, b: Any, most_looked_at: int, found: Any
) -> None:
    """Indices of the nearest rows (m, k) of the rows `of_rows` (m,), nearest first, -1 where there are no more.

    `order` (n,) are the rows that are searched, sorted by their coordinate `along` one axis; `across` is the other one.
    Each of `of_rows` has the coordinates `a`, `b` (m,) and belongs at `first` (m,) in that order. From there the search
    goes both ways, until no row further on can be nearer, or it has looked at so many on a side. Of equally distant
    rows the earlier one is nearer. Rows without a place (NaN) have no neighbours.
    """
    k = found.shape[1]
    squares = np.empty(k)
    for at in range(of_rows.size):
        row = of_rows[at]
        for j in range(k):
            found[at, j] = -1
            squares[j] = np.inf
        if math.isnan(a[at]) or math.isnan(b[at]):
            continue
        for side in range(2):
            place, step = (first[at], 1) if side == 0 else (first[at] - 1, -1)
            looked_at = 0
            while 0 <= place < order.size and looked_at < most_looked_at:
                off_a, off_b = along[place] - a[at], across[place] - b[at]
                if off_a * off_a > squares[k - 1]:
                    break
                square = off_a * off_a + off_b * off_b
                other = order[place]
                place += step
                looked_at += 1
                j = k - 1
                if square > squares[j] or other == row or (square == squares[j] and 0 <= found[at, j] < other):
                    continue
                while j > 0 and (square < squares[j - 1] or (square == squares[j - 1] and other < found[at, j - 1])):
                    squares[j], found[at, j] = squares[j - 1], found[at, j - 1]
                    j -= 1
                squares[j], found[at, j] = square, other


@_compiled
def median_of_neighbours(
    values: Any, neighbours: Any, counts: Any, most: int, sizes: bool, medians: Any, used: Any
) -> None:
    """Median (m, f) of `values` (n, f), or of their sizes, over neighbours (m, k): the first `most` that count (n,).

    `used` (m,) says how many those were; the median of none is NaN. Values that are no number are left out.
    """
    n_values = values.shape[1]
    chosen = np.empty(most, np.int64)
    taken, n_known = np.empty((most, n_values), np.float32), np.empty(n_values, np.int64)
    for i in range(neighbours.shape[0]):
        n = used[i] = _choose(neighbours[i], counts, most, chosen)
        n_known[:] = n
        n_unknown = 0
        for j in range(n):
            for f in range(n_values):
                value = abs(values[chosen[j], f]) if sizes else values[chosen[j], f]
                taken[j, f] = value
                if math.isnan(value):
                    taken[j, f] = np.inf  # goes to the end
                    n_known[f] -= 1
                    n_unknown += 1
        _sort(taken, n, n if n_unknown > 0 else n // 2 + 1)
        for f in range(n_values):
            m = n_known[f]
            medians[i, f] = np.nan if m == 0 else 0.5 * (taken[(m - 1) // 2, f] + taken[m // 2, f])


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
    the usual distance (median) from a first plane are moved there, once. NaN where any value is no number.
    """
    n_values = values.shape[1]
    chosen = np.empty(most, np.int64)
    weights = np.empty((most, 3))
    off, ordered = np.empty((most, n_values)), np.empty((most, n_values))
    level, east, north = np.empty(n_values), np.empty(n_values), np.empty(n_values)
    for i in range(neighbours.shape[0]):
        n = used[i] = _choose(neighbours[i], counts, most, chosen)
        if n == 0:
            planes[i, :] = np.nan
            continue
        places = _plane_weights(x, y, rows[i], chosen, n, ridge, weights)
        level[:] = 0.0
        east[:] = 0.0
        north[:] = 0.0
        for j in range(n):
            for f in range(n_values):
                value = values[chosen[j], f]
                level[f] += weights[j, 0] * value
                east[f] += weights[j, 1] * value
                north[f] += weights[j, 2] * value
        for j in range(n):
            for f in range(n_values):
                off[j, f] = values[chosen[j], f] - (level[f] + places[j, 0] * east[f] + places[j, 1] * north[f])
                ordered[j, f] = abs(off[j, f])
        _sort(ordered, n, n // 2 + 1)
        for f in range(n_values):
            planes[i, f] = 0.0
            east[f] = 2.0 * 1.4826 * 0.5 * (ordered[(n - 1) // 2, f] + ordered[n // 2, f])
            north[f] = level[f]
        for j in range(n):
            for f in range(n_values):
                north[f] += weights[j, 0] * (min(max(off[j, f], -east[f]), east[f]) - off[j, f])
        for f in range(n_values):
            planes[i, f] = north[f]


@_compiled
def _choose(neighbours: Any, counts: Any, most: int, chosen: Any) -> int:
    """How many of the first `most` neighbours count; they are entered in `chosen`."""
    n = 0
    for j in range(neighbours.size):
        other = neighbours[j]
        if other < 0 or n == most:
            break
        if counts[other]:
            chosen[n] = other
            n += 1
    return n


@_compiled
def _sort(values: Any, n: int, n_largest: int) -> None:
    """Bring the largest of each column of `values` (n, f) to its end, in order: swapping whole lines vectorises."""
    for done in range(n_largest):
        for j in range(n - 1 - done):
            for f in range(values.shape[1]):
                one, two = values[j, f], values[j + 1, f]
                values[j, f] = one if one < two else two
                values[j + 1, f] = two if one < two else one


@_compiled
def _plane_weights(x: Any, y: Any, row: int, chosen: Any, n: int, ridge: float, weights: Any) -> Any:
    """Weights (n, 3) that make of the values of neighbours the level at `row` and the slopes; their places (n, 2)."""
    places = np.empty((n, 2))
    square = 0.0
    for j in range(n):
        places[j, 0], places[j, 1] = x[chosen[j]] - x[row], y[chosen[j]] - y[row]
        square += places[j, 0] * places[j, 0] + places[j, 1] * places[j, 1]
    scale = math.sqrt(square / n) if square > 0.0 else 1.0
    e = no = ee = en = nn = 0.0
    for j in range(n):
        places[j, 0] /= scale
        places[j, 1] /= scale
        e += places[j, 0]
        no += places[j, 1]
        ee += places[j, 0] * places[j, 0]
        en += places[j, 0] * places[j, 1]
        nn += places[j, 1] * places[j, 1]
    ee += ridge
    nn += ridge
    k = float(n)
    determinant = k * (ee * nn - en * en) - e * (e * nn - en * no) + no * (e * en - ee * no)
    for j in range(n):  # the inverse of the symmetric matrix ((k, e, no), (e, ee, en), (no, en, nn)) times (1, x, y)
        x_j, y_j = places[j, 0], places[j, 1]
        weights[j, 0] = (ee * nn - en * en + (en * no - e * nn) * x_j + (e * en - ee * no) * y_j) / determinant
        weights[j, 1] = (en * no - e * nn + (k * nn - no * no) * x_j + (e * no - k * en) * y_j) / determinant
        weights[j, 2] = (e * en - ee * no + (e * no - k * en) * x_j + (k * ee - e * e) * y_j) / determinant
    return places
