"""An HDF5 file of others, open for reading, that leads nowhere but where it may.

Links are followed here and not by HDF5, one step after the other, so that each is looked at before anything is opened:
those within the file; those into other files, virtual datasets and external storage as `targets` allows. What comes out
is h5py's groups and datasets, which tell the process that watches this one what they read (`processes/reading.py`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import h5py
from h5py import h5d, h5f, h5g, h5i, h5l  # pyright: ignore[reportAttributeAccessIssue]

from stream_service.errors import SourceError
from stream_service.hdf5.cut_short import check_not_cut
from stream_service.hdf5.failures import readable
from stream_service.hdf5.storage import MOST_SOURCES, check_storage, opened
from stream_service.hdf5.targets import AlsoBelow, Pointer, followed_target, has_target
from stream_service.processes.reading import reading
from stream_service.text.utf8 import decoded, escaped, unescaped

MOST_HOPS = 64
"""Links followed to one object."""
MOST_FILES = 256
"""Files that external links of one file lead to, which stay open as long as it does."""
FORMAT_NAME = "ptychostream standard file"
"""`/entry@format` of a standard file."""
THIS_FILE = "."
"""The name by which a virtual dataset calls its own file."""


Opener = Callable[[Path, "BoundedFile"], "BoundedFile"]
"""Opens a file that another leads to."""


class _Named:
    """Names that are text whatever their bytes are: h5py would give those as `bytes` that are not UTF-8."""

    def _d(self, name: bytes | None) -> str | None:
        return None if name is None else escaped(name)


class _Attributes(_Named, h5py.AttributeManager):
    """HDF5 attributes, which may lie in heaps of their own."""

    def __getitem__(self, name: str) -> Any:
        with reading(f"{os.fsdecode(h5f.get_name(self._id))}:{_path_of(self._id)}@{name}"):
            return super().__getitem__(unescaped(name))


class BoundedDataset(_Named, h5py.Dataset):
    """A dataset of a bounded file. What HDF5 cannot read of it raises `SourceError`."""

    def __init__(self, id: h5d.DatasetID) -> None:
        super().__init__(id, readonly=True)
        self._where = f"{os.fsdecode(h5f.get_name(id))}:{_path_of(id)}"

    @property
    def attrs(self) -> h5py.AttributeManager:
        return _Attributes(self)

    def __getitem__(self, args: Any, new_dtype: Any = None) -> Any:
        with readable(self._where):
            return super().__getitem__(args, new_dtype)

    def read_direct(self, dest: Any, source_sel: Any = None, dest_sel: Any = None) -> None:
        """As h5py's."""
        with readable(self._where):
            super().read_direct(dest, source_sel, dest_sel)


class _Bounded(_Named, h5py.Group):
    """Common part of groups and the file itself; `_bounds` is the file that the group is in."""

    _bounds: BoundedFile

    @property
    def attrs(self) -> h5py.AttributeManager:
        return _Attributes(self)

    def __iter__(self) -> Generator[Any, None, None]:
        with reading(f"{self._bounds.path}:{_path_of(self.id)}"):
            names = list(super().__iter__())
        yield from names

    def __getitem__(self, name: Any) -> Any:
        if not isinstance(name, str | bytes):
            raise TypeError(f"{name!r} is not a path")
        return self._bounds.reached(self.id, name if isinstance(name, str) else escaped(name))

    def __contains__(self, name: Any) -> bool:
        return self.get(name) is not None

    def get(self, name: str, default: Any = None, *, getlink: bool = False) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """As h5py's; with `getlink` the link itself, if this very group has it."""
        try:
            return _link_of(self.id, name) if getlink else self[name]
        except KeyError:
            return default


class BoundedGroup(_Bounded):
    """An h5 group of a bounded file."""

    def __init__(self, id: h5g.GroupID, bounds: BoundedFile) -> None:
        super().__init__(id)
        self._bounds = bounds


class BoundedFile(_Bounded, h5py.File):  # pyright: ignore[reportIncompatibleMethodOverride]
    """The file itself. `home` is the file that the operator named: this one, or the one that led to it."""

    def __init__(
        self, source: Any, path: Path, also: AlsoBelow, led_from: BoundedFile | None, open_led_to: Opener
    ) -> None:
        """`source` is an identifier of h5py, or a path; `open_led_to` opens what it leads to. Raises what h5py does."""
        if isinstance(source, h5py.h5f.FileID):
            super().__init__(source)
        else:
            super().__init__(source, "r")
        self._bounds = self
        self.path = path
        self.also = also
        self.home: Path = path if led_from is None else led_from.home
        self.depth: int = 0 if led_from is None else led_from.depth + 1
        self._targets: dict[tuple[str, Pointer], Path] = {}
        self._followed: set[Path] = set() if led_from is None else led_from._followed
        self._sources: dict[tuple[Path, str], tuple[int, ...] | None] = {} if led_from is None else led_from._sources
        """Of virtual datasets, all that have been looked at."""
        self._open_led_to = open_led_to
        self._led_to: dict[Path, BoundedFile] = {}
        self._datasets: dict[int, h5d.DatasetID] = {}
        """By address. Under SWMR a second handle of a dataset reads wrong values (h5py issue 2803)."""
        self._checked: set[int] = set()
        """Addresses of those whose values may be read."""
        self.allows_cut = False
        """Whether values may lie beyond the end of the file, which a repair looks for."""

    def close(self) -> None:
        """Close it, and every file that a link led to."""
        for target in self._led_to.values():
            target.close()
        self._led_to.clear()
        self._datasets.clear()
        super().close()

    @property
    def files(self) -> tuple[Path, ...]:
        """This file, and those that were reached from it so far."""
        return (self.path, *self._followed)

    @property
    def is_standard(self) -> bool:
        """True if `/entry` says that this project wrote it."""
        entry = self.get("/entry")
        form = entry.attrs.get("format") if isinstance(entry, h5py.Group) else None
        return isinstance(form, str | bytes) and decoded(form) == FORMAT_NAME

    def reached(self, start: h5g.GroupID, name: str) -> BoundedGroup | BoundedDataset | h5py.Datatype:
        """The object at a path from a group. Raises `KeyError` if there is none, `SourceError` if it may not be."""
        with readable(str(self.path)):
            file, group = self, h5g.open(self.id, b"/") if name.startswith("/") else start
        todo, hops = _parts(name), 0
        while todo:
            part = todo.pop()
            address = _address(group, part)
            if address is None:
                hops += 1
                if hops > MOST_HOPS:
                    raise KeyError(f"{name}: links lead round in a circle")
                file, group, beyond = file._beyond(group, part)
                todo += beyond
                continue
            found = file.opened(group, part, address)
            if isinstance(found, h5g.GroupID):
                group = found
            elif todo:
                raise KeyError(f"{name}: {part!r} is no h5 group")
            else:
                return file._readable(found, address) if isinstance(found, h5d.DatasetID) else h5py.Datatype(found)
        return BoundedGroup(group, file)

    def target(self, name: str, pointer: Pointer, where: str) -> Path:
        """The file that `where` points to. Raises `SourceError` if it may not be followed."""
        if (name, pointer) not in self._targets:
            found = followed_target(name, self.path, self.home, pointer, where, self.also)
            self._targets[name, pointer] = found
            self._followed.add(found)
        return self._targets[name, pointer]

    def has_target(self, name: str, pointer: Pointer) -> bool:
        """True if there is such a file; it may still be none that is followed."""
        return name == THIS_FILE or has_target(name, self.path, pointer)

    def shape_of_source(self, file_name: str, name: str, where: str) -> tuple[int, ...] | None:
        """The shape of a dataset that a virtual one at `where` is a view of; None if there is none in that file.

        Raises `SourceError` if either may not be read. Every file is opened once for each of its datasets.
        """
        path = self.path if file_name == THIS_FILE else self.target(file_name, Pointer.VIRTUAL, where)
        key = path, name
        if key not in self._sources:
            if len(self._sources) >= MOST_SOURCES:
                raise SourceError(f"{where} is a virtual dataset on more than {MOST_SOURCES} others: none is followed")
            with self._open_led_to(path, self) as source:
                found = source.get(name)
                self._sources[key] = found.shape if isinstance(found, h5py.Dataset) else None
        return self._sources[key]

    def _beyond(self, group: h5g.GroupID, name: str) -> tuple[BoundedFile, h5g.GroupID, list[str]]:
        """Target of a soft or external link: a file, an h5 group in it, and the path from there."""
        with readable(f"{self.path}:{_path_of(group, name)}"):
            link = _link_of(group, name)
        if isinstance(link, h5py.SoftLink):
            start = h5g.open(self.id, b"/") if link.path.startswith("/") else group
            return self, start, _parts(link.path)
        assert isinstance(link, h5py.ExternalLink), "a hard link leads to an object"
        file = self._file_of(link, f"{self.path}:{_path_of(group, name)}")
        return file, h5g.open(file.id, b"/"), _parts(link.path)

    def _file_of(self, link: h5py.ExternalLink, where: str) -> BoundedFile:
        path = self.target(str(link.filename), Pointer.LINK, where)
        real = Path(os.path.realpath(path))
        if real == Path(os.path.realpath(self.path)):
            return self
        if real not in self._led_to:
            if self.depth >= MOST_HOPS or len(self._led_to) >= MOST_FILES:
                raise SourceError(f"{where} leads on and on from file to file; that is not followed")
            self._led_to[real] = self._open_led_to(path, self)
        return self._led_to[real]

    def opened(self, group: h5g.GroupID, name: str, address: int) -> Any:
        """The object behind a hard link; a dataset is opened once. Whether its values may be read is not known yet."""
        if address in self._datasets:
            return self._datasets[address]
        with readable(f"{self.path}:{_path_of(group, name)}"):
            found = opened(group, unescaped(name))
        if isinstance(found, h5d.DatasetID):
            self._datasets[address] = found
        return found

    def _readable(self, id: h5d.DatasetID, address: int) -> BoundedDataset:
        """A dataset of this file whose values may be read. Raises `SourceError`."""
        if address not in self._checked:
            path = _path_of(id)
            with readable(f"{self.path}:{path}"):
                check_storage(id, self, path)
                if not self.allows_cut:
                    check_not_cut(id, self, path)
            self._checked.add(address)
        return BoundedDataset(id)


def _parts(path: str) -> list[str]:
    """The names in a path, the last one first."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def _path_of(id: h5g.GroupID | h5d.DatasetID, name: str = "") -> str:
    place = escaped(h5i.get_name(id) or b"")
    return f"{place.rstrip('/')}/{name}" if name else place


def _address(group: h5g.GroupID, name: str) -> int | None:
    """That of the object; None for a link that is not hard. Raises `KeyError` if there is none of this name."""
    encoded = unescaped(name)
    with readable(f"{os.fsdecode(h5f.get_name(group))}:{_path_of(group, name)}"):
        is_there = group.links.exists(encoded)
        info = group.links.get_info(encoded) if is_there else None
    if info is None:
        raise KeyError(f"there is nothing at {_path_of(group, name)}")
    return info.u if info.type == h5l.TYPE_HARD else None


def _link_of(group: h5g.GroupID, name: str) -> h5py.HardLink | h5py.SoftLink | h5py.ExternalLink:
    encoded = unescaped(name)
    if not group.links.exists(encoded):
        raise KeyError(f"there is nothing at {_path_of(group, name)}")
    kind = group.links.get_info(encoded).type
    if kind == h5l.TYPE_HARD:
        return h5py.HardLink()
    if kind not in (h5l.TYPE_SOFT, h5l.TYPE_EXTERNAL):
        raise KeyError(f"{_path_of(group, name)} is a link of a kind that only its author knows")
    value = group.links.get_val(encoded)
    if kind == h5l.TYPE_SOFT:
        return h5py.SoftLink(escaped(value))
    file_name, path = value
    return h5py.ExternalLink(os.fsdecode(file_name), escaped(path))
