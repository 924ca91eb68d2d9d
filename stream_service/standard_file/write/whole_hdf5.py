"""An HDF5 file that is written in one go, by nobody else read until it is whole.

HDF5 does not survive a failed write (see `guarded_file`), and h5py closes a dataset, with a write, whenever Python
lets go of it. So its writes end in a Python object here, which never fails: what the system refuses is remembered, and
raised when HDF5 is not concerned.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from stream_service.output_file import whole_file
from stream_service.standard_file.schema.spec import Tree
from stream_service.standard_file.write.creation import LIBVER, fill
from stream_service.standard_file.write.write_errors import HDF5_FAILURES, write_error

Check = Callable[[], None]
"""Raises `OSError` if something could not be written: to be called now and then, so that nothing is done in vain."""


@contextmanager
def whole_hdf5(path: Path, action: str, *, replace: bool = True, **options: Any) -> Iterator[tuple[h5py.File, Check]]:
    """A new file to fill in the block, which has its name once it is whole; `options` are h5py's.

    Raises `WriteError`, which says that we could not `action`, if the disk failed, at once or at the end of the block.
    """
    try:
        with whole_file(path, replace=replace) as unfinished, _new_hdf5(unfinished, options) as opened:
            yield opened
    except OSError as error:
        raise write_error(path, action, error) from error


def write_tree(
    path: Path, tree: Tree, action: str, *, replace: bool, then: Callable[[h5py.File], None] = lambda _: None
) -> None:
    """Write a file of this tree, to which `then` adds; raises `WriteError` as `whole_hdf5` does."""
    with whole_hdf5(path, action, replace=replace, libver=LIBVER) as (file, _):
        fill(file, tree)
        then(file)


@contextmanager
def _new_hdf5(path: Path, options: dict[str, Any]) -> Iterator[tuple[h5py.File, Check]]:
    """Raises `OSError` if the disk failed; what there is of the file keeps its name."""
    disk = _Disk(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666))
    try:
        with h5py.File(disk, "w", **options) as file:
            yield file, disk.check
    except HDF5_FAILURES:
        disk.check()  # what failed first is the reason
        raise
    finally:
        disk.close()
    disk.check()


class _Disk(io.RawIOBase):
    """A file as h5py wants it, by its descriptor. Of what is written after a failure nothing reaches the disk."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd
        self._at = self._end = 0
        self._failure: OSError | None = None

    def check(self) -> None:
        """Raise what failed."""
        if self._failure is not None:
            raise self._failure

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the place of the next bytes."""
        self._at = offset + (self._at if whence == os.SEEK_CUR else self._end if whence == os.SEEK_END else 0)
        return self._at

    def tell(self) -> int:
        """The place of the next bytes."""
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Bytes that were written; zeros where none were."""
        view = memoryview(buffer).cast("B")
        found = os.pread(self._fd, len(view), self._at)
        view[:] = found + bytes(len(view) - len(found))
        self._at += len(view)
        return len(view)

    def write(self, buffer: Any) -> int:
        """Take all of it, in any case."""
        view = memoryview(buffer).cast("B")
        done = 0
        while done < len(view) and self._failure is None:
            try:
                done += os.pwrite(self._fd, view[done:], self._at + done)
            except OSError as error:
                self._failure = error
        self._at += len(view)
        self._end = max(self._end, self._at)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Make it as long as this, or as long as to where we are."""
        self._end = self._at if size is None else size
        if self._failure is None:
            try:
                os.ftruncate(self._fd, self._end)
            except OSError as error:
                self._failure = error
        return self._end

    def close(self) -> None:
        """Close the descriptor."""
        if not self.closed:
            try:
                os.close(self._fd)
            except OSError as error:  # file servers may tell of a full disk only now
                self._failure = self._failure or error
        super().close()

    def readable(self) -> bool:
        """It is."""
        return True

    def writable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True
