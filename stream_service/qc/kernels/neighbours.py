"""The numba kernels of the comparison of rows with their neighbours: the nearest, what they let expect, how far it is.

Every row is worked out by itself, in one order of operations: its bits do not depend on the rows beside it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from stream_service.kernels.machine_code import compiled, part

MAD = 1.4826
"""Standard deviation of a normal distribution in median absolute deviations."""
LANES = 8
"""Numbers that a processor works on together: scratch is as wide as a multiple of it."""


@compiled()
def nearest(
    order: Any,
    along: Any,
    across: Any,
    tail: Any,
    tail_along: Any,
    tail_across: Any,
    of_rows: Any,
    first: Any,
    a: Any,
    b: Any,
    most_looked_at: int,
    found: Any,
) -> None:
    """Indices of the nearest rows (m, k) of the rows `of_rows` (m,), nearest first, -1 where there are no more.

    `order` (n,) are rows that are searched, sorted by their coordinate `along` one axis; `across` is the other one.
    Each of `of_rows` has the coordinates `a`, `b` (m,) and belongs at `first` (m,) in that order. From there the search
    goes both ways, until no row further on can be nearer, or it has looked at so many on a side. The rows of the `tail`
    are in no order, and all looked at. Of equally distant rows the earlier one is nearer. Rows without a place (NaN)
    have no neighbours.
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
                if order[place] != row:
                    _enter(off_a * off_a + off_b * off_b, order[place], squares, found[at])
                place += step
                looked_at += 1
        for place in range(tail.size):
            if tail[place] != row:
                off_a, off_b = tail_along[place] - a[at], tail_across[place] - b[at]
                _enter(off_a * off_a + off_b * off_b, tail[place], squares, found[at])


@part()
def _enter(square: float, other: int, squares: Any, found: Any) -> None:
    """Put a row among the nearest ones so far, if it is one of them."""
    j = squares.size - 1
    if not (square < squares[j] or (square == squares[j] and (found[j] < 0 or other < found[j]))):
        return
    while j > 0 and (square < squares[j - 1] or (square == squares[j - 1] and other < found[j - 1])):
        squares[j], found[j] = squares[j - 1], found[j - 1]
        j -= 1
    squares[j], found[j] = square, other


@compiled()
def compare(
    values: Any,
    x: Any,
    y: Any,
    rows: Any,
    neighbours: Any,
    counts: Any,
    most: int,
    fewest: int,
    by_plane: bool,
    ridge: float,
    middle: Any,
    difference: Any,
) -> None:
    """Enter in `difference` (n, f) how far `values` (n, f) of the `rows` (m,) are from what is expected.

    That is the median, or a plane, of the first `most` of their `neighbours` (m, k) that count (n,); of rows with fewer
    than `fewest` of them it is the `middle` (f,).
    """
    n_values = values.shape[1]
    width = (n_values + LANES - 1) // LANES * LANES
    chosen = np.empty(most, np.int64)
    taken, expected = np.zeros((most, width), np.float32), np.empty(n_values, np.float32)
    weights, off, ordered = np.empty((most, 3)), np.zeros((most, width)), np.zeros((most, width))
    scratch = np.empty((3, n_values))
    for i in range(rows.size):
        row = rows[i]
        n = _choose(neighbours[i], counts, most, chosen)
        if n < fewest:
            for f in range(n_values):
                expected[f] = middle[f]
        elif by_plane:
            _plane(values, x, y, row, chosen, n, ridge, weights, off, ordered, scratch, expected)
        else:
            _median(values, chosen, n, False, taken, expected)
        for f in range(n_values):
            difference[row, f] = values[row, f] - expected[f]


@compiled()
def scatter_around(difference: Any, neighbours: Any, counts: Any, most: int, fewest: int, around: Any) -> None:
    """Median sizes (m, f) of the `difference` (n, f) of `neighbours` (m, k), of the first `most` that count (n,).

    0 where fewer than `fewest` do.
    """
    n_values = difference.shape[1]
    chosen = np.empty(most, np.int64)
    taken = np.zeros((most, (n_values + LANES - 1) // LANES * LANES), np.float32)
    for i in range(neighbours.shape[0]):
        n = _choose(neighbours[i], counts, most, chosen)
        if n < fewest:
            around[i] = 0.0
        else:
            _median(difference, chosen, n, True, taken, around[i])


@compiled()
def in_units(
    difference: Any, around: Any, scatter: Any, n_features: int, w_feat: float, ratio: Any, combined: Any
) -> None:
    """Differences of rows in units of what is usual: `ratio` (n, f), and one number of them (n,).

    The unit is made of the `scatter` (f,) of all rows, and of that `around` (n, f) the row. The number is the root of
    the weighted mean of the squares of the largest ratio of features and of embedding.
    """
    n_values = difference.shape[1]
    for i in range(difference.shape[0]):
        largest = largest_embedded = 0.0
        for f in range(n_values):
            units = difference[i, f] / math.sqrt(float(scatter[f]) ** 2 + (MAD * float(around[i, f])) ** 2)
            ratio[i, f] = units if math.isfinite(units) else 0.0
            square = float(ratio[i, f]) ** 2
            if f < n_features:
                largest = max(largest, square)
            else:
                largest_embedded = max(largest_embedded, square)
        combined[i] = math.sqrt(w_feat * largest + (1.0 - w_feat) * largest_embedded)


@part()
def _median(values: Any, chosen: Any, n: int, sizes: bool, taken: Any, medians: Any) -> None:
    """Medians (f,) of the values of n rows, or of their sizes, without those that are no number; NaN of none."""
    n_values = values.shape[1]
    n_unknown = 0
    for j in range(n):
        row = chosen[j]
        for f in range(n_values):
            value = abs(values[row, f]) if sizes else values[row, f]
            taken[j, f] = value
            n_unknown += value != value
    if n_unknown == 0:
        _sort(taken, n, n // 2 + 1)
        for f in range(n_values):
            medians[f] = np.float32(0.5) * (taken[(n - 1) // 2, f] + taken[n // 2, f])
        return
    for j in range(n):
        for f in range(n_values):
            if math.isnan(taken[j, f]):
                taken[j, f] = np.inf  # goes to the end
    _sort(taken, n, n)
    for f in range(n_values):
        m = n
        for j in range(n):
            m -= math.isnan(values[chosen[j], f])
        medians[f] = np.nan if m == 0 else np.float32(0.5) * (taken[(m - 1) // 2, f] + taken[m // 2, f])


@part()
def _plane(
    values: Any,
    x: Any,
    y: Any,
    row: int,
    chosen: Any,
    n: int,
    ridge: float,
    weights: Any,
    off: Any,
    ordered: Any,
    scratch: Any,
    plane: Any,
) -> None:
    """Values (f,) at the place of a row, of planes through those of n rows.

    Least squares, whose slopes are held back by `ridge` neighbours' worth of level ground; values further than twice
    the usual distance (median) from a first plane are moved there, once. NaN where any value is no number.
    """
    n_values = values.shape[1]
    level, east, north = scratch[0], scratch[1], scratch[2]
    places = _plane_weights(x, y, row, chosen, n, ridge, weights)
    scratch[:] = 0.0
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
        east[f] = 2.0 * MAD * 0.5 * (ordered[(n - 1) // 2, f] + ordered[n // 2, f])
        north[f] = level[f]
    for j in range(n):
        for f in range(n_values):
            north[f] += weights[j, 0] * (min(max(off[j, f], -east[f]), east[f]) - off[j, f])
    for f in range(n_values):
        plane[f] = north[f]


@part()
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


@part()
def _sort(values: Any, n: int, n_largest: int) -> None:
    """Bring the largest of each column of `values` (n, f) to its end, in order: swapping whole lines vectorises."""
    for done in range(n_largest):
        for j in range(n - 1 - done):
            for f in range(values.shape[1]):
                one, two = values[j, f], values[j + 1, f]
                values[j, f] = one if one < two else two
                values[j + 1, f] = two if one < two else one


@part()
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
