"""One row of the file: identity and values of one position. Its pixels are already in the file's slot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """What `StandardFile.append` needs beside the pixels; k = frames per row. The arrays are copied.

    Unused slots of a row with fewer than k frames hold unique_id -1, epoch -1, timestamp 0, status 0 (0 is a valid
    unique_id).
    """

    unique_ids: npt.NDArray[np.int64]
    """(k,)"""
    epochs: npt.NDArray[np.int32]
    """(k,) which counting of the detector."""
    timestamps_ns: npt.NDArray[np.int64]
    """(k,) nanoseconds since 1970 UTC, as the detector stamped the frames."""
    statuses: npt.NDArray[np.uint8]
    """(k,) `codes.STATUS_CODES`."""
    n_frames: int
    """Frames that went into the row."""
    x_m: float
    y_m: float
    """Where the beam was on the sample."""
    energy_eV: float
    exposure_s: float
    """Time the row was exposed in all."""
    flags: int
    """`codes.FLAG_CODES`, ORed over the frames; 0 = every value can be trusted."""
    intensity: float
    """Sum of the good pixels of the row."""
    com_y: float
    com_x: float
    """Centre of mass of the good pixels, (row, column) of the stored frame, in pixels."""
    n_saturated: int
    """Pixels that were saturated in any frame of the row."""
    keep: bool = True
    replaces: int = -1
    """The row this one repeats, -1 if none."""
