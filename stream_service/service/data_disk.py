"""The disk of the data root: what is free on it, and whether it is still there and takes files.

A disk that is unmounted leaves its empty folder behind, and files would fill the disk of the system.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from stream_service.errors import ConfigError
from stream_service.settings.service_status import DataPlace


class DataDisk:
    """Of one data root. A look may hang, as a file server does."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._mount: Path | None = None
        """Where its disk was mounted at the first look; None: not looked yet."""

    def look(self) -> DataPlace:
        """How it is now."""
        if self._mount is None:
            self._mount = mount_point(self._root)
        if problem := self.unmounted:
            return DataPlace(str(self._root), problem=problem)
        try:
            found = os.statvfs(self._root)
        except FileNotFoundError:
            return DataPlace(str(self._root), problem=absence(self._root))
        except OSError as error:
            return DataPlace(str(self._root), problem=f"{self._root} cannot be read: {error.strerror}")
        problem = f"{self._root} is on a disk that is read-only" if found.f_flag & os.ST_RDONLY else ""
        return DataPlace(str(self._root), float(found.f_bavail * found.f_frsize), problem)

    @property
    def unmounted(self) -> str:
        """A sentence if the disk has gone since the first look; empty if it has not."""
        if self._mount is None or self._mount == Path("/"):
            return ""
        with suppress(OSError):
            os.statvfs(self._mount)  # an automounter mounts it for that, and not for a look at whether it is
        if os.path.ismount(self._mount):
            return ""
        return f"the disk at {self._mount} is not mounted any more: mount it again, files would fill another disk"

    def check(self) -> None:
        """Raises `ConfigError` if files would go to another disk than that of the first look."""
        if problem := self.unmounted:
            raise ConfigError(problem)


def absence(root: Path) -> str:
    """A sentence if a data root is not there, as where its disk was not mounted; empty if it is."""
    if os.path.lexists(root):
        return ""
    return f"{root} is not there: a run makes it, on the disk of {mount_point(root)}; is its own disk mounted?"


def mount_point(path: Path) -> Path:
    """The folder around a path, or the path itself, at which its disk is mounted."""
    real = Path(os.path.realpath(path))
    return next((folder for folder in (real, *real.parents) if os.path.ismount(folder)), Path("/"))
