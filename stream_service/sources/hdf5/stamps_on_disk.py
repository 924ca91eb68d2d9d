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
