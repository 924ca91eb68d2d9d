"""Values of a dataset written over those it has, where they lie in the file: nothing else of the file changes.

HDF5 marks a file as open when it opens one for writing, and leaves the mark, or half of an index, if it is killed
meanwhile. Plain writes at known places leave a file that is readable at every moment.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from h5py import h5d, h5f, h5i, h5t  # pyright: ignore[reportAttributeAccessIssue]

from stream_service.hdf5.failures import HDF5_ERRORS
from stream_service.hdf5.in_place import NOWHERE, pieces_of_rows

PLAIN = "iufb"
"""Kinds of dtype whose bytes in memory are those in the file."""


class Overwriting:
    """The first rows of one dataset (N,), to be written over."""

    def __init__(self, places: list[tuple[int, int]], dtype: np.dtype[Any]) -> None:
        """`places` are where runs of rows begin in the file, and how many rows each has."""
        self._places = places
        self._dtype = dtype

    @classmethod
    def of(cls, id: h5d.DatasetID, n_rows: int) -> Overwriting | None:
        """That of the first rows of a dataset of an open file; None if they do not all lie plainly in it."""
        try:
            if h5i.get_file_id(id).get_create_plist().get_userblock() or len(id.shape) != 1 or id.shape[0] < n_rows:
                return None
            if id.dtype.kind not in PLAIN or not id.get_type().equal(h5t.py_create(id.dtype, logical=True)):
                return None
            found = pieces_of_rows(id, id.dtype.itemsize)
        except HDF5_ERRORS:
            return None
        if found is None:
            return None
        places, rows_at_once = found
        n_pieces = -(-n_rows // rows_at_once)
        if len(places) < n_pieces or (places[:n_pieces] == NOWHERE).any():
            return None
        runs = [(int(place), min(rows_at_once, n_rows - k * rows_at_once)) for k, place in enumerate(places[:n_pieces])]
        return cls(runs, id.dtype)

    def write(self, fd: int, values: npt.NDArray[Any]) -> None:
        """Write the values of all these rows. Raises `OSError`."""
        left = np.ascontiguousarray(values, self._dtype)
        for place, n in self._places:
            piece, left = left[:n].data.cast("B"), left[n:]
            while piece:
                n_written = os.pwrite(fd, piece, place)
                place, piece = place + n_written, piece[n_written:]


def open_beside(path: Path, file: h5f.FileID) -> int:
    """A descriptor for plain writes into a file that HDF5 has open. Raises `OSError`, also if the name is another's."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    if not os.path.sameopenfile(fd, file.get_vfd_handle()):
        os.close(fd)
        raise FileNotFoundError(2, "another file has its name by now", str(path))
    return fd
