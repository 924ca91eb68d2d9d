"""The row as a table: what stands beside the pixels of a row, with type, unit and meaning, spelled once.

What a kernel measures, the blocks in which rows travel, the datasets of the standard file, what its validator and its
repair expect and the reference page follow from these columns. A new feature of a row is an entry of `FEATURES` and the
kernel that measures it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.core.aligned import aligned_zeros
from stream_service.core.exposure import Flag
from stream_service.core.frame_status import FrameStatus


@dataclass(frozen=True, slots=True)
class Column:
    """One value of a row."""

    name: str
    """Its field in a row, and its dataset in the file."""
    dtype: npt.DTypeLike
    about: str
    """One sentence: `@description` in the file."""
    unit: str = ""
    fill: int | None = None
    """What stands where nothing was written; None = NaN for floating point, else 0."""
    codes: type[IntEnum] | type[IntFlag] | None = None
    """Names of its numbers."""
    shape: tuple[int, ...] = ()
    """Of its value in a row."""
    is_optional: bool = False
    """Files of earlier versions have none."""

    @property
    def blank(self) -> float | int:
        """The fill: a hole must not look like data."""
        if self.fill is not None:
            return self.fill
        return float("nan") if np.dtype(self.dtype).kind == "f" else 0


FRAME_COLUMNS = (
    Column("unique_id", np.int64, "uniqueId of each frame of the row; -1 = unused slot (0 is a valid id).", fill=-1),
    Column("epoch", np.int32, "Counter generation of the detector; -1 = unused slot.", fill=-1),
    Column("timestamp_ns", np.int64, "Detector's stamp of each frame, since 1970 UTC.", "ns"),
    Column("status", np.uint8, "What became of each frame of the row; 0 = unused slot.", codes=FrameStatus),
)
"""Those with a value for each frame of a row: (k,)."""

ROW_COLUMNS = (
    Column("n_frames", np.uint16, "Frames that went into the row."),
    Column("energy_eV", np.float64, "Photon energy during the row.", "eV"),
    Column("exposure_s", np.float64, "Exposure time of the row in all.", "s"),
    Column(
        "planned",
        np.int64,
        "Planned position of the row, from 0 in the order of the scan; of a repeat the one that it repeats; -1 = none.",
        fill=-1,
        is_optional=True,
    ),
    Column("replaces", np.int64, "The row that this one repeats, or puts right; -1 = none.", fill=-1),
    Column("flags", np.uint32, "Why a value of the row is not to be trusted, bit by bit; 0 = all is well.", codes=Flag),
    Column(
        "position_uncertainty_m",
        np.float64,
        "How far the beam may have been from the position, by its readbacks: 0 at rest, in a move by how the speed "
        "changed there; the larger of x and y, the largest of the row's exposures. Errors of the readbacks and of the "
        "clocks are not in it. NaN = not known, as with NDAttributes.",
        "m",
        is_optional=True,
    ),
    Column(
        "bracket_s",
        np.float64,
        "Time between the two readbacks that the position lies between, the longest of x and y and of the row's "
        "exposures; NaN where the stage stood, or the position is not interpolated.",
        "s",
        is_optional=True,
    ),
    Column(
        "ring_current_mA",
        np.float64,
        "Current stored in the ring, the least of the row's exposures, from channel `ring_current`; NaN = not known.",
        "mA",
        is_optional=True,
    ),
    Column(
        "shutter_open",
        np.int8,
        "1 = the shutter was open in every exposure of the row, from channel `shutter`; 0 = not; -1 = not known.",
        fill=-1,
        is_optional=True,
    ),
)

POSITION_COLUMNS = (
    Column("x_m", np.float64, "Position of the beam on the sample, x.", "m"),
    Column("y_m", np.float64, "Position of the beam on the sample, y.", "m"),
)

KEEP = Column("keep", np.uint8, "1 = use this row, 0 = leave it out (PtyPy's framefilter).")

CELLS_SIDE = 16
"""A frame in 16 x 16 cells is 1 KiB beside its pixels, and shows which part of it is empty or has moved."""

FEATURES = (
    Column("intensity", np.float64, "Sum of the good pixels.", "counts"),
    Column("com_y", np.float64, "Centre of mass of the good pixels, row.", "pixel"),
    Column("com_x", np.float64, "Centre of mass of the good pixels, column.", "pixel"),
    Column("n_saturated", np.uint32, "Pixels saturated in any frame of the row."),
    Column("square_sum", np.float64, "Sum of the squares of the good pixels.", "counts^2", is_optional=True),
    Column(
        "neighbour_sum",
        np.float64,
        "Sum of the products of good pixels side by side, along rows and along columns: twice square_sum without fine "
        "structure, less with it.",
        "counts^2",
        is_optional=True,
    ),
    Column("max_counts", np.float32, "Largest good pixel.", "counts", is_optional=True),
    Column("n_zero", np.uint32, "Good pixels that read nothing: 0 or less.", is_optional=True),
    Column(
        "cells",
        np.float32,
        "Mean of the good pixels of each of 16 x 16 cells of the frame, NaN without any; pixel x of nx is in cell "
        "x * 16 // nx. NaN throughout in frames of fewer rows or columns.",
        "counts",
        shape=(CELLS_SIDE, CELLS_SIDE),
        is_optional=True,
    ),
)
"""What the kernels measure on the pixels of a row."""

FEATURES_DTYPE = np.dtype([(column.name, column.dtype, column.shape) for column in FEATURES])
MAX_BYTES = 32 << 20
"""Of the pixels of a block: 0.08 s of a disk that sustains 390 MB/s. Eight frames of 1024² share a reading of dark and
flat: a tenth less time of the kernel than with four."""
MAX_ROWS = 64
"""With 64 rows the fixed cost of a flush, 0.4 ms, is a fifteenth of writing the frames (256² float32, measured)."""


def row_dtype(frames_per_row: int) -> np.dtype[Any]:
    """A row: the fields are the columns by name, and `features`, a record of `FEATURES_DTYPE`."""
    of_frames = [(column.name, column.dtype, (frames_per_row,)) for column in FRAME_COLUMNS]
    of_row = [(column.name, column.dtype, column.shape) for column in (*ROW_COLUMNS, *POSITION_COLUMNS, KEEP)]
    return np.dtype([*of_frames, *of_row, ("features", FEATURES_DTYPE)])


LONGEST_TRAVEL_M = 10.0
"""No stage reaches further; a position beyond it is a wrong number."""


def forget_wrong_positions(rows: np.ndarray[Any, Any]) -> None:
    """Make positions of rows (n,) that cannot be, as those in a wrong unit, ones that are not known (NaN)."""
    for column in POSITION_COLUMNS:
        values_m = rows[column.name]
        values_m[~(np.abs(values_m) < LONGEST_TRAVEL_M)] = np.nan


def has_trusted_position(rows: np.ndarray[Any, Any] | np.void) -> npt.NDArray[np.bool_]:
    """(n,) True where the position of a row is known, and neither it nor the row is left out for its flags."""
    is_known = np.isfinite(rows["x_m"]) & np.isfinite(rows["y_m"])
    is_flagged = (rows["flags"] & Flag.SPREAD != 0) | ((rows["flags"] != 0) & (rows["keep"] == 0))
    return is_known & ~is_flagged


def trusted_positions(rows: np.ndarray[Any, Any]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """x and y in metres of rows, (n,) each, for what has no room for a flag, as a map: NaN where not to be trusted."""
    is_trusted = has_trusted_position(rows)
    x_m, y_m = (np.where(is_trusted, rows[name], np.nan) for name in ("x_m", "y_m"))
    return x_m, y_m


def has_trusted_energy(rows: np.ndarray[Any, Any] | np.void) -> npt.NDArray[np.bool_]:
    """(n,) True where the energy of a row is known, and no flag of the row may be about it."""
    return np.isfinite(rows["energy_eV"]) & (rows["flags"] & ~np.uint32(Flag.SPREAD | Flag.MOVING) == 0)


def blank_features() -> np.void:
    """A record for a kernel to fill; what it does not measure reads as not known."""
    blank = np.zeros(1, FEATURES_DTYPE)
    for column in FEATURES:
        blank[column.name] = column.blank
    return blank[0]


class RowBlock:
    """Up to `capacity` rows and their pixels, in memory that is allocated once by who fills it.

    A sink reads `rows` and `pixels` and copies what it keeps, since the next rows go into the same memory.
    """

    def __init__(self, frame_shape: tuple[int, int], frames_per_row: int, capacity: int = MAX_ROWS) -> None:
        frame_bytes = 4 * frame_shape[0] * frame_shape[1]
        self.capacity = max(1, min(capacity, MAX_BYTES // frame_bytes))
        self.n_rows = 0
        self.visible_s = math.nan
        """When readers of the file could see its rows, by the clock of `received_s`; sinks beside the file know it."""
        self._received_s = np.full(self.capacity, math.nan)
        self._frames_per_row = frames_per_row
        dtype = row_dtype(frames_per_row)
        blank = np.zeros(self.capacity, dtype)
        for column in (*FRAME_COLUMNS, *ROW_COLUMNS, *POSITION_COLUMNS, KEEP):
            blank[column.name] = column.blank
        blank["features"] = blank_features()
        self._rows = blank.copy()
        self._bytes, self._blank_bytes = (
            rows.view(np.uint8).reshape(self.capacity, -1) for rows in (self._rows, blank)
        )
        self._pixels = aligned_zeros((self.capacity, *frame_shape), np.float32)

    @property
    def row_bytes(self) -> int:
        """Memory of a row and its pixels."""
        return self._rows.itemsize + self._pixels[0].nbytes

    @property
    def n_free(self) -> int:
        """Rows for which there is room."""
        return self.capacity - self.n_rows

    @property
    def rows(self) -> np.ndarray[Any, Any]:
        """(n,) of `row_dtype`; not a copy."""
        return self._rows[: self.n_rows]

    @property
    def pixels(self) -> npt.NDArray[np.float32]:
        """(n, ny, nx); not a copy."""
        return self._pixels[: self.n_rows]

    def next_rows(self, n: int = 1) -> tuple[np.ndarray[Any, Any], npt.NDArray[np.float32]]:
        """(n,) rows, blank, to be filled in by field, and where their pixels belong, (n, ny, nx) C-contiguous.

        The pixels hold what earlier rows left there. They are rows of the block once `append` says so.
        """
        place = slice(self.n_rows, self.n_rows + n)
        self._bytes[place] = self._blank_bytes[:n]  # a record at a time costs 20 times as much
        return self._rows[place], self._pixels[place]

    @property
    def received_s(self) -> npt.NDArray[np.float64]:
        """(n,) when the last frame of each row came, see `Frame.received_s`; NaN: nobody knows. Not a copy."""
        return self._received_s[: self.n_rows]

    def append(self, n: int = 1, received_s: npt.ArrayLike = math.nan) -> None:
        """Take the next rows, which are filled in by now, and when their frames came."""
        self._received_s[self.n_rows : self.n_rows + n] = received_s
        self.n_rows += n

    def like(self) -> RowBlock:
        """Another one of the same kind, empty."""
        return RowBlock(self._pixels.shape[1:], self._frames_per_row, self.capacity)

    def clear(self) -> None:
        """The rows are where they belong: begin again."""
        self.n_rows = 0
