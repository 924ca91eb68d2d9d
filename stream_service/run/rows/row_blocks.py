"""The blocks of rows of a run: one is filled while others are on their way into the file.

Where none is free the run waits, which bounds their memory. Once readers can see the rows of a block, its frames are
stored, in the ledger's sense; the sinks beside the file get it, and it is filled again.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from stream_service.core.frame_status import FrameStatus
from stream_service.core.ledger import Ledger
from stream_service.core.row import RowBlock
from stream_service.run.rows.file_thread import FileCall, FileThread
from stream_service.run.rows.side_sinks import SideSinks
from stream_service.standard_file import StandardFile

MOST_BLOCKS = 3
"""One is filled, one is written, and one is ready in between; two of frames that are a block each."""


class Posted(NamedTuple):
    """A block on its way into the file, and a flush; or a flush alone."""

    block: RowBlock | None
    ordinals: list[int]
    flushed: FileCall
    """Done when readers can see the rows."""


class RowBlocks:
    """Rows in, blocks of them to the file and then to the sinks beside it."""

    def __init__(self, first: RowBlock, file: FileThread, ledger: Ledger, side_sinks: SideSinks) -> None:
        """`first` is empty; the others are like it."""
        self._file = file
        self._ledger = ledger
        self._side_sinks = side_sinks
        self._block = first
        """It is filled."""
        self._ordinals: list[int] = []
        """Of the frames in it."""
        self._free: list[RowBlock] = []
        self._posted: deque[Posted] = deque()
        """On their way into the file, in order."""

    @property
    def n_free(self) -> int:
        """Rows that can be taken at once; at least 1."""
        return self._block.n_free

    def next_rows(self, n: int) -> tuple[np.ndarray[Any, Any], npt.NDArray[np.float32]]:
        """See `RowBlock.next_rows`."""
        return self._block.next_rows(n)

    def append(self, n: int, ordinals: list[int], received_s: npt.ArrayLike = math.nan) -> None:
        """Take the next `n` rows, which are filled in by now, made of the frames of these ordinals, (n, k) in order.

        `NO_FRAME` where a row has no frame. `received_s` (n,) as in `RowBlock`.
        """
        self._block.append(n, received_s)
        self._ordinals += ordinals
        if not self._block.n_free:
            self._post()

    def flush(self) -> None:
        """Let the rows so far become visible to readers; those that are by now are stored, in the ledger's sense.

        Without new rows there is time to wait for those on their way.
        """
        self.settle(MOST_BLOCKS if self._block.n_rows else 0)
        self._post()
        self._side_sinks.flush()

    def drain(self) -> None:
        """Make the rows so far visible to readers, and wait until they are."""
        self.flush()
        self.settle(0)

    def take_stored(self) -> None:
        """Take back the blocks that are in the file by now; nothing is waited for."""
        self.settle(len(self._posted))

    def settle(self, n_open: int) -> None:
        """Take back blocks that are in the file; wait until no more than `n_open` are on their way."""
        while self._posted and (len(self._posted) > n_open or self._posted[0].flushed.is_made):
            try:
                self._file.result(self._posted[0].flushed)
            finally:  # it raises what any call failed of, and these rows can be seen all the same
                self._take_back()

    def _take_back(self) -> None:
        """Take back the block that was waited for, and those behind it that are in the file.

        They are the sinks' from then on, and their frames are stored; not those of a block that failed.
        """
        is_first = True
        while self._posted and self._posted[0].flushed.is_made and (is_first or not self._posted[0].flushed.has_failed):
            block, ordinals, flushed = self._posted.popleft()
            is_first = False
            if block is not None and not flushed.has_failed:
                self._mark(ordinals, block.rows["status"].ravel())
                block.visible_s = flushed.made_s
                self._side_sinks.append(block)
                block.clear()
                self._free.append(block)

    def _mark(self, ordinals: list[int], statuses: npt.NDArray[np.uint8]) -> None:
        """Say in the ledger what its rows say of frames."""
        places = np.array(ordinals, np.int64)
        for status in (FrameStatus.STORED, FrameStatus.BACKFILLED):
            if (is_so := statuses == status).any():
                self._ledger.mark(places[is_so], status)

    def _post(self) -> None:
        """Have the block written and flushed, and go on with the next one."""
        if not self._block.n_rows:
            self._posted.append(Posted(None, [], self._file.post(lambda file: file.flush())))
            return
        block, ordinals, following = self._block, self._ordinals, self._next_block()

        def write(file: StandardFile) -> None:
            file.append(block)
            file.flush()

        self._posted.append(Posted(block, ordinals, self._file.post(write)))
        self._block, self._ordinals = following, []

    def _next_block(self) -> RowBlock:
        n_blocks = 1 + sum(posted.block is not None for posted in self._posted)
        if not self._free and n_blocks < (MOST_BLOCKS if self._block.capacity > 1 else 2):
            return self._block.like()
        while not self._free:
            self.settle(len(self._posted) - 1)
        return self._free.pop()
