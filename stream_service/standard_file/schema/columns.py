"""A dataset that grows along its first axis, written in blocks.

h5py's indexing costs 60 to 100 µs per write; a flush writes some twenty columns, so blocks go through the low-level
interface, with selection and type made here: 12 µs each, 25 if h5py has to make them (measured).
"""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
from h5py import h5s, h5t


class GrowingColumn:
    """One resizable dataset. Blocks must be C-contiguous and of the dataset's dtype."""

    def __init__(self, dataset: h5py.Dataset) -> None:
        self._dataset = dataset
        self._id = dataset.id
        self._item_shape = tuple(dataset.shape[1:])
        self._fill = dataset.fillvalue
        self._type = h5t.py_create(dataset.dtype)
        self._file_space, self._memory_space = (h5s.create_simple(dataset.shape) for _ in range(2))
        self.n_rows = int(dataset.shape[0])

    def write(self, start: int, block: np.ndarray[Any, Any]) -> None:
        """Let the dataset end with `block`, (n, *item_shape), from row `start` on."""
        self._extend(start + len(block))
        self._write(start, block)

    def revise(self, start: int, block: np.ndarray[Any, Any]) -> None:
        """Write `block`, (n, *item_shape), from row `start` on; what is behind it stays."""
        if start + len(block) > self.n_rows:
            self._extend(start + len(block))
        self._write(start, block)

    def write_chunks(self, start: int, frames: np.ndarray[Any, Any]) -> None:
        """The same for a dataset whose chunk is one frame: each goes to the disk as it lies in memory, uncopied."""
        self._extend(start + len(frames))
        offset = [start, *(0 for _ in self._item_shape)]
        for frame in frames:
            self._id.write_direct_chunk(tuple(offset), frame)
            offset[0] += 1

    def rewrite(self, start: int, block: np.ndarray[Any, Any]) -> None:
        """Write over entries that are there, from row `start` on."""
        self._write(start, block)

    def read(self, row: int | slice) -> np.ndarray[Any, Any]:
        """The value of one row, of the item's shape; of some, (n, *item_shape)."""
        return self._dataset[row]

    def replace(self, block: np.ndarray[Any, Any]) -> None:
        """Rewrite the whole dataset. It never shrinks: what is beyond the block gets the fill value."""
        if len(block) < self.n_rows:
            longer = np.full((self.n_rows, *self._item_shape), self._fill, block.dtype)
            longer[: len(block)] = block
            block = longer
        elif len(block) > self.n_rows:
            self._extend(len(block))
        if len(block):
            self._write(0, block)

    def truncate(self, n_rows: int) -> None:
        """Cut off the rows from `n_rows` on, which no reader has been told of."""
        if n_rows < self.n_rows:
            self._extend(n_rows)

    def _extend(self, n_rows: int) -> None:
        self._id.set_extent((n_rows, *self._item_shape))
        self.n_rows = n_rows

    def _write(self, start: int, block: np.ndarray[Any, Any]) -> None:
        self._file_space.set_extent_simple((self.n_rows, *self._item_shape))
        self._file_space.select_hyperslab((start, *(0 for _ in self._item_shape)), block.shape)
        self._memory_space.set_extent_simple(block.shape)
        self._id.write(self._memory_space, self._file_space, block, self._type)
