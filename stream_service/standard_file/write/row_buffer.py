"""Rows that are appended and not yet flushed: their pixels and their columns, in memory that is allocated once."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.row import Row
from stream_service.standard_file.schema.row_columns import row_column_specs

MAX_BYTES = 16 << 20
"""Pixels held back at most: 0.04 s of a disk that sustains 390 MB/s."""
MAX_ROWS = 64
"""With 64 rows the fixed cost of a flush, 0.4 ms, is a tenth of writing the frames (256² float32, measured)."""


class RowBuffer:
    """Up to `capacity` rows, written by `put`, read as one block per dataset, then cleared."""

    def __init__(self, frame_shape: tuple[int, int], frames_per_row: int) -> None:
        frame_bytes = 4 * frame_shape[0] * frame_shape[1]
        self.capacity = max(1, min(MAX_ROWS, MAX_BYTES // frame_bytes))
        self.n_rows = 0
        self._frames_per_row = frames_per_row
        columns = {
            spec.path: np.zeros((self.capacity, *spec.item_shape), spec.dtype)
            for spec in row_column_specs(frame_shape, frames_per_row)
        }
        self._frames: npt.NDArray[np.float32] = columns.pop(paths.CXI_DATA)
        self._columns: dict[str, np.ndarray[Any, Any]] = columns
        self._per_frame = tuple(
            columns[f"{paths.FRAMES}/{name}"] for name in ("unique_id", "epoch", "timestamp_ns", "status")
        )
        self._per_row = tuple(
            columns[path]
            for path in (
                f"{paths.FRAMES}/n_frames",
                paths.POS_X,
                paths.POS_Y,
                paths.ROW_ENERGY,
                f"{paths.FRAMES}/exposure_s",
                paths.FLAGS,
                paths.INTENSITY,
                paths.COM_Y,
                paths.COM_X,
                paths.N_SATURATED,
                paths.KEEP,
                paths.REPLACES,
            )
        )

    @property
    def is_full(self) -> bool:
        return self.n_rows == self.capacity

    def slot(self) -> npt.NDArray[np.float32]:
        """(ny, nx) where the pixels of the next row belong; valid until that row is put."""
        return self._frames[self.n_rows]

    def put(self, row: Row) -> None:
        """Take the slot's pixels and this row. Raises `ValueError` if the row has not k slots."""
        i = self.n_rows
        for column, values in zip(
            self._per_frame, (row.unique_ids, row.epochs, row.timestamps_ns, row.statuses), strict=True
        ):
            if len(values) != self._frames_per_row:
                raise ValueError(f"a row of this file has {self._frames_per_row} frames, not {len(values)}")
            column[i] = values
        for column, value in zip(
            self._per_row,
            (
                row.n_frames,
                row.x_m,
                row.y_m,
                row.energy_eV,
                row.exposure_s,
                row.flags,
                row.intensity,
                row.com_y,
                row.com_x,
                row.n_saturated,
                row.keep,
                row.replaces,
            ),
            strict=True,
        ):
            column[i] = value
        self.n_rows = i + 1

    def frames(self) -> npt.NDArray[np.float32]:
        """(n, ny, nx) pixels of the rows held; not a copy."""
        return self._frames[: self.n_rows]

    def columns(self) -> dict[str, np.ndarray[Any, Any]]:
        """Every other column of the rows held, by path; not copies."""
        n = self.n_rows
        x_m, y_m = self._columns[paths.POS_X][:n], self._columns[paths.POS_Y][:n]
        pos, translation = self._columns[paths.POS], self._columns[paths.TRANSLATION]
        pos[:n, 0], pos[:n, 1] = x_m, y_m
        np.subtract(0.0, pos[:n], out=translation[:n, :2])
        return {path: column[:n] for path, column in self._columns.items()}

    def clear(self) -> None:
        """The rows are in the file: begin again."""
        self.n_rows = 0
