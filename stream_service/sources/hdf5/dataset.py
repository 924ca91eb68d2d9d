"""One dataset of an HDF5 file, opened once; a claim of more than the file can hold is refused.

Under SWMR a dataset of several chunks must be opened once only: a second handle reads wrong values (h5py issue 2803).
So whoever needs a dataset gets the same `StoredDataset`. Whatever HDF5 says about a damaged file is a `SourceError`.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  (its import makes the compression filters of areaDetector known to HDF5)
import numpy as np
import numpy.typing as npt

from stream_service.core.frame import MOST_FRAME_BYTES
from stream_service.errors import SourceError
from stream_service.hdf5.chunk_places import places_of_images
from stream_service.hdf5.failures import readable
from stream_service.hdf5.in_place import RowsInPlace, rows_in_place
from stream_service.hdf5.storage import is_elsewhere
from stream_service.sources.recording import MOST_FRAMES
from stream_service.sources.tables.recorded_units import text_of

NUMBERS = "iuf"
"""Kinds of dtype that count as numbers."""
LONGEST_TEXT = 1 << 12
"""Bytes of an HDF5 attribute that are read."""
READABLE_CLASSES = (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.STRING, h5py.h5t.ENUM)
"""Of HDF5 attributes: what others are made of, HDF5 2.0 may crash on when the file is damaged."""
CHUNK_ENTRY_BYTES = 8
"""What a chunk takes in a file at the least: its address in the index."""
FEW_CHUNKS = 4096
"""So many may be missing: their number bounds the work of reading them."""


class StoredDataset:
    """A dataset with its shape and type as they were when it was found; `refresh` looks again at a growing one."""

    def __init__(self, id: h5py.h5d.DatasetID, path: str, file_path: Path, linked_bytes: int | None = None) -> None:
        """`linked_bytes` is the size of the file that has the dataset, where a link led to another one."""
        self.path = path
        self._linked_bytes = linked_bytes
        self.where = f"{file_path}:{path}"
        with readable(self.where):
            self._dataset = h5py.Dataset(id, readonly=True)
            self._is_elsewhere = is_elsewhere(id)
            shape = self._dataset.shape
            self.maxshape: tuple[int | None, ...] = self._dataset.maxshape or ()
            self.dtype: np.dtype[Any] = self._dataset.dtype.newbyteorder("=")
            self.chunks: tuple[int, ...] | None = self._dataset.chunks
            self._view = self._dataset if self._dataset.dtype.isnative else self._dataset.astype(self.dtype)
        if shape is None:
            raise SourceError(f"{self.where} is empty")
        self.shape: tuple[int, ...] = shape

    @property
    def rows(self) -> int:
        """Length along the first axis."""
        return self.shape[0] if self.shape else 0

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    @property
    def is_numeric(self) -> bool:
        """True if it holds plain numbers."""
        return self.dtype.kind in NUMBERS and self.dtype.itemsize <= 8 and self.dtype.subdtype is None

    @property
    def is_written(self) -> bool:
        """False as long as nothing was stored in it, whatever its shape says."""
        with readable(self.where):
            return self._is_elsewhere or self._dataset.id.get_storage_size() > 0

    def refresh(self) -> None:
        """Look how far a growing dataset has come."""
        with readable(self.where):
            self._dataset.refresh()
            self.shape = self._dataset.shape

    def check_holds(self, file_bytes: int) -> None:
        """Raise `SourceError` if it claims more than a file of this size can hold."""
        with readable(self.where):
            is_compact = self._dataset.id.get_create_plist().get_layout() == h5py.h5d.COMPACT
        file_bytes = file_bytes if self._linked_bytes is None else self._linked_bytes
        if self.rows > MOST_FRAMES:
            raise SourceError(f"{self.where} claims {self.rows} rows, which exceeds the limit of {MOST_FRAMES}")
        if self.chunks is None:
            claim = math.prod(self.shape) * self.dtype.itemsize
            # what is kept elsewhere was compared with the other files when the dataset was opened
            if claim > file_bytes and not (is_compact or self._is_elsewhere):
                raise SourceError(f"{self.where} claims {claim} bytes in a file of {file_bytes}: the file is damaged")
            return
        chunk_bytes = math.prod(self.chunks) * self.dtype.itemsize
        if chunk_bytes > MOST_FRAME_BYTES:
            raise SourceError(
                f"{self.where} has chunks of {chunk_bytes >> 20} MiB; at most {MOST_FRAME_BYTES >> 20} MiB are read at "
                "once: rewrite it with smaller ones (h5repack)"
            )
        n_chunks = math.prod(-(-size // chunk) for size, chunk in zip(self.shape, self.chunks, strict=True))
        if n_chunks > max(FEW_CHUNKS, file_bytes // CHUNK_ENTRY_BYTES):
            raise SourceError(f"{self.where} claims {n_chunks} chunks in a file of {file_bytes} bytes: it is damaged")

    def missing_filter(self) -> str:
        """The name of a compression that cannot be undone here; empty if all can."""
        with readable(self.where):
            properties = self._dataset.id.get_create_plist()
            for index in range(properties.get_nfilters()):
                code, _, _, name = properties.get_filter(index)
                if not h5py.h5z.filter_avail(code):
                    return f"{name.decode('utf-8', 'replace')} (HDF5 filter {code})"
        return ""

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Rows `start` to `stop` - 1, a new array in native byte order."""
        rows = f"rows {start} to {stop - 1}" if stop - start > 1 else f"row {start}"
        with readable(f"{self.where}, {rows},"):
            return self._view[start:stop]

    def read_box(self, leading: tuple[int, ...], start: int, stop: int) -> npt.NDArray[Any]:
        """Of a dataset with several leading axes: `start` to `stop` - 1 along the one behind those that are given."""
        with readable(f"{self.where}, {start} to {stop - 1} of {leading},"):
            return self._view[(*leading, slice(start, stop))]

    def places_of_images(self, *, is_closed: bool) -> npt.NDArray[np.int64] | None:
        """Where each image (y, x) lies in the file; `NOWHERE` if it was not stored, None if the file does not tell."""
        return places_of_images(self._dataset.id, self.where, is_closed=is_closed)

    def in_place(self, *, is_growing: bool = False) -> RowsInPlace | None:
        """Its rows as they lie in the file, as long as that is not written; None if HDF5 has to read them.

        With `is_growing` those that have come of a file that is written, too.
        """
        with readable(self.where):
            return rows_in_place(self._dataset.id, is_growing=is_growing)

    def whole(self) -> npt.NDArray[Any]:
        """All of it; for single numbers and images, not for what grows."""
        n_bytes = math.prod(self.shape) * self.dtype.itemsize
        if n_bytes > MOST_FRAME_BYTES:
            raise SourceError(
                f"{self.where} claims {n_bytes >> 20} MiB, which exceeds the limit of {MOST_FRAME_BYTES >> 20}"
            )
        with readable(self.where):
            return np.asarray(self._view[()])

    @property
    def is_applied(self) -> bool:
        """True for a reference that says that the frames are corrected by it already."""
        return self.text("applied").lower() in ("true", "1")

    @property
    def first_number(self) -> float:
        """The only one, or that of the first row; NaN if it has none."""
        if not self.shape:
            return float(self.whole())
        return float(self.read(0, 1).reshape(-1)[0]) if self.rows else math.nan

    def text(self, name: str) -> str:
        """An HDF5 attribute as text; empty if it is not there."""
        return read_text(self._dataset.id, name, self.where)


def read_text(id: h5py.h5d.DatasetID | h5py.h5g.GroupID, name: str, where: str) -> str:
    """A small HDF5 attribute of a dataset or an h5 group as text; empty if it is not there."""
    with readable(f"{where}@{name}"):
        if not h5py.h5a.exists(id, name.encode()):
            return ""
        attribute = h5py.h5a.open(id, name.encode())
        if attribute.get_type().get_class() not in READABLE_CLASSES:
            raise SourceError(f"{where}@{name} is neither a text nor a number")
        if (n_bytes := attribute.get_storage_size()) > LONGEST_TEXT:
            raise SourceError(f"{where}@{name} has {n_bytes} bytes; it is not read")
        return text_of(h5py.HLObject(id).attrs[name])
