"""The two passes over pixels that are called from Python: from raw frames to rows, and over stored frames."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import uintp

from stream_service.kernels.machine_code import compiled, part
from stream_service.kernels.pixelpass.line_in_memory import reduce_line
from stream_service.kernels.pixelpass.line_in_registers import reduce_line_chunks
from stream_service.kernels.pixelpass.line_steps import count_saturated, line_of
from stream_service.kernels.pixelpass.measuring import end_cells, end_measuring, measure_line
from stream_service.kernels.pixelpass.vectors import LANES

TILE = 16
"""Raw rows taken together: 16 float32 are the 64 bytes of one cache line of a transposed frame."""


@compiled(_nrt=False)
def reduce_pixels(
    addresses: Any,
    window: Any,
    references: Any,
    stored_good: Any,
    saturation: Any,
    limits: Any,
    neighbours: Any,
    group: Any,
    orientation: Any,
    out: Any,
    saturated_counts: Any,
    scratch: Any,
    layout: Any,
    measuring: Any,
    features: Any,
    cells: Any,
) -> Any:
    """Reduce the raw frames at `addresses` (n, k) to n rows in `out`, and count saturation in `saturated_counts`.

    What the pixels tell goes into `features`, (n,) of `FEATURES_DTYPE`, blank before; what is not known stays so.

    Settings come in tuples, in the order in which `FrameReducer` prepares them. An image of which all lines are alike
    may come as one line:

    - `window`: shape of a raw frame, first raw row, first raw column, bin
    - `references`: dark f4, 1/flat f4, good u1, counts-in-the-bin u1, each (y, x) of the ROI; scale of a bin f8, of the
      binned shape (not read when bin is 1)
    - `stored_good`: u1, of the binned shape
    - `saturation`: whether to judge, level in the raw dtype, which tells that of the frames
    - `limits`: cap of raw values, floor of corrected ones, gain, each f4
    - `neighbours`: `Neighbours`, then dark f4 and 1/flat f4 of each neighbour
    - `group`: divides by k, then (n,) combines by exposure, (n, k) exposures_s, (n,) index of the shortest, (n,)
      exposure_s of the row
    - `orientation`: transposes, reverses raw rows, reverses raw columns
    - `scratch`: tile (TILE, n_columns) f4, pixels (ROI columns) f4, lines (N_LINES, n_columns) f8, spoiled u1,
      n_spoiled i4 and n_spoiled_shortest i4 (n_columns), all but the last two of these zero
    - `layout`: `CellLayout`
    - `measuring`: `measuring_scratch` of n frames or more
    - `cells`: (n, side, side) f4, blank before
    """
    transposes, reverses_rows, reverses_columns = orientation
    divides, by_exposure, exposures_s, shortest, row_exposure_s = group
    raw_shape, first_row, first_column, bin = window
    dark, inverse_flat, good = references[:3]
    level = saturation[1]
    cap, floor, gain = limits
    first_bad = neighbours[0]
    tile = scratch[0]
    ends, firsts, n_good = layout
    sums, columns, above, largest, n_zero, cell_sums = measuring
    n_rows, n_columns = saturated_counts.shape
    is_simple = bin == 1 and gain == 1 and n_columns % LANES == 0 and not (divides and addresses.shape[1] > 1)
    fills_tile = transposes or reverses_columns
    for first in range(0, n_rows, TILE):
        n_tile = min(TILE, n_rows - first)
        for i in range(addresses.shape[0]):
            of_row = (divides, by_exposure[i], exposures_s[i], shortest[i], row_exposure_s[i])
            for row in range(first, first + n_tile):
                in_tile = first + n_tile - 1 - row if reverses_rows else row - first
                in_frame = n_rows - 1 - row if reverses_rows else row
                line = tile[in_tile] if fills_tile else out[i, in_frame]
                row_good = line_of(stored_good, row)
                if is_simple and not by_exposure[i] and first_bad[row] == first_bad[row + 1]:
                    if reduce_line_chunks(
                        line,
                        row_good,
                        np.float64(row),
                        sums[i],
                        columns[i],
                        above[i],
                        largest[i],
                        n_zero[i],
                        addresses[i],
                        (first_row + row) * raw_shape[1] + first_column,
                        level,
                        line_of(dark, row),
                        line_of(inverse_flat, row),
                        cap,
                        floor,
                    ):
                        features[i].n_saturated += count_saturated(
                            row, addresses[i], window, good, saturation, saturated_counts, scratch
                        )
                else:
                    features[i].n_saturated += reduce_line(
                        row,
                        addresses[i],
                        window,
                        references,
                        saturation,
                        limits,
                        neighbours,
                        of_row,
                        saturated_counts,
                        scratch[1:],
                        line,
                    )
                    measure_line(row, line, row_good, sums[i], columns[i], above[i], largest[i], n_zero[i])
                if ends[row] >= 0:
                    end_cells(ends[row], columns[i], firsts, transposes, cell_sums[i])
            if fills_tile:
                _store_tile(tile[:n_tile], first, n_rows, orientation, out[i])
    for i in range(addresses.shape[0]):
        end_measuring(saturated_counts.shape, orientation, n_good, i, measuring, features[i], cells[i])


@compiled(_nrt=False)
def measure_pixels(
    stored: Any, good: Any, layout: Any, orientation: Any, measuring: Any, features: Any, cells: Any
) -> Any:
    """Features of the pixels of stored frames (n, y, x) f4 into `features` (n,), but for saturation, and their cells.

    `good` is u1; `orientation` is that of what is stored, as a variable: then the parts of the other pass are taken.
    `measuring` of one frame or more; the rest as in `reduce_pixels`.
    """
    ends, firsts, n_good = layout
    sums, columns, above, largest, n_zero, cell_sums = measuring
    first = np.intp(0)
    for i in range(stored.shape[0]):
        for row in range(stored.shape[1]):
            line = stored[i, row]
            measure_line(row, line, good[row], sums[0], columns[0], above[0], largest[0], n_zero[0])
            if ends[row] >= 0:
                end_cells(ends[row], columns[0], firsts, orientation[0], cell_sums[0])
        end_measuring(good.shape, orientation, n_good, first, measuring, features[i], cells[i])


@part(_nrt=False)
def _store_tile(tile: Any, first: Any, n_rows: Any, orientation: Any, out: Any) -> None:
    """Write raw rows `first` and following, which are the lines of the tile in the order of the frame, to a frame."""
    transposes, reverses_rows, reverses_columns = orientation
    n_tile, n_columns = tile.shape
    last = uintp(n_columns - 1)
    start = uintp(n_rows - first - n_tile if reverses_rows else first)
    if transposes:
        for x in range(uintp(n_columns)):
            target = out[last - x if reverses_columns else x]
            for i in range(uintp(n_tile)):
                target[start + i] = tile[i, x]
    else:  # only then come columns in reverse
        for i in range(uintp(n_tile)):
            target = out[start + i]
            for x in range(uintp(n_columns)):
                target[last - x] = tile[i, x]
