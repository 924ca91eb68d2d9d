"""Rows of a standard file that may be read: one decision for all who read one.

The live keys announce a row once it is whole (`docs/reference/file-format.md`); nothing beyond them is read, whether
the file grows, was left behind by a writer that died, or was copied meanwhile. Where there is no key left, rows are
counted; files of earlier versions have no such count, and may have more rows than keys once their run has ended. A row
that is announced and is not there is an error: HDF5 would give zeros for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from stream_service.errors import SourceError
from stream_service.hdf5.bounded_file import BoundedFile
from stream_service.hdf5.cut_short import is_shorter, pieces_of
from stream_service.hdf5.failures import readable
from stream_service.standard_file.read.stored_end import StoredEnd
from stream_service.standard_file.schema import paths
from stream_service.text.counted import counted

POSITIONS = (paths.POS, paths.POS_X, paths.POS_Y, paths.KEEP)


@dataclass(frozen=True, slots=True)
class StandardRows:
    """Number of rows that may be read, and why not more."""

    path: Path
    n_rows: int
    """To be read."""
    n_beyond: int
    """In the file behind them, and not announced."""
    is_closed: bool
    end: StoredEnd

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks for readers, in words; nothing if the file is as it should be."""
        left = f"; {self.n_beyond} more, which it does not announce, are left out" if self.n_beyond else ""
        rows = f"the {self.n_rows} rows that its live keys announce are read{left}"
        repair = f"`ptychostream repair {self.path}` puts it in order"
        if not self.is_closed:
            return (f"{self.path} was not closed: {rows}. If its writer still lives, wait; if it died, {repair}",)
        if self.n_beyond or not self.end.has_ended:
            return (f"{self.path} is a copy of a file that grew, or its writer died: {rows}; {repair}",)
        if self.end.is_unmeant:
            return (f"the run in {self.path} is {self.end}; it has {counted(self.n_rows, 'row')}",)
        return ()


def n_announced(keys: npt.NDArray[Any]) -> int:
    """Rows that live keys announce: row + 1, from the first on, up to the first hole."""
    wrong = np.flatnonzero(keys != np.arange(1, len(keys) + 1))
    return int(wrong[0]) if wrong.size else len(keys)


def rows_announced(file: h5py.Group, keys: Sequence[npt.NDArray[Any]]) -> int:
    """Rows that a file announces by its live keys, and by their count where a run has more rows than keys."""
    announced = min(map(n_announced, keys))
    count = file.get(paths.N_ROWS)
    if announced < len(keys[0]) or not isinstance(count, h5py.Dataset):
        return announced
    return max(announced, int(count[()]))


def is_empty(data: h5py.Dataset, intensity: object, row: int) -> bool:
    """True if the pixels of a row are all 0, though light was measured in it: so `h5clear --increment` mends a cut."""
    if not isinstance(intensity, h5py.Dataset) or row >= intensity.shape[0] or not intensity[row] > 0:
        return False
    return not np.any(data[row])


def standard_rows(file: BoundedFile) -> StandardRows:
    """The rows of a standard file that is open. Raises `SourceError` if rows that it announces are not there."""
    path = file.path
    with readable(str(path)):
        # the keys first: what they announce is there before them
        keys = [np.asarray(found) for name in paths.LIVE_KEYS if isinstance(found := file.get(name), h5py.Dataset)]
        data = file.get(paths.DATA)
        if not isinstance(data, h5py.Dataset) or data.ndim != 3:
            raise SourceError(f"{path} has no frames (row, y, x) at {paths.DATA}: `ptychostream validate` says more")
        if len(keys) != len(paths.LIVE_KEYS):
            raise SourceError(f"{path} has no live keys in /entry/live: `ptychostream validate` says more")
        end = StoredEnd.of(file)
        is_closed, n_stored = not file.swmr_mode, int(data.shape[0])
        n_rows = rows_announced(file, keys)
        if is_closed and end.has_ended and n_rows == len(keys[0]):
            n_rows = max(n_rows, n_stored)
        _check_there(file, data, n_rows)
    return StandardRows(path, n_rows, max(0, n_stored - n_rows), is_closed, end)


def _check_there(file: BoundedFile, data: h5py.Dataset, n_rows: int) -> None:
    first_of_all = data.chunks is not None and data.chunks[0] == 1
    stored = np.unique([row for row, _ in pieces_of(data.id)]) if first_of_all else np.arange(data.shape[0])
    found = stored[stored < n_rows]  # of a number that is damaged, and may be any, not more than are there
    if len(found) < n_rows:
        first = n_announced(found + 1)
        what = f"{n_rows - len(found)} of the {n_rows} rows that it announces are not in it (the first is row {first})"
        raise is_shorter(file.path, what, is_standard=True)
    try:
        is_cut = n_rows > 0 and is_empty(data, file.get(paths.INTENSITY), n_rows - 1)
    except SourceError:  # damaged, and not cut off: who reads its pixels says so
        is_cut = False
    if is_cut:
        what = f"of row {n_rows - 1}, the last, no pixel is in it"
        raise is_shorter(file.path, what, is_standard=True)
    for name in POSITIONS:
        column = file.get(name)
        if isinstance(column, h5py.Dataset) and column.shape[0] < n_rows:
            what = f"{name} has {column.shape[0]} of the {n_rows} rows that it announces"
            raise is_shorter(file.path, what, is_standard=True)
