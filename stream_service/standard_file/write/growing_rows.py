"""The datasets of a file that grow by rows, and the live keys that announce them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import h5py
import numpy as np

from stream_service.core.row import RowBlock
from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.columns import GrowingColumn
from stream_service.standard_file.schema.row_columns import COLUMN_PATHS, column_blocks, rows_of
from stream_service.standard_file.write.fixed_datasets import FixedDatasets

Values = np.ndarray[Any, Any]
PlannedOf = Callable[[np.ndarray[Any, Any], np.ndarray[Any, Any]], np.ndarray[Any, Any]]
"""Planned positions (n,) of rows by epoch and uniqueId of their first frames."""


class GrowingRows:
    """Those of one open file. Rows that are written are not announced yet."""

    def __init__(self, datasets: Mapping[str, h5py.Dataset], fixed: FixedDatasets) -> None:
        self._data = GrowingColumn(datasets[paths.CXI_DATA])
        self._columns = {path: GrowingColumn(datasets[path]) for path in COLUMN_PATHS}
        self._fixed = fixed
        self._n_keys = fixed.shape(paths.LIVE_KEYS[0])[0]
        self._frames_per_row = int(datasets[paths.UNIQUE_ID].shape[1])
        self.n_written = self.n_announced = 0

    def check(self, block: RowBlock) -> None:
        """Raise `ValueError` for rows that are none of this file."""
        k = block.rows["unique_id"].shape[1]
        if k != self._frames_per_row:
            raise ValueError(f"a row of this file has {self._frames_per_row} frames, not {k}")

    def write(self, block: RowBlock) -> None:
        """Put the rows of a block behind those that are written."""
        if not block.n_rows:
            return
        self._data.write_chunks(self.n_written, block.pixels)
        for path, values in column_blocks(block.rows):
            self._columns[path].write(self.n_written, values)
        self.n_written += block.n_rows

    def read(self, rows: Sequence[int]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Rows (n,) of `row_dtype` that are written, by their places, and their pixels (n, ny, nx)."""
        columns = {path: np.array([column.read(row) for row in rows]) for path, column in self._columns.items()}
        return rows_of(columns), np.array([self._data.read(row) for row in rows])

    def leave_out(self, rows: Iterable[int]) -> None:
        """Say of rows that are written that they are not to be used."""
        self._revise(paths.KEEP, rows, np.zeros_like)

    def plan_anew(self, planned_of: PlannedOf) -> None:
        """Write over the planned positions of all rows that are written."""
        epochs, unique_ids = self.identities()
        column = self._columns[paths.PLANNED_OF_ROW]
        planned = column.read(slice(0, self.n_written))
        column.rewrite(0, planned_of(epochs[:, 0], unique_ids[:, 0]).astype(planned.dtype))

    def settle(self, planned: np.ndarray[Any, Any], replaces: np.ndarray[Any, Any], used: Iterable[int]) -> None:
        """Write over what all rows that are written were planned for, and which rows they replace, (n,) each; say of
        some that they are to be used."""
        for path, values in ((paths.PLANNED_OF_ROW, planned), (paths.REPLACES, replaces)):
            column = self._columns[path]
            column.rewrite(0, values.astype(column.read(slice(0, 0)).dtype))
        self._revise(paths.KEEP, used, np.ones_like)

    def identities(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Epoch and uniqueId of the frames of all rows that are written, (n, k) each."""
        epochs, unique_ids = (
            self._columns[path].read(slice(0, self.n_written)) for path in (paths.EPOCH, paths.UNIQUE_ID)
        )
        return epochs, unique_ids

    def readbacks(self) -> dict[str, np.ndarray[Any, Any]]:
        """Position and energy of all rows that are written, (n,) each."""
        places = {"x_m": paths.POS_X, "y_m": paths.POS_Y, "energy_eV": f"{paths.FRAMES}/energy_eV"}
        return {name: self._columns[path].read(slice(0, self.n_written)) for name, path in places.items()}

    def doubt(self, rows: Iterable[int], flag: int, *, are_used: bool = False) -> None:
        """Flag rows that are written, and say that they are not to be used, unless they are."""
        doubted = list(rows)
        self._revise(paths.FLAGS, doubted, lambda flags: flags | flag)
        if not are_used:
            self.leave_out(doubted)

    def _revise(self, path: str, rows: Iterable[int], revised: Callable[[Values], Values]) -> None:
        """Write over a column at some rows, by one write: one a row took seconds at the end of a long run."""
        places = np.fromiter(rows, np.intp)
        if not len(places):
            return
        first, column = int(places.min()), self._columns[path]
        values = column.read(slice(first, int(places.max()) + 1))
        values[places - first] = revised(values[places - first])
        column.rewrite(first, values)

    def announce(self) -> None:
        """Tell readers of all rows, which are flushed; those beyond the keys reserved have no key, and are counted."""
        start, self.n_announced = self.n_announced, self.n_written
        stop = min(self.n_written, self._n_keys)
        if stop > start:
            keys = np.arange(start + 1, stop + 1, dtype=np.uint32)
            for path in paths.LIVE_KEYS:
                self._fixed.write(path, keys, start)
        if self.n_announced > start:
            self._fixed.replace(paths.N_ROWS, self.n_announced)

    def withdraw(self) -> None:
        """Cut off the rows that are written and not announced: no more will follow, and no account has them."""
        for column in (self._data, *self._columns.values()):
            column.truncate(self.n_announced)
        self.n_written = self.n_announced
