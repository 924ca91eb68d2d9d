"""Rows of an open raw file that can be used: all that belongs to the frame is there."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from stream_service.core.frame import Frame
from stream_service.errors import SourceError
from stream_service.hdf5.failures import HDF5_ERRORS
from stream_service.hdf5.opening import BeingWrittenError, is_longer_than_stated, open_hdf5, writer_flags
from stream_service.sources.hdf5.areadetector import is_areadetector, read_areadetector
from stream_service.sources.hdf5.columns import Stamps
from stream_service.sources.hdf5.contents import Contents, Hdf5Paths, TimestampField
from stream_service.sources.hdf5.dataset import StoredDataset
from stream_service.sources.hdf5.image_order import ImageOrder, UnknownOrderError, order_of_images
from stream_service.sources.hdf5.raw_matching import Identities
from stream_service.sources.hdf5.rows import RecordedRows
from stream_service.sources.hdf5.stamps_on_disk import StampsOnDisk, stamps_on_disk
from stream_service.sources.hdf5.tree import Hdf5Tree

EVERYTHING_AS_THE_LAYOUT_SAYS = Hdf5Paths()


class RawRows:
    """An open raw file as it was when it was opened: a growing one is opened anew for what came since."""

    def __init__(self, path: Path, timestamp_field: TimestampField, wanted: Collection[str] | None) -> None:
        """`wanted` are names of attributes, None for all. Raises `SourceError`, `BeingWrittenError`."""
        self.path = path
        self._state = _state_of(path)
        if stat.S_ISFIFO(self._state.st_mode):
            raise SourceError(f"{path} is a pipe; give a file")
        if not self._state.st_size and stat.S_ISREG(self._state.st_mode):
            raise BeingWrittenError(f"{path} is empty: nothing has been written to it yet")
        if not writer_flags(path) and is_longer_than_stated(path):
            raise BeingWrittenError(f"{path} is longer than it says: it is being written, or its writer died")
        opened = open_hdf5(path)
        self._file = opened.file
        self.is_closed = opened.is_closed
        try:
            with suppress(OSError, *HDF5_ERRORS):  # a plugin that begins the same file anew must not fail because of us
                fcntl.flock(self._file.id.get_vfd_handle(), fcntl.LOCK_UN)
            self._read(timestamp_field, wanted)
        except BaseException:
            self.close()
            raise

    def _read(self, timestamp_field: TimestampField, wanted: Collection[str] | None) -> None:
        tree = Hdf5Tree(self._file, self.path)
        if not is_areadetector(tree):
            raise SourceError(f"{self.path} was not written by areaDetector's NDFileHDF5")
        contents = read_areadetector(tree, EVERYTHING_AS_THE_LAYOUT_SAYS, timestamp_field)
        contents.check_holds(tree.file_bytes)
        unique_ids, stamps = contents.unique_ids, contents.stamps
        if unique_ids is None or stamps is None:
            raise SourceError(f"{self.path} has no NDArrayUniqueId, or no stamps of its frames")
        n_whole = self._n_whole(contents, (unique_ids.stored, *stamps.stored))
        ids, stamps_ns = unique_ids.read(0, n_whole), stamps.read(0, n_whole)
        is_stamped = stamps_ns != 0  # a row that was not stored, or not flushed, reads as zeros
        order = self._order(contents, is_stamped)
        n_whole = min(n_whole, len(order.has_image))
        self._places = np.flatnonzero(is_stamped[:n_whole] & order.has_image[:n_whole])
        if order.rows is not None:
            contents = replace(contents, frames=contents.frames.in_order(order.rows))
        if wanted is not None:
            columns = tuple(column for column in contents.columns if column.name in wanted)
            contents = replace(contents, columns=columns)
        self._rows = RecordedRows(contents, self.path)
        self.identities = Identities(ids[self._places], stamps_ns[self._places])
        self._on_disk = None if self.is_closed else self._stamps_on_disk(stamps)

    def _stamps_on_disk(self, stamps: Stamps) -> StampsOnDisk:
        on_disk = stamps_on_disk(stamps)
        if on_disk is None:
            raise BeingWrittenError(
                f"{self.path} is being written, and its stamps are compressed or have several axes: it is read once it "
                "is closed"
            )
        return on_disk

    def _order(self, contents: Contents, is_stamped: npt.NDArray[np.bool_]) -> ImageOrder:
        try:
            return order_of_images(contents, is_stamped, self.path, is_closed=self.is_closed)
        except UnknownOrderError as error:
            if self.is_closed:
                raise
            told = f"{self.path} may be written by index (PositionMode): it is read once it is closed"
            raise BeingWrittenError(told) from error

    def frames(self, rows: npt.NDArray[np.intp]) -> Iterator[Frame]:
        """Those at these places among `identities`, which are in ascending order.

        Raises `BeingWrittenError` if what has been read is no longer what the file has there.
        """
        places, identities = self._places[rows], self.identities.at(rows)
        ends = [*(np.flatnonzero(np.diff(places) != 1) + 1).tolist(), len(places)]
        start = 0
        for end in ends if len(places) else ():
            for n, frame in enumerate(self._rows.frames(int(places[start]), int(places[end - 1]) + 1), start):
                is_same = (frame.unique_id, frame.timestamp_ns) == (identities.ids[n], identities.ns[n])
                if not is_same or not self._is_on_disk(int(places[n]), frame.timestamp_ns):
                    raise BeingWrittenError(f"{self.path} was written to while it was read")
                yield frame
            start = end

    def _is_on_disk(self, place: int, timestamp_ns: int) -> bool:
        """False if a growing file was begun anew under its name: HDF5 does not see it, and gives the new pixels for the
        old stamps.
        """
        return self._on_disk is None or self._on_disk.at(place) == timestamp_ns

    @property
    def is_unchanged(self) -> bool:
        """True if nothing has been written to the file since it was opened, as far as the file system tells."""
        now, then = self._now(), self._state
        is_same = now is not None and (now.st_size, now.st_mtime_ns) == (then.st_size, then.st_mtime_ns)
        return is_same and self.is_same_file

    @property
    def is_same_file(self) -> bool:
        """False if another file has its name by now."""
        now, then = self._now(), self._state
        return now is not None and (now.st_dev, now.st_ino) == (then.st_dev, then.st_ino)

    def _now(self) -> os.stat_result | None:
        try:
            return os.stat(self.path)
        except OSError:
            return None

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _n_whole(self, contents: Contents, identities: Collection[StoredDataset]) -> int:
        """Rows of which every value has come; images may be more, or fewer. Ids and stamps are not stored once."""
        if not contents.frames.stored.is_written:
            return 0
        per_frame = list(contents.per_frame)
        longest = max(_n_stored(stored) for stored in per_frame)
        return min(
            _n_stored(stored)
            for stored in per_frame
            if stored in identities or not self._is_stored_once(stored, longest)
        )

    def _is_stored_once(self, stored: StoredDataset, longest: int) -> bool:
        """True if a column has one value for all frames; in a growing file one chunk may still lag behind."""
        lag = 0 if self.is_closed or not stored.chunks else stored.chunks[0]
        return stored.rows == 1 and longest > 1 + lag


def _state_of(path: Path) -> os.stat_result:
    try:
        return os.stat(path)
    except OSError as error:
        raise SourceError(f"{path} cannot be opened: {error.strerror}") from error


def _n_stored(stored: StoredDataset) -> int:
    """NDFileHDF5 makes a dataset with one row before anything is stored in it."""
    return 0 if stored.rows == 1 and not stored.is_written else stored.rows
