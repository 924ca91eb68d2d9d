"""The fused numba kernel: from the raw exposures of a group to one stored frame, in one pass over the pixels.

It computes what `reference.py` defines, with the same float operations in the same order, a row of the stored frame at
a time: every intermediate is one row long and stays in the first-level cache, raw frames are read along their rows, and
transposed frames are written in tiles of `TILE` raw rows, one cache line at a time.

One function body serves every setting. A setting that is off is a neutral number (dark 0, 1/flat 1, cap +inf, floor
-inf, gain 1), so numba compiles once per raw dtype, and there is no second code path to get wrong. Sums for the centre
of mass run down the columns, side by side: vectorised without reordering, so every machine gets the same bits.

The machine code is kept on disk (numba's cache), where a folder for it can be written: a start then takes 0.2 s instead
of 1.8 s. The cache notices a change of this file only, so everything that is compiled stands in it.
`error_model="numpy"`: no division here can be by zero, and checks would prevent vectorisation. No `fastmath`: it would
change bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

TILE = 16
"""Raw rows collected before a transposed write: 16 float32 are the 64 bytes of one cache line."""

N_LINES = 4
"""Rows of float64 scratch for the corrected values, see `reduce_pixels`."""
N_SUMS = 2
"""Rows of float64 scratch for what is measured, see `_measure_line`."""


@njit(error_model="numpy", inline="always")
def _corrected(count: Any, dark: Any, inverse_flat: Any, cap: Any, floor: Any, gain: Any) -> Any:
    """One raw value corrected, float32. Written with comparisons that leave NaN as it is."""
    value = np.float32(count)
    if value > cap:
        value = cap
    value = (value - dark) * inverse_flat
    if value < floor:
        value = floor
    return value / gain


@njit(error_model="numpy", inline="always")
def _interpolate_row(
    frame: Any, y: Any, neighbours: Any, saturation: Any, limits: Any, bin: Any, pixels: Any, spoiled: Any
) -> Any:
    """Give the listed pixels of ROI row y the mean of their neighbours, 0 without; true when a neighbour saturated."""
    first_bad, bad_column, first_neighbour, row, column, dark, inverse_flat = neighbours
    judges, level = saturation
    cap, floor, gain = limits
    is_spoiled = False
    for bad in range(first_bad[y], first_bad[y + 1]):
        total = 0.0
        for i in range(first_neighbour[bad], first_neighbour[bad + 1]):
            count = frame[row[i], column[i]]
            total += np.float64(_corrected(count, dark[i], inverse_flat[i], cap, floor, gain))
            if judges and count >= level:
                is_spoiled = True
                spoiled[bad_column[bad] // bin] = 1
        pixels[bad_column[bad]] = np.float32(total / max(first_neighbour[bad + 1] - first_neighbour[bad], 1))
    return is_spoiled


@njit(error_model="numpy", inline="always")
def _mark_saturated(raw: Any, level: Any, good: Any, bin: Any, spoiled: Any, n_spoiled: Any) -> Any:
    """Mark the bins of a raw row in which a good pixel saturated; how many such pixels there are."""
    n = 0
    reaches = False  # a row in which nothing does is the rule, and this loop is vectorised
    for x in range(good.size):
        reaches |= raw[x] >= level
    if reaches:
        for x in range(good.size):
            if raw[x] >= level and good[x] != 0:
                n += 1
                spoiled[x // bin] = 1
                n_spoiled[x // bin] += 1
    return n


@njit(error_model="numpy", inline="always")
def _slot(row: Any, reverses_rows: Any) -> Any:
    """Place of a row in the tile: from the bottom up when it must leave in reverse order."""
    return TILE - 1 - row % TILE if reverses_rows else row % TILE


@njit(error_model="numpy", inline="always")
def _store_row(row: Any, n_rows: Any, tile: Any, orientation: Any, out: Any) -> None:
    """Write the row to `out`, or, transposed, the tile that it completes."""
    # Unsigned indices: numba then knows that none counts from the end, and the loops vectorise (-10 µs per 256² frame).
    transposes, reverses_rows, reverses_columns = orientation
    n_columns = np.uintp(tile.shape[1])
    last = np.uintp(tile.shape[1] - 1)
    if not transposes:
        line = tile[_slot(row, reverses_rows)]
        target = out[n_rows - 1 - row if reverses_rows else row]
        if reverses_columns:
            for x in range(n_columns):
                target[last - x] = line[x]
        else:
            for x in range(n_columns):
                target[x] = line[x]
    elif row % TILE == TILE - 1 or row == n_rows - 1:
        n_tile = row % TILE + 1
        first = np.uintp(TILE - n_tile if reverses_rows else 0)
        start = np.uintp(n_rows - 1 - row if reverses_rows else row - n_tile + 1)
        for x in range(n_columns):
            target = out[last - x if reverses_columns else x]
            for i in range(np.uintp(n_tile)):
                target[start + i] = tile[first + i, x]


@njit(error_model="numpy", inline="always")
def _begin_measuring(sums: Any) -> None:
    for x in range(sums.shape[1]):
        sums[0, x] = 0.0
        sums[1, x] = 0.0


@njit(error_model="numpy", inline="always")
def _measure_line(row: Any, line: Any, good: Any, sums: Any) -> None:
    """Add a row of the stored frame to what is measured; bad pixels count as 0."""
    column_sum, column_moment = sums[0], sums[1]
    row_number = np.float64(row)
    for x in range(line.size):
        value = np.float64(line[x]) if good[x] != 0 else 0.0
        column_sum[x] += value
        column_moment[x] += row_number * value


@njit(error_model="numpy", inline="always")
def _end_measuring(sums: Any, n_rows: Any, orientation: Any, features: Any) -> None:
    """Enter what was measured in raw axes in the record, the centre of mass in stored axes."""
    transposes, reverses_rows, reverses_columns = orientation
    column_sum, column_moment = sums[0], sums[1]
    intensity = 0.0
    moment_rows = 0.0
    moment_columns = 0.0
    for x in range(column_sum.size):
        intensity += column_sum[x]
        moment_rows += column_moment[x]
        moment_columns += x * column_sum[x]
    features[0].intensity = intensity
    if intensity == 0.0:
        return
    row, column = moment_rows / intensity, moment_columns / intensity
    if reverses_rows:
        row = n_rows - 1 - row
    if reverses_columns:
        column = column_sum.size - 1 - column
    features[0].com_y = column if transposes else row
    features[0].com_x = row if transposes else column


def _compiled(function: Any) -> Any:
    try:
        return njit(nogil=True, error_model="numpy", cache=True)(function)
    except RuntimeError:  # no folder for the cache can be written
        return njit(nogil=True, error_model="numpy")(function)


@_compiled
def reduce_pixels(
    frames: Any,
    window: Any,
    references: Any,
    bins: Any,
    saturation: Any,
    limits: Any,
    neighbours: Any,
    group: Any,
    orientation: Any,
    out: Any,
    saturated_counts: Any,
    scratch: Any,
    features: Any,
) -> Any:
    """Reduce the raw exposures (k, y, x) of one group into `out`, and count saturation in `saturated_counts`.

    What the pixels tell goes into `features`, (1,) of `FEATURES_DTYPE`; what is not known stays as it is there.

    Settings come in tuples, in the order in which `FrameReducer` prepares them:

    - `window`: first raw row, first raw column, bin
    - `references`: dark f4, 1/flat f4, good u1, counts-in-the-bin u1, each (y, x) of the ROI
    - `bins`: scale f8, good u1, each of the binned shape (the scale is not read when bin is 1)
    - `saturation`: whether to judge, level in the raw dtype
    - `limits`: cap of raw values, floor of corrected ones, gain, each f4
    - `neighbours`: `Neighbours`, then dark f4 and 1/flat f4 of each neighbour
    - `group`: divides by k, combines by exposure, exposures_s (k,) f8, index of the shortest, exposure_s of the row
    - `orientation`: transposes, reverses raw rows, reverses raw columns
    - `scratch`: tile (TILE, n_columns) f4, pixels (ROI columns) f4, lines (N_LINES, n_columns) f8, sums (N_SUMS,
      n_columns) f8, spoiled u1, n_spoiled i4 and n_spoiled_shortest i4 (n_columns), the last but two all zero
    """
    first_row, first_column, bin = window
    dark, inverse_flat, good, counts = references
    scale, stored_good = bins
    judges, level = saturation
    cap, floor, gain = limits
    divides, by_exposure, exposures_s, shortest, row_exposure_s = group
    first_bad = neighbours[0]
    tile, pixels, lines, sums, spoiled, n_spoiled, n_spoiled_shortest = scratch
    total, time_s, fallback, binned = lines[0], lines[1], lines[2], lines[3]
    k = frames.shape[0]
    nx = good.shape[1]
    n_rows, n_columns = stored_good.shape
    n_saturated = 0
    _begin_measuring(sums)
    for row in range(n_rows):
        line = tile[_slot(row, orientation[1])]
        if by_exposure:
            for x in range(n_columns):
                total[x] = 0.0
                time_s[x] = 0.0
        for j in range(k):
            is_spoiled = False
            for y in range(row * bin, row * bin + bin):
                raw = frames[j, first_row + y, first_column : first_column + nx]
                row_dark, row_inverse_flat = dark[y], inverse_flat[y]
                for x in range(nx):
                    pixels[x] = _corrected(raw[x], row_dark[x], row_inverse_flat[x], cap, floor, gain)
                if judges:
                    n = _mark_saturated(raw, level, good[y], bin, spoiled, n_spoiled)
                    if n > 0:
                        is_spoiled = True
                        if not by_exposure:
                            n_saturated += n
                if first_bad[y + 1] > first_bad[y]:  # only then worth the call
                    is_spoiled |= _interpolate_row(frames[j], y, neighbours, saturation, limits, bin, pixels, spoiled)
                if bin == 1:
                    for x in range(nx):
                        binned[x] = np.float64(pixels[x])
                else:
                    row_counts = counts[y]
                    for x in range(n_columns):
                        bin_sum = binned[x] if y > row * bin else 0.0
                        for i in range(x * bin, x * bin + bin):
                            if row_counts[i] != 0:
                                bin_sum += np.float64(pixels[i])
                        binned[x] = bin_sum
            if bin > 1:
                for x in range(n_columns):
                    binned[x] *= scale[row, x]
            if by_exposure:
                for x in range(n_columns):
                    if spoiled[x] == 0:
                        total[x] += binned[x]
                        time_s[x] += exposures_s[j]
                    if j == shortest:
                        fallback[x] = binned[x]
                        n_spoiled_shortest[x] = n_spoiled[x]
            elif j == 0:
                for x in range(n_columns):
                    total[x] = binned[x]
            else:
                for x in range(n_columns):
                    total[x] += binned[x]
            if is_spoiled:
                for x in range(n_columns):
                    if not by_exposure:
                        saturated_counts[row, x] += spoiled[x]
                    spoiled[x] = 0
                    n_spoiled[x] = 0
        if by_exposure:
            for x in range(n_columns):
                if time_s[x] > 0.0:
                    line[x] = np.float32(total[x] / time_s[x] * row_exposure_s)
                else:
                    line[x] = np.float32(fallback[x] / exposures_s[shortest] * row_exposure_s)
                    saturated_counts[row, x] += np.uint32(k)
                    n_saturated += n_spoiled_shortest[x]
        elif divides:
            for x in range(n_columns):
                line[x] = np.float32(total[x] / k)
        else:
            for x in range(n_columns):
                line[x] = np.float32(total[x])
        _measure_line(row, line, stored_good[row], sums)
        _store_row(row, n_rows, tile, orientation, out)
    features[0].n_saturated = n_saturated
    _end_measuring(sums, n_rows, orientation, features)


@_compiled
def measure_pixels(stored: Any, good: Any, sums: Any, features: Any) -> Any:
    """Features of the pixels of a stored frame (y, x) f4, into `features`, but for saturation.

    `good` is u1; `sums` (N_SUMS, x) f8 is scratch.
    """
    _begin_measuring(sums)
    for row in range(stored.shape[0]):
        _measure_line(row, stored[row], good[row], sums)
    _end_measuring(sums, stored.shape[0], (False, False, False), features)
