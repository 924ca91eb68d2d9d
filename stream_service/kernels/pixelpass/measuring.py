"""Measurements of a frame while its lines go by in raw axes, and its entry in the record of the row."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import uintp

from stream_service.kernels.machine_code import inlined, part
from stream_service.kernels.pixelpass.line_in_registers import NEIGHBOURS, ROW_MOMENT, SQUARES, add_line_chunks
from stream_service.kernels.pixelpass.vectors import HALF, LANES, sum_at

IN_CELLS, IN_FRAME = range(2)
N_COLUMN_SUMS = 2
"""Rows of float64, an entry a column: sums since a row of cells began, and over the frame."""


@inlined
def measure_line(
    row: Any, line: Any, good: Any, sums: Any, columns: Any, above: Any, largest: Any, n_zero: Any
) -> None:
    """Add a line of the stored frame, in raw axes, to what is measured; bad pixels count as 0."""
    add_line_chunks(line, good, np.float64(row), sums, columns, above, largest, n_zero)
    first = uintp(line.size // LANES * LANES)
    for lane in range(uintp(line.size) - first):
        x = first + lane
        value = np.float32(0)
        if good[x] != 0:
            value = line[x]
            if value > largest[lane]:
                largest[lane] = value
            if value <= 0:
                n_zero[0] += 1
        left = 0.0
        if x > 0 and good[x - uintp(1)] != 0:
            left = np.float64(line[x - uintp(1)])
        wide = np.float64(value)
        sums[ROW_MOMENT, lane] += row * wide
        sums[SQUARES, lane] += wide * wide
        sums[NEIGHBOURS, lane] += wide * (left + np.float64(above[x]))
        columns[IN_CELLS, x] += wide
        above[x] = value


@part(_nrt=False)
def end_cells(place: Any, columns: Any, firsts: Any, transposes: Any, cell_sums: Any) -> None:
    """Enter the column sums of a line of cells, `place` of the stored frame, in the sums of its cells and columns."""
    for cell in range(uintp(firsts.shape[0])):
        first, stop = uintp(firsts[cell, 0]), uintp(firsts[cell, 1])
        total = 0.0
        while first + uintp(HALF) <= stop:
            total += sum_at(columns, first)
            first += uintp(HALF)
        while first < stop:
            total += columns[IN_CELLS, first]
            first += uintp(1)
        if transposes:
            cell_sums[cell, uintp(place)] = total
        else:
            cell_sums[uintp(place), cell] = total
    for x in range(uintp(columns.shape[1])):
        columns[IN_FRAME, x] += columns[IN_CELLS, x]
    columns[IN_CELLS] = 0.0


@part(_nrt=False)
def end_measuring(shape: Any, orientation: Any, n_good: Any, i: Any, scratch: Any, feature: Any, cells: Any) -> None:
    """Enter what was measured in raw axes (of this shape) in the record, in stored axes; the scratch is as before."""
    transposes, reverses_rows, reverses_columns = orientation
    sums, columns, above, largest, n_zero = scratch[0][i], scratch[1][i], scratch[2][i], scratch[3][i], scratch[4][i]
    cell_sums = scratch[5][i]
    intensity, moment_rows, moment_columns, squares, neighbours = 0.0, 0.0, 0.0, 0.0, 0.0
    most = np.float32(-np.inf)
    for x in range(uintp(shape[1])):
        intensity += columns[IN_FRAME, x]
        moment_columns += x * columns[IN_FRAME, x]
    for lane in range(LANES):
        moment_rows += sums[ROW_MOMENT, lane]
        squares += sums[SQUARES, lane]
        neighbours += sums[NEIGHBOURS, lane]
        most = max(most, largest[lane])
    sums[:] = 0.0
    columns[:] = 0.0
    above[:] = 0.0
    largest[:] = -np.inf
    for y in range(uintp(n_good.shape[0])):
        for x in range(uintp(n_good.shape[1])):
            cells[y, x] = cell_sums[y, x] / n_good[y, x]  # NaN without a good pixel
    feature.intensity = intensity
    feature.square_sum = squares
    feature.neighbour_sum = neighbours
    if most > -np.inf:
        feature.max_counts = most + 0.0  # of zeros of both signs, always the same one
    feature.n_zero = n_zero[0]
    n_zero[0] = 0
    if intensity == 0.0:
        return
    if reverses_rows:  # before the division: exact where the counts are whole
        moment_rows = (shape[0] - 1) * intensity - moment_rows
    if reverses_columns:
        moment_columns = (shape[1] - 1) * intensity - moment_columns
    row, column = moment_rows / intensity, moment_columns / intensity
    feature.com_y = column if transposes else row
    feature.com_x = row if transposes else column
