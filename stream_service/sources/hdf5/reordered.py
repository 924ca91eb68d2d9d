"""Datasets with their rows in another order than they are stored in, or in one row where several axes are stored.

NDFileHDF5 with extra dimensions stores frames as (…, y, x), and with DimAttDatasets values as (…); with PositionMode it
stores frames by index and values as they came.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.hdf5.in_place import RowsInPlace
from stream_service.sources.hdf5.dataset import StoredDataset


class FlatDataset(StoredDataset):
    """The leading axes taken as one; it shares the open dataset, of which under SWMR there may be one only."""

    def __init__(self, stored: StoredDataset, n_kept: int) -> None:
        """`n_kept` of its last axes stay as they are."""
        self.__dict__.update(stored.__dict__)
        self._stored = stored
        self._n_leading = len(stored.shape) - n_kept
        kept = slice(self._n_leading, None)
        sizes = stored.maxshape[: self._n_leading]
        self.maxshape = (None if None in sizes else math.prod(n or 0 for n in sizes), *stored.maxshape[kept])
        if stored.chunks is not None:
            self.chunks = (stored.chunks[self._n_leading - 1], *stored.chunks[kept])
        self._flatten()

    def _flatten(self) -> None:
        self._leading = self._stored.shape[: self._n_leading]
        self.shape = (math.prod(self._leading), *self._stored.shape[self._n_leading :])

    def refresh(self) -> None:
        self._stored.refresh()
        self._flatten()

    def check_holds(self, file_bytes: int) -> None:
        self._stored.check_holds(file_bytes)
        super().check_holds(file_bytes)

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        length = self._leading[-1]
        lines = range(start // length, -(-stop // length)) if stop > start else range(0)
        ends = [start, *(line * length for line in lines[1:]), stop]
        read = [
            self._stored.read_box(self._line(first // length), first % length, first % length + last - first)
            for first, last in pairwise(ends)
        ]
        return np.concatenate(read) if read else np.empty((0, *self.shape[1:]), self.dtype)

    def _line(self, index: int) -> tuple[int, ...]:
        return tuple(int(n) for n in np.unravel_index(index, self._leading[:-1]))

    def in_place(self, *, is_growing: bool = False) -> RowsInPlace | None:
        return None


class ReorderedDataset(StoredDataset):
    """Row k is row `rows[k]` of a dataset of a closed file."""

    def __init__(self, stored: StoredDataset, rows: npt.NDArray[np.intp]) -> None:
        """Rows below 0 are there, but have to be left out."""
        self.__dict__.update(stored.__dict__)
        self._stored = stored
        self._order = rows
        self.shape = (len(rows), *stored.shape[1:])

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        rows = self._order[start:stop].tolist()
        read = [self._stored.read(row, row + 1) if row >= 0 else self._blank for row in rows]
        return np.concatenate(read) if read else np.empty((0, *self.shape[1:]), self.dtype)

    @property
    def _blank(self) -> npt.NDArray[Any]:
        return np.zeros((1, *self.shape[1:]), self.dtype)

    def in_place(self, *, is_growing: bool = False) -> RowsInPlace | None:
        return None
