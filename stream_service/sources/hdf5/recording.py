"""A recorded scan in an HDF5 file: of areaDetector, in the `/entry` schema, CXI, or at paths the operator names.

The file may be closed, still growing (`Follow`), or left behind by a writer that never closed it. Frames are read in
blocks, and so are the values recorded with them; memory does not grow with the file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from stream_service.core.frame import Frame
from stream_service.errors import SourceError
from stream_service.hdf5.file_states import FileStates
from stream_service.hdf5.opening import OpenFile, open_hdf5, writer_flags
from stream_service.hdf5.targets import NOWHERE_ELSE, AlsoBelow
from stream_service.settings.recorded_choices import Translation
from stream_service.sources.hdf5.contents import Hdf5Paths, TimestampField
from stream_service.sources.hdf5.dataset import StoredDataset
from stream_service.sources.hdf5.growth import Follow, Growth
from stream_service.sources.hdf5.layouts import read_contents
from stream_service.sources.hdf5.rows import RecordedRows
from stream_service.sources.hdf5.stamps_on_disk import FirstStamp, first_stamp
from stream_service.sources.hdf5.title import recorded_title
from stream_service.sources.hdf5.tree import Hdf5Tree
from stream_service.sources.recording import Identities
from stream_service.standard_file.read.announced_rows import standard_rows
from stream_service.text.counted import agrees, counted

__all__ = ["Follow", "Hdf5Paths", "Hdf5Recording"]

EVERYTHING_AS_THE_LAYOUT_SAYS = Hdf5Paths()
LAG_S = 2.0
"""Frames that wait so long for their values are worth a note."""
BEGUN_ANEW = "{path} was begun anew while it was followed"
WRITTEN_TO = "{path} was written to, or replaced, while it was read: its frames may be of another scan; read it again"


class Hdf5Recording:
    """An open recording; see `Recording` for what it tells. With `follow` the constructor waits for the first frame."""

    def __init__(
        self,
        path: Path,
        paths: Hdf5Paths = EVERYTHING_AS_THE_LAYOUT_SAYS,
        follow: Follow | None = None,
        *,
        timestamp_field: TimestampField = "timeStamp",
        translation: Translation | None = None,
        also: AlsoBelow = NOWHERE_ELSE,
    ) -> None:
        """`also` names folders below which other files may lie that the recording points to."""
        self.path = path
        self._also = also
        self.notes: list[str] = []
        self._paths = paths
        self._timestamp_field: TimestampField = timestamp_field
        self._translation = translation
        self._timeout = None if follow is None else _Timeout(follow)
        self._lags_since_s = math.inf
        self._is_final = False
        self._opened = self._open()
        try:
            self._read()
            if not self._wait_for(0):
                raise SourceError(f"{self.path} ({self.layout}) holds no frames")
            first_id, self.has_timestamps = self._rows.first_identity(self._n_rows if self._is_final else 1)
            begun_at = self._contents.first_unique_id
            self.first_unique_id = first_id if begun_at is None else begun_at
        except BaseException:
            self.close()
            raise

    def _open(self) -> OpenFile:
        while True:
            self._states = FileStates()
            self._states.changed([self.path])
            try:
                opened = open_hdf5(self.path, self._also)
            except SourceError as error:
                if self._timeout is None:
                    raise
                if not self._timeout.waits():
                    raise SourceError(f"{error} (waited {self._timeout.follow.timeout_s:g} s for it)") from error
            else:
                self._inode = self.path.stat().st_ino
                return opened

    def _read(self) -> None:
        """Read the content of the file; once more when its writer has closed it."""
        self._tree = tree = Hdf5Tree(self._opened.file, self.path)
        self._contents = contents = read_contents(tree, self._paths, self._timestamp_field, self._translation)
        self._growth = Growth(contents, self.path)
        self._rows = RecordedRows(contents, self.path)
        self._first_stamp: FirstStamp | None = None
        self.layout = contents.layout
        self.title = recorded_title(tree)
        self.frame_shape = contents.frames.frame_shape
        self.dtype = contents.frames.dtype
        self.n_expected = contents.n_expected
        self.n_exposed = contents.n_exposed
        self.facts = contents.facts
        self.rules = contents.rules
        self.is_on_sample = contents.is_on_sample
        self.exposure_attribute = contents.exposure_attribute
        self.references = contents.references
        self.axis_signs = contents.axis_signs
        self.problems = contents.problems
        self._note(*contents.notes)
        if self._opened.is_closed:
            self._settle()
        elif self._timeout is None:
            self._settle()
            if contents.keys is None:
                self._note(
                    f"{self.path} was not closed, or is still being written: the {self.n_frames} frames that are "
                    "there are taken as they are; --follow waits for the rest"
                )

    @property
    def files(self) -> tuple[Path, ...]:
        """All that is read."""
        return self._opened.file.files

    @property
    def n_frames(self) -> int:
        return self._rows.n_frames if self._is_final else self._growth.n_whole

    @property
    def identities(self) -> Identities | None:
        return self._rows.identities if self._is_final else None

    def _begin(self) -> FirstStamp | None:
        """To be looked at after each frame that was read; None where the file does not tell."""
        if self._first_stamp is None and self._contents.is_appended and self._contents.stamps is not None:
            self._first_stamp = first_stamp(self._contents.stamps)
        return self._first_stamp

    @property
    def _n_rows(self) -> int:
        return self._rows.n_rows if self._is_final else self._growth.n_whole

    def frames(self) -> Iterator[Frame]:
        """Every frame once. Of a followed file: those to come, too, until it is closed or the time-out ends."""
        done = 0
        while self._wait_for(done):
            n_rows = self._n_rows
            begin = None if self._opened.is_closed else self._begin()
            for frame in self._rows.frames(done, n_rows):
                if begin is not None and not begin.is_there:
                    raise SourceError(BEGUN_ANEW.format(path=self.path))
                self._check_at_rest()
                yield frame
            done = n_rows

    def frame(self, index: int) -> Frame:
        """One of `frames` again, by its place among them; only once no more can come."""
        frame = self._rows.frame(index)
        self._check_at_rest()
        return frame

    def _check_at_rest(self) -> None:
        """Raise `SourceError` if a closed file, or one that it leads to, was written to since it was opened."""
        if self._opened.is_closed and (path := self._states.changed(self.files)) is not None:
            raise SourceError(WRITTEN_TO.format(path=path))

    @property
    def is_standard(self) -> bool:
        """True for a standard file, which has columns of its rows beside the frames."""
        return self._opened.file.is_standard

    @property
    def is_closed(self) -> bool:
        """False for one that is being written, or was when its writer died."""
        return self._opened.is_closed

    @property
    def read_from(self) -> dict[str, str]:
        """Paths in the file: of the frames, `data`, and of each channel that is recorded with them, by its name."""
        of_attribute = {column.name: column.stored.path for column in self._contents.columns}
        named = {rule.name: of_attribute[rule.attribute] for rule in self.rules if rule.attribute in of_attribute}
        return {"data": self._contents.frames.stored.path, **named}

    def stored(self, path: str) -> StoredDataset | None:
        """The dataset at a path of the file; None if there is none."""
        return self._tree.find(path)

    def _wait_for(self, row: int) -> bool:
        """True if there is a row of this index; of a growing file, once it is known."""
        while self._n_rows <= row:
            if self._is_final or self._timeout is None:
                return False
            if self._growth.refresh():
                self._timeout.restart()
            if self._n_rows > row:
                break
            if not writer_flags(self.path):
                self._read_closed()
                continue
            self._note_lag(self._timeout.follow.clock())
            if not self._timeout.waits():
                timeout_s = self._timeout.follow.timeout_s
                self._note(
                    f"nothing new came for {timeout_s:g} s, and {self.path} was not closed; what is there is taken"
                )
                self._settle()
        return True

    def _read_closed(self) -> None:
        """The writer has closed the file: open it again, so that all it wrote at the end is seen."""
        frame_shape, dtype = self.frame_shape, self.dtype
        begin = self._first_stamp
        self._opened.file.close()
        inode = self._inode
        self._opened = self._open()
        if self._inode != inode:
            raise SourceError(f"{self.path} was replaced by another file while it was followed")
        self._read()
        if (self.frame_shape, self.dtype) != (frame_shape, dtype):
            raise SourceError(f"{self.path} was written anew, with other frames, while it was followed")
        if begin is not None and not (self._contents.stamps and begin.is_of(self._contents.stamps)):
            raise SourceError(BEGUN_ANEW.format(path=self.path))

    def _settle(self) -> None:
        self._is_final = True
        n_rows, is_whole = self._growth.n_whole, self._opened.is_closed
        if self._contents.keys is not None:
            rows = standard_rows(self._opened.file)
            n_rows, is_whole = rows.n_rows, is_whole and not rows.n_beyond
            self._note(*rows.notes)
        elif is_whole or self._contents.is_appended:
            n_rows = self._contents.frames.n_frames
        self._rows.settle(n_rows, is_closed=is_whole)
        self._note(*self._rows.notes)
        if self.n_expected is not None and self.n_frames < self.n_expected:
            self._note(
                f"{counted(self.n_frames, 'frame')} {agrees(self.n_frames, 'is')} there; {self.n_expected} "
                f"were to be recorded"
            )

    def _note_lag(self, now_s: float) -> None:
        if not self._growth.is_order_known:
            self._note("images may stand by an index (PositionMode): they are taken once the file is closed")
            return
        if self._growth.n_behind <= 1:
            self._lags_since_s = math.inf
        self._lags_since_s = min(self._lags_since_s, now_s)
        if now_s - self._lags_since_s >= LAG_S:
            self._note(
                "frames come without the values recorded with them, which NDFileHDF5 keeps back until "
                f"{self._growth.values_at_once} are together: set NDAttributeChunk to 1 before the next scan, or put 1 "
                "to FlushNow again and again during this one"
            )

    def _note(self, *sentences: str) -> None:
        self.notes += [sentence for sentence in sentences if sentence not in self.notes]

    def close(self) -> None:
        self._opened.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Timeout:
    """Time since something new came."""

    def __init__(self, follow: Follow) -> None:
        self.follow = follow
        self.restart()

    def restart(self) -> None:
        self._since_s = self.follow.clock()

    def waits(self) -> bool:
        """Wait for the next look; False if the time-out is over."""
        if self.follow.clock() - self._since_s >= self.follow.timeout_s:
            return False
        self.follow.on_wait()
        self.follow.sleep(self.follow.poll_s)
        return True
