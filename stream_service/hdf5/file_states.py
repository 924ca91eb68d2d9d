"""Files that are read, as the file system tells of them: HDF5 does not see that a closed one is written anew."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

State = tuple[int, int, int, int] | None
"""Device, inode, bytes, time of the last writing; None where there is no such file."""


class FileStates:
    """What each file was when it was first looked at."""

    def __init__(self) -> None:
        self._then: dict[Path, State] = {}

    def changed(self, paths: Iterable[Path]) -> Path | None:
        """The first of them that is no longer what it was, or has another file's name by now; None if none is."""
        for path in paths:
            now = _state_of(path)
            if self._then.setdefault(path, now) != now:
                return path
        return None


def _state_of(path: Path) -> State:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
