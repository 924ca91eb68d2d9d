"""The files that an HDF5 file points to: where HDF5 looks for them, and whether they may be followed.

External links, virtual datasets and external storage name other files, by whatever path their author liked: what is in
those would end in our output. They are followed below the folder of the file that the operator named, and below the
folders that the operator names beside it, symbolic links resolved; never elsewhere.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from stream_service.errors import SourceError

ORIGIN = "${ORIGIN}"
"""In a prefix: the folder of the file that names the other."""


class Pointer(Enum):
    """A kind of pointer from one file to another: in words, and the variable with folders where HDF5 looks first."""

    LINK = ("leads to", "HDF5_EXT_PREFIX")
    VIRTUAL = ("is a virtual dataset on", "HDF5_VDS_PREFIX")
    STORAGE = ("has its values (external storage) in", "HDF5_EXTFILE_PREFIX")

    def __init__(self, words: str, variable: str) -> None:
        self.words, self.variable = words, variable


@dataclass(frozen=True, slots=True)
class AlsoBelow:
    """Folders that the operator names, and how they are named."""

    folders: tuple[Path, ...] = ()
    option: str = "--also-below FOLDER"


NOWHERE_ELSE = AlsoBelow()


def followed_target(name: str, file: Path, home: Path, pointer: Pointer, where: str, also: AlsoBelow) -> Path:
    """The file that `where` in `file` points to by `name`; `home` is the file that the operator named.

    Raises `SourceError` if it is not there, is none that may be followed, or is not a regular file.
    """
    found = next((path for path in _places(name, file, pointer) if os.path.lexists(path)), None)
    said = f"{where} {pointer.words} {name}"
    if found is None:
        raise SourceError(f"{said}, which is not there: copy it beside the file, so that nothing is missing unnoticed")
    real = Path(os.path.realpath(found))
    folder = Path(os.path.realpath(home)).parent
    if not any(real.is_relative_to(os.path.realpath(root)) for root in (folder, *also.folders)):
        is_linked = "" if str(real) == name else f" ({real})"
        raise SourceError(
            f"{said}{is_linked}, outside of {folder}, the folder of the file: it is not followed; name a folder below "
            f"which it may be by {also.option}, or copy the data into one file"
        )
    try:
        is_regular = stat.S_ISREG(os.stat(real).st_mode)
    except OSError as error:
        raise SourceError(f"{said}, which cannot be read: {error.strerror}") from error
    if not is_regular:
        raise SourceError(f"{said}, which is not a regular file")
    return found


def has_target(name: str, file: Path, pointer: Pointer) -> bool:
    """True if there is anything where HDF5 looks for a name."""
    return any(os.path.lexists(path) for path in _places(name, file, pointer))


def _places(name: str, file: Path, pointer: Pointer) -> Iterator[Path]:
    """Places where HDF5 looks for a name, in order (H5Lcreate_external, H5Pset_virtual_prefix, H5Pset_efile_prefix)."""
    prefixes = os.environ.get(pointer.variable, "")
    lexical, real = file.absolute().parent, Path(os.path.realpath(file)).parent
    if os.path.isabs(name):
        yield Path(name)
        if pointer is Pointer.STORAGE:
            return
        name = os.path.basename(name)
    if pointer is Pointer.STORAGE:
        # one folder; without it HDF5 would look in the current one, so the file is opened with ORIGIN for a prefix
        yield Path(_with_origin(prefixes, lexical)) / name if prefixes else lexical / name
        return
    yield from (Path(prefix) / name for prefix in prefixes.split(":") if prefix)
    if prefixes and pointer is Pointer.VIRTUAL:
        yield Path(_with_origin(prefixes, lexical)) / name
    yield from (lexical / name, Path(name), real / name)


def _with_origin(prefix: str, folder: Path) -> str:
    return str(folder) + prefix.removeprefix(ORIGIN) if prefix.startswith(ORIGIN) else prefix
