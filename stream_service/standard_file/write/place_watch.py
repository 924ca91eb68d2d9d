"""The place of a growing file: whether its name still leads to it, and the rescue of one that was deleted.

Whoever deletes, moves or replaces a file does not hinder its writer, which goes on into a file without a name; the rows
are gone when it is closed. So the name is looked up before each flush (2 µs).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from stream_service.errors import WriteError

OPEN_FILE = "/proc/self/fd/{}"
"""Where Linux tells what an open file is called by now."""


@dataclass(frozen=True, slots=True)
class Rescue:
    """A file without a name that is still open: its content, and the name that it is to have."""

    fd: int
    path: Path

    def copy(self, say_in: Callable[[int, str], None]) -> None:
        """Copy it there, closed as it is by now.

        Where its folder has gone meanwhile, as by an `rm -r` that was still at work, it gets the next one around it;
        that is first said in the file itself, by `say_in` with its descriptor and the sentence.
        Raises `WriteError` that says so, `OSError` if it cannot be copied.
        """
        with open(self.fd, "rb") as source:
            try:
                _copy(source, self.path)
            except (FileNotFoundError, NotADirectoryError):
                place = _free_name(_folder_for_rescue(self.path) / self.path.name)
                moved = f"{self.path} could not be made, since its folder has gone, too: the rows are in {place}"
                say_in(self.fd, moved)
                _copy(source, place)
                raise WriteError(moved) from None


class PlaceWatch:
    """Compares the file at `path` with the one that is open as `fd`."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd = fd
        self._identity = _identity(os.fstat(fd))
        self._n_bytes = 0
        self._rescue_path: Path | None = None

    def check(self) -> None:
        """Raises `WriteError` if the name leads elsewhere or the file was cut short, `OSError` if one cannot look."""
        try:
            found = os.stat(self.path)
        except PermissionError:  # the folder was closed to us: the file in it goes on
            return
        except (FileNotFoundError, NotADirectoryError):
            raise self._lost("deleted") from None
        if _identity(found) != self._identity:
            raise self._lost("replaced by another file")
        if found.st_size < self._n_bytes:
            raise WriteError(
                f"{self.path} was cut short by another program while it was written, from {self._n_bytes} to "
                f"{found.st_size} bytes: its rows are not to be trusted; repeat the scan"
            )
        self._n_bytes = found.st_size

    def rescue(self) -> Rescue | None:
        """Action to be taken when the file is closed; None if it has a name."""
        return Rescue(os.dup(self._fd), self._rescue_path) if self._rescue_path is not None else None

    def _lost(self, what_happened: str) -> WriteError:
        if os.fstat(self._fd).st_nlink:
            with suppress(OSError):
                place = os.readlink(OPEN_FILE.format(self._fd))
                return WriteError(
                    f"{self.path} was moved while it was written (it is {place} now; was its folder renamed, or its "
                    "disk unmounted?): its rows up to then are there"
                )
        folder = _folder_for_rescue(self.path)
        self._rescue_path = _free_name(folder / f"{self.path.stem}.rescued{self.path.suffix}")
        return WriteError(
            f"{self.path} was {what_happened} while it was written: its rows up to then are in {self._rescue_path}"
        )


def _copy(source: BinaryIO, path: Path) -> None:
    """Copy a whole file to a name that is free; nothing is left there where that fails. Raises `OSError`."""
    try:
        with path.open("xb") as target:
            source.seek(0)
            shutil.copyfileobj(source, target, 16 << 20)
    except OSError:
        with suppress(OSError):
            path.unlink()
        raise


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _folder_for_rescue(path: Path) -> Path:
    """The innermost folder around a path that is there and takes files, or is there at least."""
    there = [parent for parent in path.absolute().parents if parent.is_dir()]
    writable = (folder for folder in there if os.access(folder, os.W_OK | os.X_OK, effective_ids=True))
    return next(writable, there[0])


def _free_name(path: Path) -> Path:
    candidate, number = path, 1
    while os.path.lexists(candidate):
        number += 1
        candidate = path.with_name(f"{path.stem}{number}{path.suffix}")
    return candidate
