"""The numba kernels of the table of rows: what the cells of a row show, its fingerprint, and its embedding.

Every row is worked out by itself, in one order of operations: the bits of a row do not depend on the block it came in.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from stream_service.kernels.machine_code import compiled
from stream_service.qc.kernels.codes import BANDS

SAME = 1e-20
"""Of the square of a vector: what is left of it beside others is rounding."""


@compiled()
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


@compiled()
def fingerprint(records: Any, prints: Any) -> None:
    """64-bit hash (n,) of the 32-bit words (n, w) of each record: FNV-1a, a word at a time."""
    for i in range(records.shape[0]):
        value = np.uint64(14695981039346656037)
        for j in range(records.shape[1]):
            value = (value ^ np.uint64(records[i, j])) * np.uint64(1099511628211)
        prints[i] = value


@compiled()
def principal(off: Any, n_rounds: int, components: Any, turned: Any) -> None:
    """Turn `components` (k, c) into the directions in which rows (n, c) about 0 differ most; zeros where they do not.

    Orthogonal iteration, from what they are. Not LAPACK's decomposition, since its threads wait for each other by
    spinning: beside other work on all cores it takes seconds, where this takes a fraction of one. `turned` (k, c) is
    scratch.
    """
    k, n_columns = components.shape
    directions, along = np.empty((n_columns, k)), np.empty(k)
    for _ in range(n_rounds):
        directions[:] = components.T  # a sum for each of them at a time vectorises
        turned[:] = 0.0
        for row in range(off.shape[0]):
            along[:] = 0.0
            for x in range(n_columns):
                for i in range(k):
                    along[i] += off[row, x] * directions[x, i]
            for i in range(k):
                for x in range(n_columns):
                    turned[i, x] += along[i] * off[row, x]
        for i in range(k):
            size = 0.0
            for x in range(n_columns):
                size += turned[i, x] * turned[i, x]
            for j in range(i):
                common = 0.0
                for x in range(n_columns):
                    common += turned[i, x] * components[j, x]
                for x in range(n_columns):
                    turned[i, x] -= common * components[j, x]
            left = 0.0
            for x in range(n_columns):
                left += turned[i, x] * turned[i, x]
            if left > SAME * size:
                for x in range(n_columns):
                    components[i, x] = turned[i, x] / math.sqrt(left)
            else:  # the rows have fewer directions
                components[i] = 0.0


@compiled()
def project(logs: Any, centre: Any, directions: Any, coordinates: Any, errors: Any) -> None:
    """Coordinates (n, k) of `logs` (n, c) about `centre` (c,), and the rms (n,) of what they leave.

    `directions` (c, k) are the basis, transposed: a sum for each of them at a time vectorises.
    """
    n, n_cells = logs.shape
    k = directions.shape[1]
    for i in range(n):
        square = 0.0
        for j in range(k):
            coordinates[i, j] = 0.0
        for c in range(n_cells):
            off = logs[i, c] - centre[c]
            square += off * off
            for j in range(k):
                coordinates[i, j] += off * directions[c, j]
        for j in range(k):
            square -= coordinates[i, j] * coordinates[i, j]
        errors[i] = math.sqrt(max(square, 0.0) / n_cells)
