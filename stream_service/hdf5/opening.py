"""Opening of an HDF5 file: closed, growing, left behind by a writer that died, or not there yet.

The superblock says whether a writer has the file open (its consistency flags). A writer in SWMR mode lets others read;
it leaves the flags set if it dies, and so does an NDFileHDF5 that could not close the file cleanly. Such files open
with `swmr=True` only.
"""

from __future__ import annotations

import ctypes
import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import h5py

from stream_service.errors import SourceError
from stream_service.hdf5.bounded_file import BoundedFile
from stream_service.hdf5.failures import HDF5_ERRORS, reason_of
from stream_service.hdf5.targets import NOWHERE_ELSE, AlsoBelow
from stream_service.processes.reading import reading

SIGNATURE = b"\x89HDF\r\n\x1a\n"
FLAGS_AT = 11
"""Of a superblock of version 3, which SWMR needs; older ones have no flags that count."""
WRITING, WRITING_SWMR = 0x01, 0x04
SUPERBLOCK_BYTES = 96
END_AT = {0: (13, 40), 1: (13, 44), 2: (9, 28), 3: (9, 28)}
"""By version of the superblock: where the size of an address stands, and the address of the file's end."""
TRUNCATED = re.compile(r"truncated file: eof = (\d+), sblock->base_addr = \d+, stored_eof = (\d+)")
"""What HDF5 says of a closed file that was cut off."""
READ_ATTEMPTS = 26
"""For one block of a growing file: 67 ms in all."""
WAIT_OR_SWMR = "wait until it is closed, or set SWMRMode of the HDF5 plugin to On before the next scan"


class BeingWrittenError(SourceError):
    """The file can be read once its writer has closed it; or the writer died, which the file does not tell."""


@dataclass(frozen=True, slots=True, eq=False)
class OpenFile:
    """An open file, and whether its writer has closed it."""

    file: BoundedFile
    is_closed: bool
    """False for one that is being written in SWMR mode, or was when its writer died."""


def open_hdf5(path: Path, also: AlsoBelow = NOWHERE_ELSE) -> OpenFile:
    """Open a file of others for reading as it is: the one way by which the daemon and its tools do.

    It leads to files below its own folder, and `also` below others. Raises `SourceError` saying why it cannot be
    opened, and what to do.
    """
    return _open(path, also, None)


def open_cut(path: Path) -> BoundedFile:
    """A file of which the end may be missing, closed by its writer or not, for repair: what lies there reads as zeros.

    Raises `SourceError`.
    """
    _check_is_file(path)
    file = _open_swmr(path, NOWHERE_ELSE, None).file
    file.allows_cut = True
    return file


def open_led_to(path: Path, led_from: BoundedFile) -> BoundedFile:
    """A file that another leads to, which may lead no further than that one may."""
    return _open(path, led_from.also, led_from).file


def _open(path: Path, also: AlsoBelow, led_from: BoundedFile | None) -> OpenFile:
    _check_is_file(path)
    flags = writer_flags(path)
    if flags & WRITING_SWMR:
        return _open_swmr(path, also, led_from)
    try:
        with reading(str(path)):
            return OpenFile(BoundedFile(path, path, also, led_from, open_led_to), is_closed=True)
    except BlockingIOError as error:
        raise BeingWrittenError(
            f"{path} is being written by another process, and not in SWMR mode; {WAIT_OR_SWMR}"
        ) from error
    except HDF5_ERRORS as error:
        if writer_flags(path) & WRITING_SWMR:  # the writer switched to SWMR between the two looks
            return _open_swmr(path, also, led_from)
        kind = BeingWrittenError if flags & WRITING else SourceError
        raise kind(_why_not(path, flags, error)) from error


def _check_is_file(path: Path) -> None:
    try:
        kind = path.stat().st_mode
    except OSError as error:
        is_missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        reason = "there is no such file" if is_missing else f"it cannot be opened: {error.strerror}"
        raise SourceError(f"{path}: {reason}") from error
    if stat.S_ISDIR(kind):
        raise SourceError(f"{path} is a folder; give a file")
    if not stat.S_ISREG(kind):
        raise SourceError(f"{path} is not a regular file; give one")


def _open_swmr(path: Path, also: AlsoBelow, led_from: BoundedFile | None) -> OpenFile:
    try:
        with reading(str(path)):
            id = h5py.h5f.open(os.fsencode(path), h5py.h5f.ACC_RDONLY | h5py.h5f.ACC_SWMR_READ, _few_attempts())
        return OpenFile(BoundedFile(id, path, also, led_from, open_led_to), is_closed=False)
    except HDF5_ERRORS as error:
        raise SourceError(_why_not(path, writer_flags(path), error)) from error


def _few_attempts() -> h5py.h5p.PropFAID:
    """Open a growing file: as h5py does it, but a damaged one is given up in a time a person waits for.

    A block that a writer is just changing is read again, 100 times by default, with a pause that doubles each time: for
    a block that stays damaged that is for ever. h5py has no name for the setting, so HDF5 itself is asked.
    """
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    with suppress(OSError, AttributeError):  # in an h5py that hides HDF5 from others it stays as it is
        set_attempts = ctypes.CDLL(h5py.h5p.__file__).H5Pset_metadata_read_attempts
        set_attempts(ctypes.c_int64(access.id), ctypes.c_uint(READ_ATTEMPTS))
    return access


def _why_not(path: Path, flags: int, error: BaseException) -> str:
    if isinstance(error, PermissionError):
        return f"{path} may not be read by this user"
    if path.stat().st_size == 0:
        return f"{path} is empty"
    if flags & WRITING:
        return (
            f"{path} is being written, not in SWMR mode, or its writer died; {WAIT_OR_SWMR}; if it died, try "
            "'h5clear -s' on a copy"
        )
    if not _has_signature(path):
        return f"{path} cannot be read as HDF5: it is no HDF5 file"
    if found := TRUNCATED.search(str(error)):
        return (
            f"{path} is shorter than it says ({found[1]} of {found[2]} bytes): it was not copied completely; copy it "
            f"again, or, of a standard file, see which rows `ptychostream repair {path}` can keep"
        )
    return f"{path} cannot be opened, it is damaged or was not copied completely: {reason_of(error)}"


def writer_flags(path: Path) -> int:
    """The consistency flags of the superblock; 0 for a file that is closed, that cannot be read, or has none."""
    try:
        with path.open("rb") as file:
            head = file.read(FLAGS_AT + 1)
    except OSError:
        return 0
    if len(head) <= FLAGS_AT or not head.startswith(SIGNATURE) or head[len(SIGNATURE)] < 3:
        return 0
    return head[FLAGS_AT]


def is_longer_than_stated(path: Path) -> bool:
    """True for a file that says of itself that it ends earlier: its writer is still at it, or died.

    Without SWMR mode nothing else in the file tells that, and where locks do not work (NFS) nothing at all.
    """
    try:
        with path.open("rb") as file:
            head, n_bytes = file.read(SUPERBLOCK_BYTES), os.fstat(file.fileno()).st_size
    except OSError:
        return False
    if len(head) < SUPERBLOCK_BYTES or not head.startswith(SIGNATURE):
        return False
    size_at, end_at = END_AT.get(head[len(SIGNATURE)], (0, 0))
    return bool(end_at) and head[size_at] == 8 and int.from_bytes(head[end_at : end_at + 8], "little") < n_bytes


def _has_signature(path: Path) -> bool:
    try:
        return bool(h5py.is_hdf5(path))
    except HDF5_ERRORS:
        return False
