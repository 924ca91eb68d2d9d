"""The file of a journal: lines that are added, and one near its start that is written over in its place.

A process that is killed leaves each line as it was before or after it was written: a line that is added is one write,
and the one that is written over lies within a page, which Linux copies as a whole. That costs 2 us, so it may be done
with every frame; it is left to the operating system, as all but the creation is.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Self

PLACE_BYTES = 256
"""Of the line that is written over, and the grid on which it lies: a page holds a whole number of them."""
MOST_BYTES = 64 << 20
"""Of a journal: 4 MiB of a request, 100 bytes for each epoch, about 1 kB whenever pixels saturate first."""


class JournalFile:
    """One such file. What cannot be written raises `OSError`; not thread-safe."""

    def __init__(self, path: Path, place: int | None) -> None:
        """`place` is where the line lies that is written over; None: there is none."""
        self.path = path
        self._place = place
        self._fd = os.open(path, os.O_WRONLY)

    @classmethod
    def create(cls, path: Path, first: bytes, rewritten: bytes) -> Self:
        """A new file, on the disk for certain, with a first line and the one that will be written over."""
        place = -(-(len(first) + 1) // PLACE_BYTES) * PLACE_BYTES
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(first.ljust(place - 1) + b"\n" + _in_place(rewritten))
            file.flush()
            os.fsync(file.fileno())
        sync(path.parent)
        return cls(path, place)

    @classmethod
    def reopened(cls, path: Path) -> Self:
        """One that was left behind; a last line that was not written to its end is cut off: the next one would not be
        one of its own."""
        with path.open("r+b") as file:
            first = len(file.readline())
            is_in_place = first % PLACE_BYTES == 0 and len(file.readline()) == PLACE_BYTES
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
        return cls(path, first if is_in_place else None)

    @property
    def n_bytes(self) -> int:
        """How long it is by now."""
        return os.fstat(self._fd).st_size

    def add(self, line: bytes) -> None:
        """In one write: a process that is killed leaves a line whole or not at all, as long as there is room."""
        text = line + b"\n"
        if self.n_bytes + len(text) > MOST_BYTES:
            raise OSError(errno.EFBIG, f"it would have more than {MOST_BYTES} bytes")
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        try:
            if os.write(fd, text) != len(text):
                raise OSError(errno.ENOSPC, "no room for a line")
        finally:
            os.close(fd)

    def write_over(self, line: bytes) -> None:
        """Put this line in the place of the one that is there."""
        if self._place is not None:
            os.pwrite(self._fd, _in_place(line), self._place)

    def end(self, line: bytes) -> None:
        """Add a last line wherever the file is by now, also under another name: its folder may come back with it."""
        os.pwrite(self._fd, line + b"\n", self.n_bytes)

    def close(self) -> None:
        """Write no more."""
        fd, self._fd, self._place = self._fd, -1, None
        if fd >= 0:
            os.close(fd)


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _in_place(line: bytes) -> bytes:
    return line.ljust(PLACE_BYTES - 1) + b"\n"
