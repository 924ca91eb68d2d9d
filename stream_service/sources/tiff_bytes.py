"""The bytes of an open TIFF file, and the shape of its numbers: byte order, classic or BigTIFF."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy.typing as npt

from stream_service.errors import SourceError

ORDERS = {b"II": "<", b"MM": ">"}
CLASSIC, BIG = 42, 43
READ_AHEAD = 4096
"""A directory and the values beside it come with one read."""


class DirectoryFormats(NamedTuple):
    """Of the number of tags, of a tag, of where the next directory is."""

    head: struct.Struct
    entry: struct.Struct
    foot: struct.Struct


FORMATS = {
    (order, kind): DirectoryFormats(*(struct.Struct(order + form) for form in forms))
    for order in ORDERS.values()
    for kind, forms in {CLASSIC: ("H", "HHI4s", "I"), BIG: ("Q", "HHQ8s", "Q")}.items()
}


class TiffBytes:
    """An open file. Raises `SourceError` naming it if it cannot be opened or is no TIFF."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe must not keep us waiting
        except OSError as error:
            raise SourceError(f"{path} cannot be opened: {error.strerror}") from error
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        status = os.fstat(self._fd)
        if not stat.S_ISREG(status.st_mode):
            raise SourceError(f"{self.path} is not a file: narrow the pattern")
        self.size = status.st_size
        self._ahead, self._ahead_at = b"", 0
        head = self._pread(min(self.size, READ_AHEAD), 0)
        order = ORDERS.get(head[:2], "")
        magic = struct.unpack(f"{order}H", head[2:4])[0] if order and len(head) >= 16 else 0
        if magic not in (CLASSIC, BIG):
            what = "is empty" if not self.size else "is not a TIFF"
            raise SourceError(f"{self.path} {what}: it begins with the bytes {head[:4].hex(' ') or '(none)'}")
        self.order = order
        self.directory_formats = FORMATS[order, magic]
        self._ahead = head
        self.first_directory: int = (
            struct.unpack(f"{order}I", head[4:8])[0] if magic == CLASSIC else struct.unpack(f"{order}Q", head[8:16])[0]
        )

    def directory_offsets(self, most: int) -> Iterator[int]:
        """Where the directories of the file's images are, one after the other, but no more than `most`."""
        head, entry, foot = self.directory_formats
        offset, seen = self.first_directory, set[int]()
        if offset == 0:
            raise SourceError(f"{self.path} holds no image")
        while offset:
            if offset in seen or len(seen) == most:
                what = "its directories go round in a circle" if offset in seen else f"it claims over {most} images"
                raise SourceError(f"{self.path} is damaged: {what}")
            seen.add(offset)
            yield offset
            (n_entries,) = head.unpack(self.read(offset, head.size))
            (offset,) = foot.unpack(self.read(offset + head.size + n_entries * entry.size, foot.size))

    def read(self, offset: int, n_bytes: int) -> bytes:
        """Exactly these bytes; raises `SourceError` if the file does not hold them."""
        start = offset - self._ahead_at
        if start < 0 or start + n_bytes > len(self._ahead):
            if offset + n_bytes > self.size:
                raise SourceError(
                    f"{self.path} is truncated or damaged: it refers to byte {offset + n_bytes} of {self.size}"
                )
            self._ahead = self._pread(max(n_bytes, READ_AHEAD), offset)
            self._ahead_at, start = offset, 0
            if len(self._ahead) < n_bytes:
                raise SourceError(f"{self.path} became shorter while it was read")
        return self._ahead[start : start + n_bytes]

    def read_into(self, array: npt.NDArray[Any], offset: int) -> None:
        """Fill a C-contiguous array with the bytes from `offset` on."""
        view = memoryview(array.data).cast("B")
        done = 0
        try:
            while done < len(view):
                n = os.preadv(self._fd, [view[done:]], offset + done)
                if n == 0:
                    raise SourceError(f"{self.path} is truncated: it ends at byte {offset + done}")
                done += n
        except OSError as error:
            raise SourceError(f"{self.path} cannot be read: {error.strerror}") from error

    def _pread(self, n_bytes: int, offset: int) -> bytes:
        try:
            return os.pread(self._fd, n_bytes, offset)
        except OSError as error:
            raise SourceError(f"{self.path} cannot be read: {error.strerror}") from error

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
