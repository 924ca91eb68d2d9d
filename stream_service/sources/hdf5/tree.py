"""The datasets of an open HDF5 file, each opened once, found by path or by their HDF5 attributes.

Hard and soft links are followed within the file; what is kept in other files is reached as the file itself allows it
(`BoundedFile`). Cycles of links are harmless: an object is visited once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import h5py
from h5py import h5l  # pyright: ignore[reportAttributeAccessIssue]

from stream_service.errors import SourceError
from stream_service.hdf5.bounded_file import BoundedFile
from stream_service.hdf5.failures import HDF5_ERRORS, readable
from stream_service.hdf5.storage import is_virtual, opened
from stream_service.sources.hdf5.dataset import StoredDataset, read_text

MOST_OBJECTS = 100_000
"""Of a file; far more than any beamline's."""
DEEPEST = 32
"""Levels of h5 groups."""
MOST_HOPS = 64
"""Links followed to one object."""
ROOT, ELSEWHERE = 0, -1
"""In place of an address: the root h5 group, which no link tells, and what is in another file."""


@dataclass(frozen=True, slots=True)
class _Group:
    id: h5py.h5g.GroupID
    path: str
    links: dict[str, int | str | None] = field(default_factory=dict)
    """By name: the address of an object, the path a soft link leads to, or None for a link into another file."""


class Hdf5Tree:
    """All groups, links and datasets of a file that was just opened."""

    def __init__(self, file: BoundedFile, path: Path) -> None:
        self.path = path
        self._file = file
        self.file_bytes = path.stat().st_size
        """When the file was opened."""
        with readable(str(path)):
            root_id = h5py.h5g.open(file.id, b"/")
            self._groups: dict[int, _Group] = {ROOT: _Group(root_id, "/")}
            self._ids: dict[int, tuple[h5py.h5d.DatasetID, str]] = {}
            self._datasets: dict[int, StoredDataset] = {}
            self._elsewhere: dict[str, StoredDataset] = {}
            """By path: virtual datasets, and those in other files."""
            self._broken: set[int] = set()
            self._virtual: set[int] = set()
            self._walk(self._groups[ROOT], 0)

    def _walk(self, group: _Group, depth: int) -> None:
        links: list[tuple[bytes, int, int]] = []
        group.id.links.iterate(lambda name, info: links.append((name, info.type, info.u)), info=True)
        for name, kind, address in links:
            text = name.decode("utf-8", "surrogateescape")
            if kind == h5l.TYPE_SOFT:
                group.links[text] = group.id.links.get_val(name).decode("utf-8", "surrogateescape")
            elif kind != h5l.TYPE_HARD:
                group.links[text] = None
            else:
                group.links[text] = address
                self._enter(group, name, f"{group.path.rstrip('/')}/{text}", address, depth)

    def _enter(self, group: _Group, name: bytes, path: str, address: int, depth: int) -> None:
        if address in self._groups or address in self._ids or address in self._broken or depth >= DEEPEST:
            return
        if len(self._groups) + len(self._ids) >= MOST_OBJECTS:
            raise SourceError(f"{self.path} holds more than {MOST_OBJECTS} objects; it is not believed")
        try:
            id = opened(group.id, name)
            if isinstance(id, h5py.h5d.DatasetID) and is_virtual(id):
                self._virtual.add(address)
            elif isinstance(id, h5py.h5d.DatasetID):
                self._ids[address] = id, path
            elif isinstance(id, h5py.h5g.GroupID):
                self._groups[address] = child = _Group(id, path)
                self._walk(child, depth + 1)
        except HDF5_ERRORS:  # reported when something asks for it
            self._broken.add(address)

    def find(self, path: str) -> StoredDataset | None:
        """The dataset at a path; None if there is none. Raises `SourceError` for one that may not be followed."""
        address = self._address(path)
        if address == ELSEWHERE or address in self._virtual:
            return self._beyond(path)
        return self._dataset(address) if address in self._ids else None

    def first(self, *paths: str) -> StoredDataset | None:
        """The dataset at the first of the paths that has one."""
        return next((found for path in paths if path and (found := self.find(path)) is not None), None)

    def needed(self, path: str) -> StoredDataset:
        """The dataset at a path. Raises `SourceError` saying what is there instead."""
        found = self.find(path)
        if found is not None:
            return found
        address = self._address(path)
        if address == ELSEWHERE:
            raise SourceError(f"{self.path}:{path} leads into another file, which has no dataset there")
        if address in self._broken:
            raise SourceError(f"{self.path}:{path} cannot be read: the file is damaged")
        if address in self._groups:
            raise SourceError(f"{self.path}:{path} is an h5 group, not a dataset; it holds: {self.names_in(path)}")
        raise SourceError(f"{self.path} has no dataset {path}")

    def has_name(self, path: str) -> bool:
        """True if there is a dataset at this path, here or in another file."""
        address = self._address(path)
        return address in self._ids or address in self._virtual or address == ELSEWHERE

    def has_group(self, path: str) -> bool:
        """True if there is an h5 group at this path, here or in another file."""
        address = self._address(path)
        if address == ELSEWHERE:
            return isinstance(self._file.get(path), h5py.Group)
        return address in self._groups

    def names_in(self, path: str = "/") -> str:
        """Names in an h5 group, for an error message."""
        group = self._groups.get(self._address(path) or ROOT)
        return ", ".join(list(group.links)[:20]) if group and group.links else "nothing"

    def group_text(self, path: str, name: str) -> str:
        """An HDF5 attribute of an h5 group as text; empty if either is not there."""
        address = self._address(path)
        if address is None or address not in self._groups:
            return ""
        return read_text(self._groups[address].id, name, f"{self.path}:{path}")

    def with_attribute(self, name: str) -> list[StoredDataset]:
        """The datasets that have this HDF5 attribute, in the order of their paths."""
        found = [(path, address) for address, (id, path) in self._ids.items() if _has(id, name)]
        return [self._dataset(address) for _, address in sorted(found)]

    def named(self, name: str) -> Iterator[StoredDataset]:
        """The datasets of this name, wherever they are."""
        for address, (_, path) in list(self._ids.items()):
            if path.rsplit("/", 1)[-1] == name:
                yield self._dataset(address)

    def stacks(self) -> list[str]:
        """Paths of what might be frames, for an error message: three axes, the last two longer than 1."""
        return [path for id, path in self._ids.values() if _looks_like_frames(id)]

    def _dataset(self, address: int) -> StoredDataset:
        if address not in self._datasets:
            id, path = self._ids[address]
            self._file.check_storage(id, path)
            self._datasets[address] = StoredDataset(id, path, self.path)
        return self._datasets[address]

    def _beyond(self, path: str) -> StoredDataset | None:
        if path not in self._elsewhere:
            found = self._file.get(path)
            if not isinstance(found, h5py.Dataset):
                return None
            linked_bytes = os.stat(h5py.h5f.get_name(found.id)).st_size
            self._elsewhere[path] = StoredDataset(found.id, path, self.path, linked_bytes)
        return self._elsewhere[path]

    def _address(self, path: str) -> int | None:
        """The address of the object at a path; None if there is nothing."""
        todo = [part for part in reversed(path.split("/")) if part not in ("", ".")]
        group, address, hops = self._groups[ROOT], ROOT, 0
        while todo:
            name = todo.pop()
            if name not in group.links:
                return None
            target = group.links[name]
            if target is None:
                return ELSEWHERE
            if isinstance(target, str):
                hops += 1
                if hops > MOST_HOPS:
                    return None
                todo += [part for part in reversed(target.split("/")) if part not in ("", ".")]
                group = self._groups[ROOT] if target.startswith("/") else group
                address = ROOT
                continue
            address = target
            if todo:
                if address not in self._groups:
                    return None
                group = self._groups[address]
        return address


def _has(id: h5py.h5d.DatasetID, name: str) -> bool:
    try:
        return bool(h5py.h5a.exists(id, name.encode()))
    except HDF5_ERRORS:
        return False


def _looks_like_frames(id: h5py.h5d.DatasetID) -> bool:
    try:
        shape = id.shape
    except HDF5_ERRORS:
        return False
    return shape is not None and len(shape) == 3 and min(shape[1:]) > 1
