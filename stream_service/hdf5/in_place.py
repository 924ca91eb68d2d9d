"""Rows of a dataset that lie in their file just as they are in memory, read by the system and not by HDF5.

HDF5 lets one thread at a time into the library: a thread that reads through it and one that writes take turns. Plain
reads at known places need neither the library nor Python's lock. Where anything is out of the ordinary (a place that is
not known or not in the file, a type that HDF5 would convert), the answer is None: then HDF5 reads, and has the say.
"""

from __future__ import annotations

import errno
import math
import os
import weakref
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from h5py import h5d, h5f, h5fd, h5i, h5t  # pyright: ignore[reportAttributeAccessIssue]

from stream_service.hdf5.failures import HDF5_ERRORS

NUMBERS = "iuf"
"""Kinds of dtype that HDF5 gives as they are."""
NOWHERE = -1
"""The place of a chunk that was never stored, or that HDF5 filters."""
LAST_PLACE = 1 << 62
"""Places beyond are no numbers that the system takes."""


class RowsInPlace:
    """Rows of one dataset, by where they lie in its file. The file stays open as long as this is there."""

    def __init__(self, fd: int, places: npt.NDArray[np.int64], rows_at_once: int, row_bytes: int) -> None:
        """`places` are those of the pieces, of `rows_at_once` rows each; `fd` is its own from now on."""
        self._fd = fd
        self._places = places
        self._rows_at_once = rows_at_once
        self._row_bytes = row_bytes
        if hasattr(os, "posix_fadvise"):  # not on macOS: a file that is not in memory comes up to twice as fast
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        weakref.finalize(self, os.close, fd)

    def read_into(self, start: int, out: npt.NDArray[Any]) -> bool:
        """Fill `out` with rows from `start` on; False if they cannot be had like this."""
        pieces, within = np.divmod(np.arange(start, start + len(out)), self._rows_at_once)
        if start < 0 or not len(out) or pieces[-1] >= len(self._places):
            return False
        places = self._places[pieces]
        if (places == NOWHERE).any():
            return False
        places += within * self._row_bytes
        breaks = np.flatnonzero(np.diff(places) != self._row_bytes) + 1
        try:
            return all(
                self._read_run(int(places[first]), out[first:end].data.cast("B"))
                for first, end in pairwise((0, *breaks.tolist(), len(out)))
            )
        except OSError:
            return False

    def _read_run(self, place: int, into: memoryview) -> bool:
        """Rows that lie one behind the other; False where the file ends before."""
        while into:
            n_read = os.preadv(self._fd, [into], place)
            if not n_read:
                return False
            place, into = place + n_read, into[n_read:]
        return True


def rows_in_place(id: h5d.DatasetID, *, is_growing: bool = False) -> RowsInPlace | None:
    """The rows of a dataset as they lie in its file; None if HDF5 has to read them.

    That is so of a file that may still be written: what its index says is for HDF5 to follow. With `is_growing` they
    are given for that, too, as far as it has come: for a look whether they are still what HDF5 has read.
    """
    try:
        file = h5i.get_file_id(id)
        if not is_growing and file.get_intent() != h5f.ACC_RDONLY:
            return None
        if file.get_access_plist().get_driver() != h5fd.SEC2:
            return None
        if file.get_create_plist().get_userblock() or not id.get_type().equal(h5t.py_create(id.dtype)):
            return None
        if id.dtype.kind not in NUMBERS or not id.dtype.isnative or not id.rank or 0 in id.shape[1:]:
            return None
        row_bytes = math.prod(id.shape[1:]) * id.dtype.itemsize
        found = pieces_of_rows(id, row_bytes)
        return None if found is None else RowsInPlace(_opened_again(file), *found, row_bytes)
    except HDF5_ERRORS:
        return None


def _opened_again(file: h5f.FileID) -> int:
    """A descriptor of its own for a file: a duplicate would keep the lock of HDF5 when that has closed the file.

    Raises `OSError`, also if another file has the name by now.
    """
    fd = os.open(file.name, os.O_RDONLY | os.O_CLOEXEC)
    if not os.path.sameopenfile(fd, file.get_vfd_handle()):
        os.close(fd)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), file.name)
    return fd


def pieces_of_rows(id: h5d.DatasetID, row_bytes: int) -> tuple[npt.NDArray[np.int64], int] | None:
    """Places of the pieces of a dataset, and the rows of each; None if rows are not whole there."""
    properties = id.get_create_plist()
    if properties.get_external_count():
        return None
    if properties.get_layout() == h5d.CONTIGUOUS:
        place = id.get_offset()
        return None if place is None or place > LAST_PLACE else (np.array([place]), max(1, id.shape[0]))
    if properties.get_layout() != h5d.CHUNKED or properties.get_nfilters():
        return None
    rows_at_once, *rest = properties.get_chunk()
    if tuple(rest) != id.shape[1:]:
        return None
    places = np.full(-(-id.shape[0] // rows_at_once), NOWHERE)
    n_bytes, n_left = rows_at_once * row_bytes, len(places)

    def note(chunk: Any) -> bool | None:
        nonlocal n_left
        index, n_left = chunk.chunk_offset[0] // rows_at_once, n_left - 1
        if n_left < 0:
            return True  # an index with more chunks than there can be is damaged, and may go on for ever
        if index < len(places) and chunk.size == n_bytes and chunk.byte_offset <= LAST_PLACE:
            places[index] = chunk.byte_offset
        return None

    id.chunk_iter(note)
    return None if n_left < 0 else (places, rows_at_once)
