"""The growth of a file that is followed: a frame is whole once everything that is recorded with it is there, too.

NDFileHDF5 makes each dataset with one row before anything was stored in it, so a single row proves nothing. A standard
file says by its live keys which rows are whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stream_service.sources.hdf5.contents import Contents
from stream_service.sources.hdf5.dataset import StoredDataset


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

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._per_frame = contents.per_frame

    def refresh(self) -> bool:
        """Look again; True if anything has grown."""
        before = self._lengths()
        self._contents.frames.stored.refresh()
        for stored in self._per_frame:
            stored.refresh()
        if self._contents.keys is not None:
            self._contents.keys.refresh()
        return self._lengths() != before

    @property
    def n_whole(self) -> int:
        """Frames that came with everything that belongs to them."""
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
