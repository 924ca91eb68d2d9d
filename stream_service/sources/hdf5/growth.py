"""The growth of a file that is followed: a frame is whole once everything that is recorded with it is there, too.

NDFileHDF5 makes each dataset with one row before anything was stored in it, so a single row proves nothing; and the
order of what may be written by index (PositionMode) is known only once the file is closed. A standard file says by its
live keys which rows are whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stream_service.sources.hdf5.contents import Contents
from stream_service.sources.hdf5.dataset import StoredDataset
from stream_service.sources.hdf5.image_order import UnknownOrderError, order_of_images, rows_with_values

LOOK_ANEW = 200
"""The order of images is looked at when this share of the rows is new, or when no more come: a look goes over all."""


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Follow:
    """Options for a growing file that is followed."""

    timeout_s: float
    """After so long without anything new, what is there is taken to be all."""
    poll_s: float = 0.1
    """Between two looks at the file."""
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    on_wait: Callable[[], None] = _nothing
    """Called at every look that found nothing new."""


class Growth:
    """The lengths of a file's datasets, as of the last `refresh`."""

    def __init__(self, contents: Contents, path: Path) -> None:
        self._contents = contents
        self._path = path
        self._per_frame = contents.per_frame
        self.n_whole = 0
        """Frames that came with everything that belongs to them; none of areaDetector's before the first `refresh`."""
        self.is_order_known = True
        """False while the file may be written by index."""
        if not contents.is_appended:
            self.n_whole = self._n_by_length()

    def refresh(self) -> bool:
        """Look again; True if anything has grown."""
        before = self._lengths()
        self._contents.frames.stored.refresh()
        for stored in self._per_frame:
            stored.refresh()
        if self._contents.keys is not None:
            self._contents.keys.refresh()
        is_growing = self._lengths() != before
        self._find_whole(is_growing=is_growing)
        return is_growing

    def _find_whole(self, *, is_growing: bool) -> None:
        n_whole = self._n_by_length()
        if not self._contents.is_appended:
            self.n_whole = n_whole
        elif n_whole - self.n_whole > (self.n_whole // LOOK_ANEW if is_growing else 0):
            self._find_ordered(n_whole)

    def _find_ordered(self, n_whole: int) -> None:
        """Of a file of areaDetector: rows before the first that lacks its image, or its values."""
        has_values = rows_with_values(self._contents, n_whole if self._contents.per_frame else 0)
        try:
            order = order_of_images(self._contents, has_values, self._path, is_closed=False)
        except UnknownOrderError:
            self.is_order_known = False
            return
        self.is_order_known = True
        is_there = order.has_image[:n_whole].copy()
        is_there[: len(has_values)] &= has_values
        self.n_whole = n_whole if is_there.all() else int(np.argmin(is_there))

    def _n_by_length(self) -> int:
        """Rows that all datasets have."""
        contents, lengths = self._contents, self._lengths()
        if contents.keys is not None:
            return min(int(np.count_nonzero(contents.keys.whole())), *lengths)
        if not contents.is_appended:
            return min(lengths)
        longest = max(lengths[1:], default=0)
        n_whole = min([lengths[0], *(s.rows for s in self._per_frame if not _is_stored_once(s, longest))])
        return n_whole if n_whole > 1 else 0

    @property
    def n_behind(self) -> int:
        """Frames that wait for what belongs to them."""
        return self._contents.frames.n_frames - self.n_whole

    @property
    def values_at_once(self) -> int:
        """Rows that the slowest column is written in."""
        return max((stored.chunks[0] for stored in self._per_frame if stored.chunks), default=1)

    def _lengths(self) -> list[int]:
        """Rows of the frames first, then of every other dataset."""
        return [self._contents.frames.n_frames, *(stored.rows for stored in self._per_frame)]


def _is_stored_once(stored: StoredDataset, longest: int) -> bool:
    """True if a column (`when` of its layout: OnFileOpen or OnFileClose) stays behind when others have grown."""
    chunk = stored.chunks[0] if stored.chunks else 1
    return stored.rows == 1 and longest > 1 + chunk
