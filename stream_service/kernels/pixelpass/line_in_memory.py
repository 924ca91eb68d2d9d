"""A line of the stored frame with every setting: a raw line after the other, through memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import uintp

from stream_service.kernels.machine_code import part
from stream_service.kernels.pixelpass.line_steps import (
    add_to_bins,
    add_up,
    correct_line,
    interpolate_line,
    line_of,
    mark_saturated,
)
from stream_service.kernels.pixelpass.vectors import array_at

N_LINES = 4
"""Rows of float64 scratch for the corrected values."""


@part(_nrt=False)
def reduce_line(
    row: Any,
    addresses: Any,
    window: Any,
    references: Any,
    saturation: Any,
    limits: Any,
    neighbours: Any,
    group: Any,
    saturated_counts: Any,
    scratch: Any,
    line: Any,
) -> Any:
    """Reduce a row of the stored frame from the raw frames at `addresses` into `line`; saturated readings in it."""
    raw_shape, first_row, first_column, bin = window
    dark, inverse_flat, good, counts, scale = references
    judges, level = saturation
    divides, by_exposure, exposures_s, shortest, row_exposure_s = group
    first_bad = neighbours[0]
    pixels, lines, spoiled, n_spoiled, n_spoiled_shortest = scratch
    total, time_s, fallback, binned = lines[0], lines[1], lines[2], lines[3]
    k = addresses.size
    nx, n_columns = pixels.size, line.size
    is_plain = k == 1 and bin == 1  # then float64 would change nothing
    values = line if is_plain else pixels
    n_saturated = 0
    if by_exposure:
        total[:] = 0.0
        time_s[:] = 0.0
    for j in range(k):
        frame = array_at(addresses[j], level, raw_shape)
        is_spoiled = False
        if bin > 1:
            binned[:] = 0.0
        for y in range(row * bin, row * bin + bin):
            raw = frame[first_row + y, first_column : first_column + nx]
            reaches = correct_line(raw, line_of(dark, y), line_of(inverse_flat, y), level, limits, values)
            if judges and reaches:
                n = mark_saturated(raw, level, line_of(good, y), bin, spoiled, n_spoiled)
                is_spoiled |= n > 0
                if not by_exposure:
                    n_saturated += n
            if first_bad[y + 1] > first_bad[y]:  # only then worth the call
                is_spoiled |= interpolate_line(frame, y, neighbours, saturation, limits, bin, values, spoiled)
            if bin > 1:
                add_to_bins(values, line_of(counts, y), bin, binned)
        if bin > 1:
            for x in range(uintp(n_columns)):
                binned[x] *= scale[row, x]
        if by_exposure:
            if bin == 1:
                for x in range(uintp(n_columns)):
                    binned[x] = values[x]
            for x in range(n_columns):
                if spoiled[x] == 0:
                    total[x] += binned[x]
                    time_s[x] += exposures_s[j]
                if j == shortest:
                    fallback[x] = binned[x]
                    n_spoiled_shortest[x] = n_spoiled[x]
        elif bin > 1:
            add_up(binned, total, j == 0)
        elif not is_plain:
            add_up(values, total, j == 0)
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
    elif divides and not is_plain:
        for x in range(uintp(n_columns)):
            line[x] = np.float32(total[x] / k)
    elif not is_plain:
        for x in range(uintp(n_columns)):
            line[x] = np.float32(total[x])
    return n_saturated
