"""The frames of a file, each with its values, and what lacks when no more will come.

Nothing more comes from a file that is closed, or whose writer died. Then `settle` puts images beside their values, and
names what is not as it should be: values of the last frames that a dying writer did not store, rows without an image.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.core.frame import AttributeValue, Frame, UnreadableFrame, no_pixels
from stream_service.errors import SourceError
from stream_service.sources.hdf5.contents import Contents
from stream_service.sources.hdf5.dataset import StoredDataset
from stream_service.sources.hdf5.image_order import order_of_images, rows_with_values
from stream_service.sources.recording import Identities
from stream_service.text.counted import agrees, counted

WINDOW_BYTES = 8 << 20
"""Of columns, that are plain Python values at one time; these take several times as much."""
MOST_WINDOW_ROWS = 4096
FIRST_ID = 1
"""Of frames whose ids were lost with the writer: that of areaDetector's first frame."""


class RecordedRows:
    """Rows of the frames and of what is recorded with them, by index."""

    def __init__(self, contents: Contents, path: Path) -> None:
        self._contents = contents
        self._path = path
        self._per_frame = contents.per_frame
        self._holes: frozenset[int] = frozenset()
        self._settled: Identities | None = None
        self.notes: list[str] = []
        """What `settle` found."""
        row_bytes = sum(stored.row_bytes for stored in self._per_frame)
        n_fit = max(1, min(MOST_WINDOW_ROWS, WINDOW_BYTES // max(1, row_bytes)))
        step = contents.frames.block_frames
        self._window = n_fit if n_fit < step else n_fit // step * step
        """Rows whose values are read at once: whole blocks of frames, if they fit."""

    @property
    def n_rows(self) -> int:
        """Once settled: rows that can be asked for."""
        return 0 if self._settled is None else len(self._settled[0])

    @property
    def n_frames(self) -> int:
        """Once settled: the frames in them."""
        return self.n_rows - len(self._holes)

    @property
    def identities(self) -> Identities | None:
        """Once settled: those of all frames."""
        if self._settled is None or not self._holes:
            return self._settled
        ids, stamps_ns = self._settled
        there = np.ones(len(ids), bool)
        there[list(self._holes)] = False
        return ids[there], stamps_ns[there]

    def first_identity(self, n_rows: int) -> tuple[int, bool]:
        """The id of the frame that was taken first among these rows, and whether they are stamped."""
        ids, stamps_ns = self._identities(0, n_rows)
        stamped = np.flatnonzero(stamps_ns)
        if not stamped.size:
            return int(ids[0]), False
        return int(ids[stamped[np.argmin(stamps_ns[stamped])]]), True

    def frames(self, start: int, stop: int) -> Iterator[Frame]:
        """The frames of rows `start` to `stop` - 1; their pixels stay valid."""
        while start < stop:
            end = min(stop, (start // self._window + 1) * self._window)
            yield from self._frames_of(start, end)
            start = end

    def frame(self, index: int) -> Frame:
        """Once settled: the frame at this place among all."""
        row = index
        for hole in sorted(self._holes):
            row += hole <= row
        return next(self.frames(row, row + 1))

    def settle(self, n_rows: int, *, is_closed: bool) -> None:
        """Nothing more will come than `n_rows` frames. Raises `SourceError` where a closed file contradicts itself."""
        if self._contents.is_appended:
            n_rows = self._put_in_order(n_rows, is_closed=is_closed)
            self._check_appended(n_rows, is_closed=is_closed)
        elif is_closed:
            for stored, what in self._per_frame.items():
                if stored.rows != n_rows:
                    raise SourceError(f"{self._path} holds {n_rows} frames but {stored.rows} {what} ({stored.path})")
        self._settled = self._told_apart(*self._identities(0, n_rows))

    def _put_in_order(self, n_rows: int, *, is_closed: bool) -> int:
        """Put each image beside its values, and find the rows that lack one; gives the number of rows."""
        contents = self._contents
        if n_rows == 1 and not contents.frames.stored.is_written:
            return 0
        n_values = min(
            (self._n_stored(stored) for stored in self._per_frame if not self._is_stored_once(stored)), default=0
        )
        has_values = rows_with_values(contents, n_values)
        order = order_of_images(contents, has_values, self._path, is_closed=is_closed)
        is_hole = ~order.has_image
        if order.rows is None:
            n_both = min(n_values, n_rows)
            is_hole[:n_both] |= ~has_values[:n_both]
            used = order.has_image.copy()
            used[:n_both] |= has_values[:n_both]
            n_rows = 1 + int(np.flatnonzero(used[:n_rows]).max(initial=-1))
        else:
            self._contents = replace(contents, frames=contents.frames.in_order(order.rows))
            n_rows = n_values
            self.notes.append(f"images stand by the index '{order.index}' (PositionMode), values as they came")
        self._holes = frozenset(np.flatnonzero(is_hole[:n_rows]).tolist())
        if self._holes:
            self.notes.append(
                f"{len(self._holes)} of {counted(n_rows, 'row')} {agrees(len(self._holes), 'holds')} no frame, the "
                f"first is row {min(self._holes)}; left out"
                + (": a later one has the same index" if order.index else "")
            )
        return n_rows

    def _told_apart(self, ids: npt.NDArray[np.int64], stamps_ns: npt.NDArray[np.int64]) -> Identities:
        """Frames that all have one id are numbered by their place, unless their stamps tell them apart."""
        if len(ids) < 2 or np.ptp(ids) or (np.diff(stamps_ns) > 0).all() or not stamps_ns.any():
            return ids, stamps_ns
        self.notes.append(
            f"the uniqueId of every frame is {ids[0]}, and stamps repeat: frames are numbered by their place in the "
            "file"
        )
        return np.arange(FIRST_ID, FIRST_ID + len(ids), dtype=np.int64), stamps_ns

    def _frames_of(self, start: int, stop: int) -> Iterator[Frame]:
        """Those of one window: values are read for all its frames at once, pixels by blocks."""
        ids, stamps_ns = (array.tolist() for array in self._identities(start, stop))
        values = zip(ids, stamps_ns, self._attributes(start, stop), strict=True)
        step = self._contents.frames.block_frames
        while start < stop:
            end = min(stop, (start // step + 1) * step)
            for row, pixels in enumerate(self._pixels(start, end), start):
                id, stamp_ns, attributes = next(values)
                if row in self._holes:
                    continue
                if isinstance(pixels, SourceError):
                    empty = no_pixels(self._contents.frames.frame_shape, self._contents.frames.dtype)
                    yield UnreadableFrame(id, stamp_ns, empty, attributes, reason=str(pixels))
                else:
                    yield Frame(id, stamp_ns, pixels, attributes)
            start = end

    def _pixels(self, start: int, stop: int) -> Iterator[npt.NDArray[Any] | SourceError]:
        """Of a block; for those of a piece of it that cannot be read, why."""
        stack = self._contents.frames
        try:
            yield from stack.block(start, stop)
            return
        except SourceError:
            step = stack.piece_frames
        while start < stop:
            end = min(stop, (start // step + 1) * step)
            try:
                yield from stack.block(start, end)
            except SourceError as error:
                yield from [error] * (end - start)
            start = end

    def _attributes(self, start: int, stop: int) -> Iterator[dict[str, AttributeValue]]:
        names = [column.name for column in self._contents.columns]
        columns = [self._values(place, start, stop) for place in range(len(names))]
        if not columns:
            yield from ({} for _ in range(start, stop))
        elif all(len(values) == stop - start for values in columns):
            for row in zip(*columns, strict=True):
                yield dict(zip(names, row, strict=True))
        else:
            for row in range(stop - start):
                yield {name: values[row] for name, values in zip(names, columns, strict=True) if row < len(values)}

    def _values(self, place: int, start: int, stop: int) -> list[Any]:
        """Of one column; fewer where fewer were stored."""
        column = self._contents.columns[place]
        n_stored = self._n_stored(column.stored)
        if self._is_stored_once(column.stored):
            return column.values(0, n_stored) * (stop - start)
        stop = min(stop, n_stored)
        return column.values(start, stop) if stop > start else []

    def _identities(self, start: int, stop: int) -> Identities:
        """Ids and stamps of rows; beyond those stored, ids are counted on, and stamps are 0."""
        if self._settled is not None:
            ids, stamps_ns = self._settled
            return ids[start:stop], stamps_ns[start:stop]
        contents = self._contents
        ids = np.arange(start, stop, dtype=np.int64)
        stamps_ns = np.zeros(stop - start, np.int64)
        if contents.unique_ids is not None:
            n = min(stop, self._n_stored(contents.unique_ids.stored))
            if n > start:
                ids[: n - start] = contents.unique_ids.read(start, n)
                ids[n - start :] = ids[n - start - 1] + np.arange(1, stop - n + 1)
            else:
                ids += FIRST_ID
        if contents.stamps is not None:
            n = min([stop, *(self._n_stored(stored) for stored in contents.stamps.stored)])
            if n > start:
                stamps_ns[: n - start] = contents.stamps.read(start, n)
        return ids, stamps_ns

    def _n_stored(self, stored: StoredDataset) -> int:
        """Rows that something was stored in: NDFileHDF5 makes a dataset with one row before that."""
        is_unwritten = self._contents.is_appended and stored.rows == 1 and not stored.is_written
        return 0 if is_unwritten else stored.rows

    def _is_stored_once(self, stored: StoredDataset) -> bool:
        """True if a column has one row, or none, for all frames: `when` of its layout is OnFileOpen or OnFileClose."""
        return (
            self._contents.is_appended
            and stored.rows == 1
            and self._contents.frames.n_frames > 1
            and any(other.rows > 1 for other in self._per_frame)
        )

    def _check_appended(self, n_rows: int, *, is_closed: bool) -> None:
        """Compare the columns with the frames that were stored."""
        lengths = [n_rows if self._is_stored_once(stored) else self._n_stored(stored) for stored in self._per_frame]
        shortest, longest = min(lengths, default=n_rows), max(lengths, default=n_rows)
        if is_closed and longest > max(n_rows, self._contents.frames.n_frames):
            raise SourceError(
                f"{self._path} holds {n_rows} frames but {longest} values recorded with frames: if it was written by "
                "index (PositionMode), set DimAttDatasets to Yes, so that values stand beside their frames"
            )
        for column in self._contents.columns:
            if self._is_stored_once(column.stored):
                values = column.values(0, self._n_stored(column.stored))
                said = f"recorded once for the whole scan: {values[0]!r}" if values else "never recorded"
                self.notes.append(f"'{column.name}' was {said}")
        if shortest < n_rows:
            self.notes.append(
                f"the last {n_rows - shortest} of {n_rows} frames lack values that are recorded with each frame; the "
                f"writer of {self._path} must have died before it stored them"
            )
