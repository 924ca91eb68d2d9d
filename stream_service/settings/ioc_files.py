"""Files that an IOC writes, and where the service finds what the IOC calls by a path of its own computer."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from pydantic import Field, field_validator

from stream_service.settings.base import Settings

DRIVE = re.compile(r"[A-Za-z]:(/|$)")
"""Begin of a Windows path, which has no capitals of its own."""


class IocFiles(Settings):
    """Files of one IOC."""

    path_map: dict[str, str] = Field(default_factory=dict)
    """Folders of the IOC's computer by where they are on the service's (`"/ioc/data": "/mnt/data"`, `'C:\\data'` too);
    the longest that fits wins. Left out: the same paths on both."""

    @field_validator("path_map")
    @classmethod
    def _maps_whole_paths(cls, folders: dict[str, str]) -> dict[str, str]:
        for there, here in folders.items():
            if not is_whole(there):
                raise ValueError(f"path_map: {there!r} is not a whole path on the IOC's computer (/data or C:\\data)")
            if not here.startswith("/"):
                raise ValueError(f"path_map: {here!r} is not a whole path on this computer (/mnt/data)")
        return folders

    def local_path(self, ioc_path: str) -> Path:
        """Where a file or folder of the IOC's is on this computer."""
        path = _normal(ioc_path)
        fitting = [there for there in self.path_map if _is_below(path, _normal(there))]
        if not fitting:
            return Path(path if is_whole(ioc_path) else ioc_path)
        longest = max(fitting, key=lambda there: len(_normal(there)))
        return Path(self.path_map[longest]) / path[len(_normal(longest)) :].lstrip("/")


def is_whole(ioc_path: str) -> bool:
    """True for a path that does not depend on where the IOC was started."""
    path = ioc_path.replace("\\", "/")
    return path.startswith("/") or bool(DRIVE.match(path))


def _normal(ioc_path: str) -> str:
    """With `/` between its parts, none of them empty, `.` or `..`."""
    is_windows = bool(DRIVE.match(ioc_path.replace("\\", "/"))) or ioc_path.startswith("\\\\")
    path = posixpath.normpath(ioc_path.replace("\\", "/") if is_windows else ioc_path)
    return re.sub("^/+", "/", path)


def _is_below(path: str, folder: str) -> bool:
    if DRIVE.match(folder):
        path, folder = path.lower(), folder.lower()
    return path == folder or path.startswith(folder.rstrip("/") + "/")
