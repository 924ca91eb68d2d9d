"""Stamps as they lie in a file that is being written, past the library, which keeps what it has read once.

A writer may begin the file anew under its name, and in its place: all datasets then lie where the old ones lay, with
other stamps. So a stamp that is still there after the frame was read shows that the frame was the one of this stamp.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stream_service.hdf5.in_place import RowsInPlace
from stream_service.sources.hdf5.columns import Stamps


class StampsOnDisk:
    """Those of the rows that had come when this was made."""

    def __init__(self, stamps: Stamps, in_place: Sequence[RowsInPlace]) -> None:
        """`in_place` are the rows of each of its datasets."""
        self._to_ns = stamps.to_ns
        self._rows = [(rows, np.zeros(1, stored.dtype)) for rows, stored in zip(in_place, stamps.stored, strict=True)]

    def at(self, row: int) -> int | None:
        """Nanoseconds of the Unix epoch, 0 for one that was not stored; None where the file has nothing any more."""
        if not all(rows.read_into(row, value) for rows, value in self._rows):
            return None
        return int(self._to_ns([value for _, value in self._rows])[0])


def stamps_on_disk(stamps: Stamps) -> StampsOnDisk | None:
    """None if they do not lie in the file as they are."""
    in_place = [rows for stored in stamps.stored if (rows := stored.in_place(is_growing=True)) is not None]
    return StampsOnDisk(stamps, in_place) if len(in_place) == len(stamps.stored) else None


class FirstStamp:
    """That of the first row, which tells for all that follow whether the file is still the one that was opened."""

    def __init__(self, on_disk: StampsOnDisk, timestamp_ns: int) -> None:
        """`timestamp_ns` as it was read."""
        self._on_disk = on_disk
        self._timestamp_ns = timestamp_ns

    @property
    def is_there(self) -> bool:
        """False if the file was begun anew."""
        return self._on_disk.at(0) == self._timestamp_ns

    def is_of(self, stamps: Stamps) -> bool:
        """False for those of a file that was begun anew."""
        return int(stamps.read(0, 1)[0]) == self._timestamp_ns


def first_stamp(stamps: Stamps) -> FirstStamp | None:
    """None as long as there is none, or where stamps do not lie in the file as they are."""
    on_disk = stamps_on_disk(stamps)
    if on_disk is None or not (timestamp_ns := int(stamps.read(0, 1)[0])):
        return None
    return FirstStamp(on_disk, timestamp_ns)
