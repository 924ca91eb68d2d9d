"""The file that this process is reading, and the files that it has not finished: for the process that watches it.

Written down before a library is let at a file of others (`reading`), so that a crash or a hang there can be told with
the name of the file. Without a watching process (`guard`) nothing is written.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

HEAD = struct.Struct("<QIH")
"""Count of changes, thread that reads (0: none), bytes of the text."""
PAGE_BYTES = 4096
LONGEST_TEXT = PAGE_BYTES - HEAD.size


class Busy(NamedTuple):
    """The file that a process is reading."""

    n_changes: int
    thread: int
    """By the kernel's number; 0 when nothing is being read."""
    what: str
    """The file, or the part of it, that is read, or was read last."""


class Notes:
    """Memory and a pipe shared by a process and the child that it watches."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, PAGE_BYTES)
        self._from, self._to = os.pipe()
        os.set_blocking(self._from, False)
        self._lock = threading.Lock()
        self._read: list[tuple[int, str]] = []
        """Innermost last, of all threads."""
        self._n_changes = 0

    def begin(self, what: str) -> tuple[int, str]:
        """Note what the current thread reads."""
        entry = threading.get_native_id(), what
        with self._lock:
            self._read.append(entry)
            self._write(*entry)
        return entry

    def end(self, entry: tuple[int, str]) -> None:
        """It has been read; what it was part of is not yet."""
        with self._lock:
            self._read.remove(entry)
            self._write(*(self._read[-1] if self._read else (0, entry[1])))

    def leave(self, path: Path) -> None:
        """Note a file or folder that is to be removed if this process does not come to do it."""
        os.write(self._to, os.fsencode(path.absolute()) + b"\0")

    def busy(self) -> Busy:
        """The file that the child reads."""
        n_changes, thread, n_bytes = HEAD.unpack_from(self._page)
        text = self._page[HEAD.size : HEAD.size + min(n_bytes, LONGEST_TEXT)]
        return Busy(n_changes, thread, text.decode(errors="replace"))

    def left(self) -> list[Path]:
        """Files the child has noted since the last call, to be removed."""
        found = b""
        try:
            while more := os.read(self._from, 1 << 16):
                found += more
        except BlockingIOError:
            pass
        return [Path(os.fsdecode(name)) for name in found.split(b"\0") if name]

    def close(self) -> None:
        self._page.close()
        os.close(self._from)
        os.close(self._to)

    def _write(self, thread: int, what: str) -> None:
        text = what.encode("utf-8", "surrogateescape")[:LONGEST_TEXT]
        self._n_changes += 1
        self._page[HEAD.size : HEAD.size + len(text)] = text
        HEAD.pack_into(self._page, 0, self._n_changes, thread, len(text))


_notes: Notes | None = None
"""Those of the process that watches this one."""


def take_notes(notes: Notes) -> None:
    """From now on this process is watched."""
    global _notes
    _notes = notes


class reading:  # noqa: N801  (used as a function; a generator would cost twice the time, in every step through a file)
    """Within, a library reads `what`: a file, or a part of one, in words that a sentence can begin with."""

    __slots__ = ("_entry", "what")

    def __init__(self, what: str) -> None:
        self.what = what
        self._entry: tuple[Notes, tuple[int, str]] | None = None

    def __enter__(self) -> None:
        if _notes is not None:
            self._entry = _notes, _notes.begin(self.what)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._entry is not None:
            notes, entry = self._entry
            notes.end(entry)


def removed_at_the_end(path: Path) -> Path:
    """The path of something unfinished: whoever makes it removes it, or the watching process if this one dies."""
    if _notes is not None:
        _notes.leave(path)
    return path


def last_read() -> str:
    """The file read last; empty if there is none, or nobody watches."""
    return "" if _notes is None else _notes.busy().what
