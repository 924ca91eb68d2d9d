"""Steps on a raw line, of which `line_in_memory` is made: correction, interpolation, saturation, bin, sum."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import uintp

from stream_service.kernels.machine_code import inlined, part
from stream_service.kernels.pixelpass.vectors import array_at


@inlined
def line_of(image: Any, y: Any) -> Any:
    """Line y of a reference; one whose lines are all alike has one line."""
    return image[y if image.shape[0] > 1 else 0]


@inlined
def _corrected(count: Any, dark: Any, inverse_flat: Any, cap: Any, floor: Any) -> Any:
    """One raw value corrected but for the gain, float32. Written with comparisons that leave NaN as it is."""
    value = np.float32(count)
    if value > cap:
        value = cap
    value = (value - dark) * inverse_flat
    if value < floor:
        value = floor
    return value


@part(_nrt=False)
def correct_line(raw: Any, dark: Any, inverse_flat: Any, level: Any, limits: Any, values: Any) -> Any:
    """Correct a raw line into `values`; whether any of its counts is at the level or above."""
    cap, floor, gain = limits
    reaches = False
    for x in range(uintp(values.size)):
        reaches |= raw[x] >= level
        values[x] = _corrected(raw[x], dark[x], inverse_flat[x], cap, floor)
    if gain != 1:  # dividing takes as long as all the rest
        for x in range(uintp(values.size)):
            values[x] /= gain
    return reaches


@part(_nrt=False)
def interpolate_line(
    frame: Any, y: Any, neighbours: Any, saturation: Any, limits: Any, bin: Any, values: Any, spoiled: Any
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
            total += np.float64(_corrected(count, dark[i], inverse_flat[i], cap, floor) / gain)
            if judges and count >= level:
                is_spoiled = True
                spoiled[bad_column[bad] // bin] = 1
        values[bad_column[bad]] = np.float32(total / max(first_neighbour[bad + 1] - first_neighbour[bad], 1))
    return is_spoiled


@part(_nrt=False)
def mark_saturated(raw: Any, level: Any, good: Any, bin: Any, spoiled: Any, n_spoiled: Any) -> Any:
    """Mark the bins of a raw line in which a good pixel saturated; how many such pixels there are."""
    n = 0
    for x in range(good.size):
        if raw[x] >= level and good[x] != 0:
            n += 1
            spoiled[x // bin] = 1
            n_spoiled[x // bin] += 1
    return n


@part(_nrt=False)
def count_saturated(
    row: Any, addresses: Any, window: Any, good: Any, saturation: Any, saturated_counts: Any, scratch: Any
) -> Any:
    """Count the saturated pixels of a row that is neither binned nor interpolated; the readings of all its frames."""
    raw_shape, first_row, first_column, bin = window
    judges, level = saturation
    spoiled, n_spoiled = scratch[3], scratch[4]
    n_columns = saturated_counts.shape[1]
    n = 0
    if judges:
        for j in range(addresses.size):
            raw = array_at(addresses[j], level, raw_shape)[first_row + row, first_column : first_column + n_columns]
            n += mark_saturated(raw, level, line_of(good, row), bin, spoiled, n_spoiled)
            for x in range(n_columns):
                saturated_counts[row, x] += spoiled[x]
                spoiled[x] = 0
                n_spoiled[x] = 0
    return n


@part(_nrt=False)
def add_to_bins(values: Any, counts: Any, bin: Any, binned: Any) -> None:
    """Add the values of a raw line that count to their bins."""
    for x in range(binned.size):
        total = binned[x]
        for i in range(x * bin, x * bin + bin):
            if counts[i] != 0:
                total += np.float64(values[i])
        binned[x] = total


@part(_nrt=False)
def add_up(values: Any, total: Any, is_first: Any) -> None:
    """Add the values of a frame to those of the frames before it, in float64."""
    if is_first:
        for x in range(uintp(total.size)):
            total[x] = np.float64(values[x])
    else:
        for x in range(uintp(total.size)):
            total[x] += np.float64(values[x])
