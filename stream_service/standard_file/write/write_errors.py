"""Errors of h5py and the operating system when writing fails, in one plain sentence with what to do."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

from stream_service.errors import WriteError

HDF5_FAILURES = (OSError, RuntimeError, ValueError, KeyError)
"""What h5py raises for an error of the HDF5 library, depending on its kind."""

_ERRNO_IN_TEXT = re.compile(r"errno\s*=?\s*(\d+)", re.IGNORECASE)

_ADVICE = {
    errno.ENOSPC: "the disk is full: free space or choose another folder",
    errno.EDQUOT: "your quota on this disk is used up: free space or ask for more",
    errno.EFBIG: "the file would be larger than this system allows (ulimit -f)",
    errno.EACCES: "permission denied: let the user who runs the service write into this folder",
    errno.EPERM: "permission denied: let the user who runs the service write into this folder",
    errno.EROFS: "this file system is read-only: choose another data root",
    errno.EEXIST: "it exists already and is never overwritten: choose another scan_id or move it away",
    errno.ENOENT: "the folder does not exist: create it, or check that the data disk is mounted",
    errno.ENOTDIR: "a part of this path is a file, not a folder: correct the path",
    errno.ENAMETOOLONG: "the name is too long for this file system: choose a shorter scan_id",
    errno.EAGAIN: "another process holds a lock on it: close the program that has it open",
    errno.ENOLCK: "this file system gives no locks: use a local disk, GPFS or Lustre, or HDF5_USE_FILE_LOCKING=FALSE",
    errno.EIO: "the disk reports an I/O error: check the disk and its connection",
    errno.ESTALE: "the file server has lost the file: SWMR needs a local disk, GPFS or Lustre, not NFS or SMB",
}


class NoRoomError(OSError):
    """The disk, or a limit, has less than is needed; HDF5 has not been asked to write yet."""

    def __init__(self, number: int | None, free_bytes: int, needed_bytes: int) -> None:
        super().__init__(number, os.strerror(number or errno.ENOSPC))
        self.free_bytes = free_bytes
        self.needed_bytes = needed_bytes


def write_error(path: Path, action: str, error: Exception) -> WriteError:
    """A `WriteError` that names the file, what was being done, why it failed and what to do."""
    number = errno_of(error)
    if number in _ADVICE:
        cause = _ADVICE[number]
    elif number is not None:
        cause = os.strerror(number)
    else:
        cause = str(error).partition("\n")[0]
    if isinstance(error, NoRoomError):
        has = "allowed" if number == errno.EFBIG else "left"
        cause += f" ({_megabytes(error.free_bytes)} {has}, {_megabytes(error.needed_bytes)} needed)"
    return WriteError(f"{path}: could not {action}: {cause}.")


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.3g} MB"


def errno_of(error: Exception) -> int | None:
    """The number of the system's error behind one of h5py's; None if there is none."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    found = _ERRNO_IN_TEXT.search(str(error))
    return int(found[1]) if found else None
