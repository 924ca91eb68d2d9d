"""The standard file of a run: rows go in at the end, and readers follow it under SWMR from the first row on.

What a live reader may rely on. A row's live keys are written after everything else of the row has been flushed, so a
non-zero key means: the frame, the position and every column of this row are readable. Rows are never rewritten;
masks, ledger, state and the scalars may be, in place, until the run ends. After a crash the file opens with
`swmr=True` and is complete up to the last flush.

A failed write ends the file: what can be is put in order (rows without keys cut off, state FAILED), the file is closed
once and not touched again, because HDF5 crashes the process that does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
import numpy.typing as npt
from h5py import h5s

from stream_service.errors import WriteError
from stream_service.writer import cxi_tree, entry_tree
from stream_service.writer.codes import END_STATES, LEDGER_COUNTS, RUN_STATES
from stream_service.writer.columns import GrowingColumn
from stream_service.writer.creation import create_file
from stream_service.writer.failures import HDF5_FAILURES, write_error
from stream_service.writer.header import FileHeader
from stream_service.writer.ledger_columns import LEDGER, LedgerColumns
from stream_service.writer.readback_buffer import ReadbackBuffer
from stream_service.writer.row import Row
from stream_service.writer.row_buffer import RowBuffer
from stream_service.writer.row_columns import DATA, row_column_specs
from stream_service.writer.spec import fixed_string
from stream_service.writer.tree import standard_tree


class StandardFile:
    """One open file. Make it with `create`; use it as a context manager, or `close` it. Not thread-safe."""

    def __init__(self, path: Path, header: FileHeader, file: h5py.File, datasets: dict[str, h5py.Dataset]) -> None:
        self.path = path
        self._file = file
        self._datasets = datasets
        self._buffer = RowBuffer(header.frame_shape, header.frames_per_row)
        self._readbacks = ReadbackBuffer(channel.name for channel in header.channels)
        specs = row_column_specs(header.frame_shape, header.frames_per_row)
        self._columns = {spec.path: GrowingColumn(datasets[spec.path]) for spec in specs}
        self._data = self._columns.pop(DATA)
        self._readback_columns = {
            path: GrowingColumn(datasets[f"{entry_tree.READBACKS}/{path}"]) for path in self._readbacks.paths
        }
        self._ledger = {
            name: GrowingColumn(datasets[f"{LEDGER}/{name}"]) for name in ("epoch", "unique_id", "status", "n_received")
        }
        self._keys = [datasets[path] for path in entry_tree.LIVE_KEYS]
        self._n_rows = 0
        self._n_flushes = 0
        self._failure: WriteError | None = None
        self._is_open = True

    @classmethod
    def create(cls, path: str | os.PathLike[str], header: FileHeader, *, swmr: bool = True) -> Self:
        """Make a new file at `path`, whole but for its rows, and open it for appending.

        With `swmr` readers may open it from the moment the name exists. Raises `WriteError` if the name is taken or
        the file cannot be made; nothing is left behind then.
        """
        path = Path(path)
        file, datasets = create_file(path, standard_tree(header), swmr=swmr)
        return cls(path, header, file, datasets)

    @property
    def n_rows(self) -> int:
        """Rows that readers can see."""
        return self._n_rows

    @property
    def n_buffered(self) -> int:
        """Rows appended and not yet flushed."""
        return self._buffer.n_rows

    @property
    def is_full(self) -> bool:
        """True if no more rows fit before a flush; the next `slot` flushes by itself."""
        return self._buffer.is_full

    def slot(self) -> npt.NDArray[np.float32]:
        """(ny, nx), C-contiguous: write the pixels of the next row here, then `append` it.

        The array belongs to the file. It holds what an earlier row left in it; writing to it after `append` corrupts
        that row. Flushes first if the buffer is full. Raises `WriteError`.
        """
        if self._buffer.is_full:
            self.flush()
        return self._buffer.slot()

    def append(self, row: Row) -> None:
        """Take the pixels in the slot as those of `row`. Readers see it after the next flush."""
        self._check_open()
        self._buffer.put(row)

    def add_readback(self, name: str, value: float, timestamp_ns: int) -> None:
        """Enter an update of a channel that the header names; `KeyError` for any other."""
        self._readbacks.add(name, value, timestamp_ns)

    def flush(self) -> int:
        """Make everything appended or revised so far visible to readers; rows visible then. Raises `WriteError`."""
        with self._writing("write rows"):
            n_rows = self._n_rows + self._buffer.n_rows
            if self._buffer.n_rows:
                self._data.write_chunks(self._n_rows, self._buffer.frames())
                for path, block in self._buffer.columns().items():
                    self._columns[path].write(self._n_rows, block)
            for path, block in self._readbacks.columns().items():
                column = self._readback_columns[path]
                column.write(column.n_rows, block)
            self._n_flushes += 1
            self._rewrite(entry_tree.HEARTBEAT, np.int64(self._n_flushes))
            self._file.flush()
            if self._buffer.n_rows:
                self._write_keys(self._n_rows, n_rows)
            self._n_rows = n_rows
        self._buffer.clear()
        self._readbacks.clear()
        return self._n_rows

    def write_mask(self, mask: npt.NDArray[np.uint8], pixel_mask: npt.NDArray[np.uint32]) -> None:
        """Replace the masks, both (ny, nx); readers see it after the next flush."""
        if not mask.shape == pixel_mask.shape == self._datasets[cxi_tree.MASK].shape:
            raise ValueError(f"masks have shape {mask.shape} and {pixel_mask.shape}, the frame another")
        with self._writing("write the mask"):
            self._rewrite(cxi_tree.MASK, mask)
            self._rewrite(cxi_tree.PIXEL_MASK, pixel_mask)

    def write_ledger(self, ledger: LedgerColumns) -> None:
        """Replace the account of the run; readers see it after the next flush."""
        columns = {
            name: np.ascontiguousarray(getattr(ledger, name), self._datasets[f"{LEDGER}/{name}"].dtype)
            for name in self._ledger
        }
        with self._writing("write the ledger"):
            for name, column in columns.items():
                self._ledger[name].replace(column)
            self._rewrite_counts(ledger.counts)

    def write_counts(self, counts: Mapping[str, int]) -> None:
        """Replace the counts of the ledger while the run goes on (every name of `codes.LEDGER_COUNTS`).

        Readers see them after the next flush, so counts of rows that are flushed are never ahead of the live keys.
        """
        with self._writing("write the ledger"):
            self._rewrite_counts(counts)

    def set_state(self, state: str, end_reason: str = "", end_timestamp_ns: int = 0, message: str = "") -> None:
        """Say where the run is (`codes.RUN_STATES`), and at its end why, when and how; visible after the next flush.

        An end state comes last: it flushes everything else first, so a reader that sees it finds the rows, the ledger
        and the reason that belong to it.
        """
        if state not in RUN_STATES:
            raise ValueError(f"state {state!r} is none of {', '.join(RUN_STATES)}")
        if state in END_STATES:
            with self._writing("write the end of the run"):
                self._rewrite_text(entry_tree.END_REASON, end_reason)
                self._rewrite_text(entry_tree.MESSAGE, message)
                self._rewrite(entry_tree.END_TIMESTAMP, np.int64(end_timestamp_ns))
                if end_timestamp_ns:
                    self._rewrite_text(cxi_tree.END_TIME, cxi_tree.iso_time(end_timestamp_ns))
            self.flush()
        with self._writing("write the state of the run"):
            self._rewrite_text(entry_tree.STATE, state)

    def set_scalars(self, *, energy_eV: float | None = None, exposure_s: float | None = None) -> None:
        """Correct the scalar energy (everywhere it stands) or exposure time; visible after the next flush."""
        with self._writing("write the energy or exposure time"):
            if energy_eV is not None:
                self._rewrite(entry_tree.ENERGY, np.float64(energy_eV))
                self._rewrite(cxi_tree.BEAM_ENERGY, np.float64(energy_eV))
                self._rewrite(cxi_tree.SOURCE_ENERGY, np.float64(energy_eV * cxi_tree.JOULES_PER_EV))
            if exposure_s is not None:
                self._rewrite(entry_tree.EXPOSURE, np.float64(exposure_s))

    def close(self) -> None:
        """Flush and close; afterwards the file opens like any other. Does nothing the second time.

        Raises `WriteError`; after an earlier failure there is nothing left to close, and it does not raise again.
        """
        if not self._is_open:
            return
        self.flush()
        self._is_open = False
        try:
            self._file.close()
        except HDF5_FAILURES as error:
            self._failure = write_error(self.path, "close the file", error)
            raise self._failure from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _write_keys(self, start: int, stop: int) -> None:
        """Tell readers of rows `start` to `stop` - 1. Rows beyond the keys reserved are in the file without a key."""
        stop = min(stop, len(self._keys[0]))
        if stop <= start:
            return
        keys = np.arange(start + 1, stop + 1, dtype=np.uint32)
        for dataset in self._keys:
            file_space = dataset.id.get_space()
            file_space.select_hyperslab((start,), keys.shape)
            dataset.id.write(h5s.create_simple(keys.shape), file_space, keys)
            dataset.id.flush()

    def _rewrite(self, path: str, value: np.generic | np.ndarray[Any, Any]) -> None:
        dataset = self._datasets[path]
        array = np.ascontiguousarray(value, dataset.dtype).reshape(dataset.shape)
        dataset.id.write(h5s.ALL, h5s.ALL, array)

    def _rewrite_counts(self, counts: Mapping[str, int]) -> None:
        for name in LEDGER_COUNTS:
            self._rewrite(f"{LEDGER}/{name}", np.int64(counts[name]))

    def _rewrite_text(self, path: str, text: str) -> None:
        self._rewrite(path, fixed_string(text, self._datasets[path].dtype.itemsize))

    def _check_open(self) -> None:
        if self._failure is not None:
            raise WriteError(f"{self.path}: nothing more can be written after an earlier failure: {self._failure}")
        if not self._is_open:
            raise WriteError(f"{self.path}: nothing can be written, the file is closed.")

    @contextmanager
    def _writing(self, action: str) -> Iterator[None]:
        self._check_open()
        try:
            yield
        except HDF5_FAILURES as error:
            failure = write_error(self.path, action, error)
            self._abandon(failure)
            raise failure from error

    def _abandon(self, failure: WriteError) -> None:
        """Leave the file as good as can be, and never touch it again."""
        self._failure = failure
        self._is_open = False
        with suppress(*HDF5_FAILURES):
            for column in (self._data, *self._columns.values()):
                column.truncate(self._n_rows)
            self._rewrite_text(entry_tree.STATE, "FAILED")
            self._rewrite_text(entry_tree.END_REASON, str(failure))
        with suppress(*HDF5_FAILURES):
            self._file.close()
