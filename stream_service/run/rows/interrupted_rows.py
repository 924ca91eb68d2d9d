"""Rows of interrupted files of a run, on their way into its new one: each exposure once, beside new frames.

They are read ahead, a block at a time, so that the run never waits for the disk. An exposure that has been
written more than once, as a correction of its row or into a later file, has the row that was written last. Rows that
name others (`replaces`) name them by their new numbers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from stream_service.core.partition import NO_FRAME
from stream_service.errors import PtychostreamError

BLOCK_BYTES = 4 << 20
"""Of pixels: the run copies so many in a millisecond, between two looks for frames."""
MOST_READ_AHEAD = 2
"""Blocks."""


class InterruptedFile(Protocol):
    """The whole rows of a file that was not closed."""

    path: Path
    n_announced: int
    start_timestamp_ns: int
    """Of the run; 0 if it is lost."""
    rows: np.ndarray[Any, Any]
    """(n,) all columns but the features."""
    frame_shape: tuple[int, int]
    state: str
    """Of the run, as it was written last; the same holds of the following."""
    end_reason: str
    message: str
    counts: Mapping[str, int]
    """Of its account."""
    readbacks: Mapping[str, tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]]
    """Values and stamps of each channel."""
    pixel_mask: npt.NDArray[np.uint32] | None
    """(ny, nx) flags of stored pixels; None if they are lost."""

    def block(self, start: int, stop: int) -> tuple[np.ndarray[Any, Any], npt.NDArray[np.float32]]:
        """Rows (n,) of `row_dtype`, and their pixels (n, ny, nx). Raises `PtychostreamError`."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class InterruptedBlock(NamedTuple):
    """Some of the rows."""

    rows: np.ndarray[Any, Any]
    pixels: npt.NDArray[np.float32]
    ordinals: npt.NDArray[np.int64]
    """(n, k) places of their frames."""


class _Piece(NamedTuple):
    """Rows of one file that are read at once."""

    file: int
    start: int
    stop: int


class InterruptedRows:
    """Those of one run. `take` is for the thread of the run."""

    def __init__(
        self,
        files: Sequence[InterruptedFile] = (),
        ordinals: Sequence[npt.NDArray[np.int64]] = (),
        reader: Executor | None = None,
    ) -> None:
        """`ordinals` are the places of the frames of their rows, (n, k) each; -1: it has none; `NO_FRAME`: no frame.

        `reader` is the thread that has opened the files, one for all; None if there are none.
        """
        self.files = tuple(files)
        self.failure = ""
        """Why not all of them can be read, in a sentence."""
        self._ordinals = ordinals
        self._firsts = [places.min(axis=1, initial=np.iinfo(np.int64).max) for places in ordinals]
        self._number_of: dict[int, int] = {}
        """By the first frame of a row: its number in the new file."""
        self._pieces = self._planned()
        self._n_pieces_left = len(self._pieces)
        self.n_rows = sum(piece.stop - piece.start for piece in self._pieces)
        """All that are to come."""
        self.n_left = self.n_rows
        self._reader = reader
        self._ahead: deque[Future[InterruptedBlock]] = deque()
        """Blocks that are read, the next one first."""

    @property
    def is_done(self) -> bool:
        """True once none is to come any more."""
        return not self.n_left or bool(self.failure)

    @property
    def has_all(self) -> bool:
        """True if every row that was announced could be taken, so that the files are not needed any more."""
        n_unplaced = sum(int(np.count_nonzero(firsts < 0)) for firsts in self._firsts)
        n_lost = sum(file.n_announced - len(file.rows) for file in self.files)
        return not (self.n_left or self.failure or n_unplaced or n_lost)

    def foresee(self, note: Callable[[np.ndarray[Any, Any], npt.NDArray[np.int64]], None]) -> None:
        """Tell of the rows (n,) of each file, and of their first frames, before they follow."""
        for file, firsts in zip(self.files, self._firsts, strict=True):
            note(file.rows, firsts)

    def left(self) -> npt.NDArray[np.int64]:
        """Ordinals of the frames whose rows have not been taken."""
        pieces = self._pieces[len(self._pieces) - self._n_pieces_left :]
        parts = [self._ordinals[piece.file][piece.start : piece.stop].ravel() for piece in pieces]
        places = np.concatenate([np.zeros(0, np.int64), *parts])
        return places[places != NO_FRAME]

    def stamps(self) -> Iterator[tuple[int, int]]:
        """Places and time stamps of the frames of all rows."""
        for file, places in zip(self.files, self._ordinals, strict=True):
            has_place = (places >= 0) & (places != NO_FRAME)
            yield from zip(places[has_place].tolist(), file.rows["timestamp_ns"][has_place].tolist(), strict=True)

    def take(self, next_number: int) -> InterruptedBlock | None:
        """The next block, if it is there; its rows will be numbered from `next_number` on. Never waits."""
        self._read_ahead()
        if not self._ahead or not self._ahead[0].done():
            return None
        try:
            block = self._ahead.popleft().result()
        except PtychostreamError as error:
            self.failure = str(error)
            return None
        self.n_left -= len(block.rows)
        self._n_pieces_left -= 1
        self._read_ahead()
        for n, first in enumerate(block.ordinals.min(axis=1).tolist()):
            self._number_of[first] = next_number + n
        return self._renamed(block)

    def close(self) -> None:
        """Read no more."""
        if self._reader is None:
            return
        for block in self._ahead:
            block.cancel()
        for file in self.files:
            self._reader.submit(file.close)
        is_idle = all(block.done() for block in self._ahead)  # a disk that does not answer must not hold up an end
        self._reader.shutdown(wait=is_idle)
        self._reader = None

    def _planned(self) -> list[_Piece]:
        """The rows that are taken, in the order in which their exposures were first written."""
        firsts = np.concatenate([np.zeros(0, np.int64), *self._firsts])
        none = np.zeros(0, np.int64)
        file_of = np.concatenate([none, *(np.full(len(part), n) for n, part in enumerate(self._firsts))])
        row_of = np.concatenate([none, *(np.arange(len(part)) for part in self._firsts)])
        appeared = np.unique(firsts, return_index=True)[1]
        last = len(firsts) - 1 - np.unique(firsts[::-1], return_index=True)[1]
        chosen = last[np.argsort(appeared)]
        chosen = chosen[firsts[chosen] >= 0]
        return self._in_pieces(file_of[chosen].tolist(), row_of[chosen].tolist())

    def _in_pieces(self, files: list[int], rows: list[int]) -> list[_Piece]:
        pieces: list[_Piece] = []
        for file, row in zip(files, rows, strict=True):
            ny, nx = self.files[file].frame_shape
            most = max(1, BLOCK_BYTES // (4 * ny * nx))
            before = pieces[-1] if pieces else None
            if before is not None and before.file == file and before.stop == row and row - before.start < most:
                pieces[-1] = before._replace(stop=row + 1)
            else:
                pieces.append(_Piece(file, row, row + 1))
        return pieces

    def _read_ahead(self) -> None:
        assert self._reader is not None, "there are files, and they are not closed"
        next_piece = len(self._pieces) - self._n_pieces_left + len(self._ahead)
        for piece in self._pieces[next_piece : next_piece + MOST_READ_AHEAD - len(self._ahead)]:
            self._ahead.append(self._reader.submit(self._read, piece))

    def _read(self, piece: _Piece) -> InterruptedBlock:
        """In the thread of the reader."""
        rows, pixels = self.files[piece.file].block(piece.start, piece.stop)
        rows = np.array(rows)
        self._name_replaced(piece, rows)
        return InterruptedBlock(rows, pixels, self._ordinals[piece.file][piece.start : piece.stop])

    def _name_replaced(self, piece: _Piece, rows: np.ndarray[Any, Any]) -> None:
        """Name replaced rows by their first frames, where those are others; -1 for none."""
        firsts, replaces = self._firsts[piece.file], rows["replaces"]
        own = firsts[piece.start : piece.stop]
        is_named = (replaces >= 0) & (replaces < len(firsts))
        named = firsts[np.where(is_named, replaces, 0)]
        rows["replaces"] = np.where(is_named & (named != own) & (named >= 0), named, -1)

    def _renamed(self, block: InterruptedBlock) -> InterruptedBlock:
        """The block with the new numbers of replaced rows."""
        replaces = block.rows["replaces"]
        replaces[:] = [self._number_of.get(first, -1) if first >= 0 else -1 for first in replaces.tolist()]
        return block
