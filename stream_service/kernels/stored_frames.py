"""Measurement of stored frames: what the reduction tells of the pixels of a row, from the row as it is in a file.

The same lines of code measure both. From whole counts follow the same bits, whatever the orientation; else sums that
were taken along another axis differ in their last digits (1e-12).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream_service.core.aligned import aligned_zeros
from stream_service.core.row import CELLS_SIDE, blank_features
from stream_service.kernels.cells import IN_STORED_AXES, cell_layout
from stream_service.kernels.pixelpass import LANES, N_COLUMN_SUMS, N_SUMS, measure_pixels

MeasuringScratch = tuple[
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float32],
    NDArray[np.float32],
    NDArray[np.int64],
    NDArray[np.float64],
]


def measuring_scratch(n: int, n_columns: int, side: int) -> MeasuringScratch:
    """What the kernel needs to measure n rows at a time, in raw axes; it leaves it as it is here.

    Sums (N_SUMS, LANES) and of columns (N_COLUMN_SUMS, n_columns), the good pixels of the line above (n_columns), the
    largest (LANES), how many read nothing (1), sums of cells (side, side); each for n rows.
    """
    return (
        aligned_zeros((n, N_SUMS, LANES), np.float64),
        aligned_zeros((n, N_COLUMN_SUMS, n_columns), np.float64),
        aligned_zeros((n, n_columns), np.float32),
        np.full((n, LANES), -np.inf, np.float32),
        np.zeros((n, 1), np.int64),
        np.zeros((n, side, side)),
    )


def measure_rows(
    frames: NDArray[np.float32],
    good: NDArray[np.bool_],
    features: NDArray[np.void],
    cells: NDArray[np.float32] | None = None,
) -> None:
    """Enter what the good pixels (ny, nx) of stored frames (n, ny, nx) tell in `features`, (n,) of `FEATURES_DTYPE`.

    Saturation, which only raw frames tell, stays as it is. `cells` (n, side, side) gets cells of another number; those
    in `features` are then not known. Without the GIL. Raises ValueError when shapes are not these.
    """
    n = len(frames)
    if frames.ndim != 3 or good.shape != frames.shape[1:] or features.shape != (n,):
        raise ValueError(f"frames {frames.shape}, good pixels {good.shape} and features {features.shape} do not agree")
    if cells is not None and (cells.shape != (n, cells.shape[-1], cells.shape[-1]) or not cells.shape[-1]):
        raise ValueError(f"cells of shape {cells.shape} are not ({n}, side, side) of so many frames")
    side = CELLS_SIDE if cells is None else cells.shape[-1]
    layout = cell_layout(good, IN_STORED_AXES, side)
    measured = np.full(n, blank_features())
    found = np.full((n, side, side), np.nan, np.float32)
    measure_pixels(
        np.require(frames, np.float32, ["C", "W"]),
        np.array(good, np.uint8, order="C"),
        tuple(layout),
        IN_STORED_AXES,
        measuring_scratch(1, frames.shape[2], side),
        measured,
        found,
    )
    measured["n_saturated"] = features["n_saturated"]
    if cells is None:
        measured["cells"] = found
    else:
        cells[:] = found
    features[:] = measured
