"""The standard file of a run: rows go in at the end, and readers follow it under SWMR from the first row on.

What a live reader may rely on. A row's live keys are written after everything else of the row has been flushed, so a
non-zero key means: the frame, the position and every column of this row are readable. Frame, position and
identity of a row are never rewritten; its flags, `keep`, verdict, planned position and what it replaces may be, in
place, until the run ends, as may masks, ledger, state and the scalars. After a crash the file opens with
`swmr=True` and is complete up to the last flush.

What is wrong with the disk or the path ends the rows, not the file: see `WriteGuard`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np
import numpy.typing as npt

from stream_service.core.row import RowBlock
from stream_service.core.run import RunOutcome
from stream_service.errors import WriteError
from stream_service.standard_file.schema import cxi_tree, paths
from stream_service.standard_file.schema.codes import END_STATES, LEDGER_COUNTS, RUN_STATES
from stream_service.standard_file.schema.columns import GrowingColumn
from stream_service.standard_file.schema.header import FileHeader
from stream_service.standard_file.schema.ledger_columns import LEDGER_COLUMNS, LedgerColumns
from stream_service.standard_file.schema.tree import standard_tree
from stream_service.standard_file.schema.verdict_columns import VERDICTS_DTYPE
from stream_service.standard_file.write.creation import create_file
from stream_service.standard_file.write.fixed_datasets import FixedDatasets
from stream_service.standard_file.write.growing_rows import GrowingRows, PlannedOf
from stream_service.standard_file.write.guarded_file import GuardedFile
from stream_service.standard_file.write.place_watch import PlaceWatch
from stream_service.standard_file.write.readback_buffer import ReadbackBuffer
from stream_service.standard_file.write.write_errors import HDF5_FAILURES, write_error
from stream_service.standard_file.write.write_guard import WriteGuard
from stream_service.text.units import JOULES_PER_EV


class StandardFile:
    """One open file. Make it with `create`; use it as a context manager, or `close` it. Not thread-safe."""

    def __init__(self, path: Path, header: FileHeader, file: GuardedFile, datasets: dict[str, h5py.Dataset]) -> None:
        self._file = file
        self._place = PlaceWatch(path, file.fd)
        self._fixed = FixedDatasets(datasets, file.fd)
        self._rows = GrowingRows(datasets, self._fixed)
        self._readbacks = ReadbackBuffer((channel.name for channel in header.channels), datasets)
        self._ledger = {name: GrowingColumn(datasets[f"{paths.LEDGER}/{name}"]) for name in LEDGER_COLUMNS}
        self._verdicts = {name: GrowingColumn(datasets[f"{paths.QC}/{name}"]) for name in VERDICTS_DTYPE.names or ()}
        self._n_flushes = 0
        flush_bytes = sum(int(np.prod(c.chunks)) * c.dtype.itemsize for c in datasets.values() if c.chunks)
        self._guard = WriteGuard(self._place, file, self._fixed, self._rows.withdraw, flush_bytes)
        self._message = ""
        """The last one of the run's end."""

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
    def name(self) -> str:
        """For messages."""
        return str(self.path)

    @property
    def path(self) -> Path:
        """Of the file, as readers know it."""
        return self._place.path

    def has_moved(self, path: Path) -> None:
        """Say that the file was given another name. Raises `WriteError` if it has not got it."""
        try:
            self._file.is_called(path)
        except OSError as error:
            raise write_error(path, "give the file its name", error) from error
        self._place.path = path

    @property
    def n_written(self) -> int:
        """Rows that are in the file, whether readers can see them or not."""
        return self._rows.n_written

    @property
    def can_revise(self) -> bool:
        """True if rows can be flagged and left out, also where none can follow."""
        return self._guard.can_revise

    @property
    def failure(self) -> WriteError | None:
        """Why no more rows can be written; None while they can."""
        return self._guard.failure

    @property
    def frame_shape(self) -> tuple[int, int]:
        """(ny, nx) of a stored frame."""
        ny, nx = self._fixed.shape(paths.CXI_MASK)
        return ny, nx

    @property
    def n_rows(self) -> int:
        """Rows that readers can see."""
        return self._rows.n_announced

    def append(self, block: RowBlock) -> None:
        """Write the rows of a block; readers see them after the next flush. Raises `WriteError`.

        Raises `ValueError` for rows of another number of frames.
        """
        self._guard.check_can_grow()
        self._rows.check(block)
        self._guard.make_sure_of_room(block.pixels.nbytes)
        with self._guard.writing("write rows"):
            self._rows.write(block)

    def add_readback(self, name: str, value: float, timestamp_ns: int) -> None:
        """Enter an update of a channel that the header names; `KeyError` for any other."""
        self._readbacks.add(name, value, timestamp_ns)

    def flush(self) -> int:
        """Make everything appended or revised so far visible to readers; rows visible then. Raises `WriteError`."""
        self._guard.check_can_grow()
        self._guard.make_sure_of_room()
        with self._guard.writing("write rows"):
            self._readbacks.write()
            self._beat()
            self._rows.announce()
        self._readbacks.clear()
        return self.n_rows

    def write_mask(self, mask: npt.NDArray[np.uint8], pixel_mask: npt.NDArray[np.uint32]) -> None:
        """Replace the masks, both (ny, nx)."""
        if not mask.shape == pixel_mask.shape == self._fixed.shape(paths.CXI_MASK):
            raise ValueError(f"masks have shape {mask.shape} and {pixel_mask.shape}, the frame another")
        self._guard.check_can_grow()
        with self._guard.writing("write the mask"):
            self._fixed.replace(paths.CXI_MASK, mask)
            self._fixed.replace(paths.PIXEL_MASK, pixel_mask)

    def write_applied(self, dark: npt.NDArray[np.float32] | None, flat: npt.NDArray[np.float32] | None) -> None:
        """Replace dark and flat, as far as the header had them."""
        self._guard.check_can_grow()
        with self._guard.writing("write dark and flat"):
            for path, image in ((paths.DARK, dark), (paths.FLAT, flat)):
                if image is not None:
                    self._fixed.replace(path, image)

    def write_verdicts(self, first: int, verdicts: np.ndarray[Any, Any]) -> bool:
        """Write or replace the verdicts (n,) of `VERDICTS_DTYPE` on the rows from `first` on; no row is left out.

        Readers see them after the next flush. False where there is no room for them: the rows do not need them, and go
        on as far as they can. Raises `WriteError`.
        """
        self._guard.check_can_grow()
        n_more = max(0, first + len(verdicts) - self._verdicts["score"].n_rows)
        if self._guard.lacks_room_for(n_more * verdicts.itemsize) is not None:
            return False
        with self._guard.writing("write verdicts"):
            for name, column in self._verdicts.items():
                column.revise(first, np.ascontiguousarray(verdicts[name]))
        return True

    def read_rows(self, rows: Sequence[int]) -> tuple[np.ndarray[Any, Any], npt.NDArray[np.float32]]:
        """Rows (n,) of `row_dtype` that were appended, by their places, and pixels (n, ny, nx). Raises `WriteError`."""
        self._guard.check_can_grow()
        with self._guard.writing("read rows"):
            return self._rows.read(rows)
        raise AssertionError("a file that is not abandoned gives them, or raises")

    def leave_out(self, rows: Iterable[int]) -> None:
        """Say of rows that others have taken their place (`/entry/keep` = 0); readers see it after the next flush."""
        self._guard.check_can_revise()
        with self._guard.writing("leave out rows"):
            self._rows.leave_out(rows)

    def plan_anew(self, planned_of: PlannedOf) -> None:
        """Write over `/entry/frames/planned` of all rows; readers see it after the next flush."""
        self._guard.check_can_revise()
        with self._guard.writing("correct the planned positions"):
            self._rows.plan_anew(planned_of)

    def settle(self, planned: np.ndarray[Any, Any], replaces: np.ndarray[Any, Any], used: Iterable[int]) -> None:
        """Write over `/entry/frames/planned` and `replaces` of all rows (n,), and say of some that they are used.

        Readers see it after the next flush.
        """
        self._guard.check_can_revise()
        with self._guard.writing("correct which rows repeat which"):
            self._rows.settle(planned, replaces, used)

    def read_identities(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Epoch and uniqueId of the frames of all rows, (n, k) each. Raises `WriteError`."""
        self._guard.check_can_revise()
        with self._guard.writing("read rows"):
            return self._rows.identities()
        raise AssertionError("a file that is not abandoned gives them, or raises")

    def read_readbacks(self) -> Mapping[str, np.ndarray[Any, Any]]:
        """`x_m`, `y_m` and `energy_eV` of all rows, (n,) each. Raises `WriteError`."""
        self._guard.check_can_revise()
        with self._guard.writing("read rows"):
            return self._rows.readbacks()
        raise AssertionError("a file that is not abandoned gives them, or raises")

    def doubt(self, rows: Iterable[int], flag: int, *, are_used: bool = False) -> None:
        """Flag rows, and say that they are not to be used unless they are; readers see it after the next flush."""
        self._guard.check_can_revise()
        with self._guard.writing("flag rows"):
            self._rows.doubt(rows, flag, are_used=are_used)

    def write_ledger(self, ledger: LedgerColumns) -> None:
        """Replace the account of the run; readers see all of it after the next flush.

        Where there is no room for a line per frame, its counts alone are written.
        """
        columns = {name: np.ascontiguousarray(getattr(ledger, name), dtype) for name, dtype in LEDGER_COLUMNS.items()}
        with self._guard.writing("write the ledger"):
            if self._guard.takes_extra("write the ledger", sum(column.nbytes for column in columns.values())):
                for name, column in columns.items():
                    self._ledger[name].replace(column)
        self.write_counts(ledger.counts)

    def write_counts(self, counts: Mapping[str, int]) -> None:
        """Replace the counts of the ledger while the run goes on (every name of `codes.LEDGER_COUNTS`).

        Readers see them at once; counts of rows that are flushed are never ahead of the live keys.
        """
        with self._guard.writing("write the ledger"):
            for name in LEDGER_COUNTS:
                self._fixed.replace(f"{paths.LEDGER}/{name}", counts[name])

    def set_state(self, state: str, end_reason: str = "", end_timestamp_ns: int = 0, message: str = "") -> None:
        """Say where the run is (`codes.RUN_STATES`), and at its end why, when and how.

        An end state comes last: it flushes everything else first, so a reader that sees it finds the rows, the ledger
        and the reason that belong to it.
        """
        if state not in RUN_STATES:
            raise ValueError(f"state {state!r} is none of {', '.join(RUN_STATES)}")
        if state in END_STATES:
            self._message = message
            with self._guard.writing("write the end of the run"):
                self._fixed.replace_text(paths.END_REASON, end_reason)
                self._fixed.replace_text(paths.MESSAGE, message)
                self._fixed.replace(paths.END_TIMESTAMP, end_timestamp_ns)
                if end_timestamp_ns:
                    self._fixed.replace_text(paths.END_TIME, cxi_tree.iso_time(end_timestamp_ns))
            if self.failure is None:
                self.flush()
            else:
                with self._guard.writing("write the end of the run"):
                    self._beat()
        with self._guard.writing("write the state of the run"):
            self._fixed.replace_text(paths.STATE, state)

    def set_clock_offsets(self, offsets_s: Mapping[str, float]) -> None:
        """Enter by how much the clocks of channels were ahead of that of the frames; `KeyError` for an unknown one."""
        with self._guard.writing("write the offsets of clocks"):
            for name, offset_s in offsets_s.items():
                self._fixed.replace(paths.clock_offset(name), offset_s)

    def set_scalars(self, *, energy_eV: float | None = None, exposure_s: float | None = None) -> None:
        """Correct the scalar energy (everywhere it stands) or exposure time."""
        with self._guard.writing("write the energy or exposure time"):
            if energy_eV is not None:
                self._fixed.replace(paths.ENERGY, energy_eV)
                self._fixed.replace(paths.BEAM_ENERGY, energy_eV)
                self._fixed.replace(paths.SOURCE_ENERGY, energy_eV * JOULES_PER_EV)
            if exposure_s is not None:
                self._fixed.replace(paths.EXPOSURE, exposure_s)

    def finish(self, outcome: RunOutcome) -> None:
        """Say how the run has ended, and close. Raises `WriteError`."""
        self.set_state(outcome.state.value, outcome.reason, time.time_ns(), outcome.message)
        self.close()

    def close(self) -> None:
        """Flush and close; afterwards the file opens like any other. Does nothing the second time.

        After a failure it closes what there is and does not raise it again; a file that was deleted is copied back to
        the name that the failure told. Raises `WriteError`.
        """
        if not self._guard.is_open:
            return
        try:
            if self.failure is None:
                self.flush()
        finally:
            self._close()

    def _close(self) -> None:
        self._guard.is_open = False
        if self._guard.is_abandoned:
            os.close(self._file.fd)
            return
        rescue = self._place.rescue()
        try:
            self._file.close()
            if rescue is not None:
                rescue.copy(self._say_more)
        except WriteError as error:
            self._guard.failure = error
            raise
        except HDF5_FAILURES as error:
            is_first, failure = self.failure is None, write_error(self.path, "close the file", error)
            self._guard.failure = failure
            if is_first or rescue is not None:
                raise failure from error

    def _say_more(self, fd: int, sentence: str) -> None:
        """Add to the message of the run's end, in a file that HDF5 has closed."""
        message = "; ".join(filter(None, (self._message, sentence)))
        self._fixed.of(fd).replace_text(paths.MESSAGE, message)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _beat(self) -> None:
        """Count on, and flush all but the keys."""
        self._n_flushes += 1
        self._fixed.replace(paths.HEARTBEAT, self._n_flushes)
        if not self._guard.is_abandoned:
            self._file.file.flush()
