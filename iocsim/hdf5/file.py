"""One HDF5 file as NDFileHDF5 writes it, frame by frame.

What a SWMR reader sees, and when, is the real plugin's: images every `flush_every` frames, columns only when a chunk of
them is full, on `flush`, and at the end.
"""

from __future__ import annotations

import secrets
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from iocsim.detector.ndarray import NDArray
from iocsim.hdf5.layout import FRAME_COLUMNS, UNIQUE_ID, Column, Layout, Storage, frame_values
from iocsim.hdf5.xml_layout import write_attribute

DEFAULT_COLUMN_CHUNK = 16384
"""Frames per chunk of a column when neither NDAttributeChunk nor NumCapture says (NDFileHDF5.cpp)."""


class NoPlaceError(OSError):
    """PositionMode gives a frame an index that the file does not have."""


class FrameMismatchError(ValueError):
    """A frame has another shape or type than the file was opened for."""


@dataclass(frozen=True, slots=True)
class FileOptions:
    """Settings of the file by the PVs; 0 means "choose"."""

    num_capture: int = 0
    """Frames the file is for; 0: no limit."""
    is_single: bool = False
    """One frame, stored without a frame axis."""
    column_chunk: int = 0
    chunk_frames: int = 0
    chunk_rows: int = 0
    chunk_columns: int = 0
    flush_every: int = 0
    position_name: str = ""
    """PositionMode: the NDAttribute that says at which index the pixels go; columns stay in the order of arrival."""
    swmr: bool = False
    stores_columns: bool = True
    stores_performance: bool = True
    filters: Mapping[str, Any] = field(default_factory=dict)

    def storage(self, first: NDArray) -> Storage:
        """Chunks and limits for frames like the first."""
        rows, columns = first.pixels.shape
        frame_chunk = (min(self.chunk_rows or rows, rows), min(self.chunk_columns or columns, columns))
        if self.is_single:
            shape, maxshape, chunks, column_chunk = (rows, columns), (rows, columns), frame_chunk, 1
        else:
            shape = (1, rows, columns)
            maxshape = (self.num_capture or None, rows, columns)
            chunks = (max(1, self.chunk_frames), *frame_chunk)
            column_chunk = self.column_chunk or self.num_capture or DEFAULT_COLUMN_CHUNK
        return Storage(
            data_shape=shape,
            data_maxshape=maxshape,
            data_chunks=chunks,
            column_chunk=column_chunk,
            filters=self.filters,
            stores_columns=self.stores_columns,
            stores_performance=self.stores_performance,
        )


class NDFile:
    """An open file; one thread at a time. Errors of the disk come as OSError."""

    def __init__(self, path: Path, first: NDArray, layout: Layout, options: FileOptions) -> None:
        """Create the file (an old one is overwritten) with everything in it that `first` calls for, but no frame."""
        self._options = options
        self._columns = (*FRAME_COLUMNS, *(Column.of(attribute) for attribute in first.attributes))
        self._shape = first.pixels.shape
        self._dtype = first.pixels.dtype
        self._storage = options.storage(first)
        # SWMR needs the 1.10 format; without it NDFileHDF5 writes the oldest that can hold the data.
        if path.is_symlink():  # an old file is overwritten, as by the real plugin, but not one that a link leads to
            path.unlink()
        self._file = h5py.File(path, "w", libver=("v110", "v110") if options.swmr else None)
        try:
            self._places = layout.create(self._file, first, self._columns, self._storage)
        except BaseException:
            self._file.close()
            raise
        self._path = path
        self._last: NDArray | None = None
        if options.swmr:
            self._file.swmr_mode = True
        # The unique ids come last: a reader that sees one may trust what else the row has.
        ordered = sorted(self._columns, key=lambda column: column.name == UNIQUE_ID)
        self._buffers = tuple(
            _ColumnBuffer(column, self._places.columns[column.name])
            for column in ordered
            if column.name in self._places.columns
        )
        self._performance: list[tuple[float, float, float, float, float]] = []
        self.n_frames = 0
        self._opened_s = self._last_s = time.monotonic()
        self._megabits = first.pixels.nbytes * 8 / 2**20

    def append(self, array: NDArray) -> None:
        """Write one frame and its attributes; raises FrameMismatchError and leaves the file as it was."""
        if array.pixels.shape != self._shape or array.pixels.dtype != self._dtype:
            raise FrameMismatchError(
                f"frame {array.unique_id} is {array.pixels.shape} {array.pixels.dtype}, "
                f"the file was opened for {self._shape} {self._dtype}"
            )
        started_s = time.monotonic()
        self._write_pixels(array)
        self.n_frames += 1
        self._last = array
        if self._buffers:
            values = frame_values(array)
            for buffer in self._buffers:
                buffer.append(values)
            if self.n_frames % self._storage.column_chunk == 0:
                self._write_columns()
        if self._options.swmr and self.n_frames % max(1, self._options.flush_every) == 0:
            self._places.data.flush()
        self._note_performance(started_s)

    def flush(self) -> None:
        """Make all frames so far visible to SWMR readers."""
        self._places.data.flush()
        self._write_columns()

    def close(self) -> None:
        """Write what is still to be written, and close."""
        self._write_columns()
        timing = self._places.performance
        if timing is not None and self._performance:
            timing.resize((len(self._performance), 5))
            timing[:] = np.array(self._performance)
        self._write_at_close()
        if self._options.swmr and self._places.stays_open_with_swmr:
            self._file.flush()
            self.abandon()
        else:
            self._file.close()

    def abort(self) -> None:
        """Close after a frame that could not be written, as the real plugin does.

        The detector dataset has one frame more, of nothing; columns whose chunk was not full, and the timing, are lost.
        """
        if not (self._options.is_single or self._options.position_name):
            self._places.data.id.set_extent((self.n_frames + 1, *self._shape))
        self._file.close()

    def abandon(self) -> None:
        """Leave it as it is on the disk: its flags say that it is being written, and what was not flushed is lost.

        So does an IOC that dies, and the real plugin when it closes some files, see `close`.
        """
        unclosed = self._path.with_name(f".{self._path.name}.{secrets.token_hex(4)}.unclosed")
        try:
            with self._path.open("rb") as written, unclosed.open("xb") as copy:
                shutil.copyfileobj(written, copy)
            self._file.close()
            unclosed.replace(self._path)
        finally:
            unclosed.unlink(missing_ok=True)

    def _write_at_close(self) -> None:
        values = frame_values(self._last) if self._last is not None else {}
        for column, dataset in self._places.at_close:
            dataset[0] = column.stored(values.get(column.name))
        if self._options.swmr:  # no attribute can be written any more
            return
        for item, attribute in self._places.attributes_at_close:
            write_attribute(item, attribute, values)

    def _write_pixels(self, array: NDArray) -> None:
        data = self._places.data
        if self._options.is_single:
            data[...] = array.pixels
            return
        index = self._index_of(array)
        data.id.set_extent((max(index + 1, data.shape[0]), *self._shape))
        if self._storage.data_chunks == (1, *self._shape) and not self._storage.filters:
            # The frame is the chunk: past HDF5's type conversion and chunk cache, as the real plugin does it.
            data.id.write_direct_chunk((index, 0, 0), array.pixels)
        else:
            data[index] = array.pixels

    def _index_of(self, array: NDArray) -> int:
        if not (name := self._options.position_name):
            return self.n_frames
        index = next((attribute.value for attribute in array.attributes if attribute.name == name), None)
        limit = self._options.num_capture or sys.maxsize
        if not isinstance(index, int) or not 0 <= index < limit:
            raise NoPlaceError(f"frame {array.unique_id} has no place in the file: {name} is {index}")
        return index

    def _write_columns(self) -> None:
        for buffer in self._buffers:
            buffer.write(self.n_frames, self._storage.column_chunk)
            if self._options.swmr:
                buffer.dataset.flush()

    def _note_performance(self, started_s: float) -> None:
        if not self._storage.stores_performance:
            return
        now_s = time.monotonic()
        period_s, runtime_s = now_s - self._last_s, now_s - self._opened_s
        self._last_s = now_s
        self._performance.append(
            (
                now_s - started_s,
                period_s,
                runtime_s,
                self._megabits / max(period_s, 1e-9),
                self.n_frames * self._megabits / max(runtime_s, 1e-9),
            )
        )


class _ColumnBuffer:
    """The values of one column that are not in the file yet."""

    def __init__(self, column: Column, dataset: h5py.Dataset) -> None:
        self.dataset = dataset
        self._column = column
        self._values: list[Any] = []

    def append(self, values: Mapping[str, Any]) -> None:
        self._values.append(self._column.stored(values.get(self._column.name)))

    def write(self, n_frames: int, chunk: int) -> None:
        """Write what is kept; the column is then `n_frames` long."""
        if not self._values:
            return
        first = n_frames - len(self._values)
        values = np.array(self._values, dtype=self._column.dtype)
        self._values.clear()
        self.dataset.id.set_extent((n_frames,))
        if first % chunk == 0 and len(values) == chunk:
            self.dataset.id.write_direct_chunk((first,), values)
        else:
            self.dataset[first:] = values
