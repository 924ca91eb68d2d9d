"""An HDF5 file that is being written, whose disk may fail at any moment without taking the process along.

HDF5 (2.0 as well) does not survive a failed write of its own: closing such a file, or only leaving Python with it open,
follows freed memory (measured: 15 of 43 places where a write can fail end in a segmentation fault). Hence

- a file is created as an image in memory and written out by plain system calls, then opened: `H5Fcreate` itself crashes
  on a disk with less than 4 kB;
- room is reserved before HDF5 writes (`reserve`), with a margin in which the file can still be closed;
- where a write fails all the same, HDF5 is given a file in memory in place of the disk's before it is told to let go
  (`abandon`); the disk's file stays as the last flush left it.
"""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import resource
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py

from stream_service.standard_file.write.write_errors import HDF5_FAILURES, NoRoomError

MARGIN_BYTES = 512 << 10
"""Kept free for closing: the last chunks, indexes and texts of a standard file take 300 kB at most (measured)."""
STEP_BYTES = 16 << 20
"""Reserved at once, where the disk has as much: a system call for every 64 frames of 256² pixels."""
KEEP_SIZE = 1
"""`FALLOC_FL_KEEP_SIZE` (linux/falloc.h): blocks beyond the end of the file, which readers do not see."""
UNSUPPORTED = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENODEV, errno.ESPIPE)
"""What file systems say that cannot reserve."""

_fallocate: Any = getattr(ctypes.CDLL(None, use_errno=True), "fallocate", None)
_images = itertools.count()
"""HDF5 knows a file in memory by its name, of which two may be made at the same time."""
_kept: list[Any] = []
"""What HDF5 could not let go of: never freed, and its inode never given to another file, which HDF5 would mix up."""


class GuardedFile:
    """One open HDF5 file, `file`. Make it with a new name; use it as a context manager, or `close` or `abandon` it.

    As a context manager it is closed when the block ends well, and abandoned, still under its name, when it raises.
    """

    def __init__(self, path: Path, fill: Callable[[h5py.File], None] = lambda _: None, **options: Any) -> None:
        """A new file of what `fill` puts into it; `options` are h5py's. Raises `OSError`; it then removes the name."""
        image = _image(fill, options)
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        """The file as the system has it, beside HDF5 and longer than it."""
        try:
            self._reserved = 0
            self._allocate(0, len(image))
            _write_all(self.fd, image)
            self.file = h5py.File(path, "r+", **options)
            self._hdf5_fd = int(self.file.id.get_vfd_handle())
        except BaseException:
            os.close(self.fd)
            with suppress(OSError):
                path.unlink()
            raise

    def reserve(self, n_bytes: int) -> None:
        """Have room for so many bytes more, and for closing; raises `OSError` before HDF5 meets a full disk."""
        self._allocate(int(self.file.id.get_filesize()), n_bytes)

    def is_called(self, path: Path) -> None:
        """Have `fd` under the name that the file was given: what it is called later can be read from that alone."""
        named = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        os.dup2(named, self.fd, inheritable=False)
        os.close(named)

    def close(self) -> None:
        """Close the file; raises one of `HDF5_FAILURES`, and has abandoned it then."""
        try:
            self.file.flush()
            self.file.close()
        except HDF5_FAILURES:
            self.abandon()
            raise
        self._release()

    def abandon(self, *, keep_fd: bool = False) -> None:
        """Let go of the file without another write to the disk; with `keep_fd`, `fd` stays open for plain writes."""
        if _is_same_file(self._hdf5_fd, self.fd):
            substitute = _substitute()
            os.dup2(substitute, self._hdf5_fd, inheritable=False)
            os.close(substitute)
        try:
            self.file.close()
        except HDF5_FAILURES:
            _kept.append((self.file, os.dup(self.fd)))
        if not keep_fd:
            os.close(self.fd)

    def __enter__(self) -> h5py.File:
        return self.file

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()

    def _release(self) -> None:
        """Give back what was reserved and not used."""
        with suppress(OSError):
            os.ftruncate(self.fd, os.fstat(self.fd).st_size)
        os.close(self.fd)

    def _allocate(self, end: int, n_bytes: int) -> None:
        needed = end + n_bytes + MARGIN_BYTES
        limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        if limit != resource.RLIM_INFINITY and needed > limit:
            raise NoRoomError(errno.EFBIG, limit, needed)
        if needed <= self._reserved:
            return
        for wanted in (needed + STEP_BYTES, needed):
            try:
                _reserve(self.fd, self._reserved, wanted - self._reserved)
            except OSError as error:
                if error.errno in UNSUPPORTED:
                    _check_free(self.fd, n_bytes + MARGIN_BYTES)
                    return
                if wanted == needed:
                    raise NoRoomError(error.errno, _free_bytes(self.fd), needed - self._reserved) from error
            else:
                self._reserved = wanted
                return


def _image(fill: Callable[[h5py.File], None], options: dict[str, Any]) -> bytes:
    creation = {name: value for name, value in options.items() if name != "locking"}
    with h5py.File(f"image {next(_images)}", "w", driver="core", backing_store=False, **creation) as file:
        fill(file)
        file.flush()
        return file.id.get_file_image()


def _write_all(fd: int, image: bytes) -> None:
    left = memoryview(image)
    while left:
        left = left[os.write(fd, left) :]


def _reserve(fd: int, start: int, n_bytes: int) -> None:
    if _fallocate is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if _fallocate(fd, KEEP_SIZE, ctypes.c_longlong(start), ctypes.c_longlong(n_bytes)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _free_bytes(fd: int) -> int:
    found = os.fstatvfs(fd)
    return found.f_bavail * found.f_frsize


def _check_free(fd: int, n_bytes: int) -> None:
    if (free := _free_bytes(fd)) < n_bytes:
        raise NoRoomError(errno.ENOSPC, free, n_bytes)


def _is_same_file(one: int, other: int) -> bool:
    """False if HDF5 has closed its descriptor, and the number may be another's by now."""
    with suppress(OSError):
        return os.path.sameopenfile(one, other)
    return False


def _substitute() -> int:
    """A file that takes every write: in memory, or nowhere where files may not be long (`ulimit -f`)."""
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if limit == resource.RLIM_INFINITY and hasattr(os, "memfd_create"):
        return os.memfd_create("abandoned.h5")
    return os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
