"""The datasets of an open HDF5 file, found by path, by name or by their HDF5 attributes.

By path they are found as the file itself allows it (`BoundedFile`). By name and attribute only those are found to which
hard links of the file lead; cycles of links are harmless: an object is visited once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import h5py
from h5py import h5l, h5o  # pyright: ignore[reportAttributeAccessIssue]

from stream_service.errors import SourceError
from stream_service.hdf5.bounded_file import BoundedFile
from stream_service.hdf5.failures import HDF5_ERRORS, readable
from stream_service.hdf5.storage import is_virtual
from stream_service.sources.hdf5.dataset import StoredDataset, read_text
from stream_service.text.utf8 import escaped, shown_name

MOST_OBJECTS = 100_000
"""Of a file; far more than any beamline's."""
DEEPEST = 32
"""Levels of h5 groups."""


class Hdf5Tree:
    """All datasets of a file that was just opened."""

    def __init__(self, file: BoundedFile, path: Path) -> None:
        self.path = path
        self._file = file
        self.file_bytes = path.stat().st_size
        """When the file was opened."""
        self._ids: dict[str, h5py.h5d.DatasetID] = {}
        """By the first path that leads to each; virtual ones, and what cannot be opened, are found by path only."""
        self._stored: dict[tuple[int, int], StoredDataset] = {}
        """By file and address."""
        self._seen: set[int] = set()
        with readable(str(path)):
            self._walk(h5py.h5g.open(file.id, b"/"), "/", 0)

    def _walk(self, group: h5py.h5g.GroupID, place: str, depth: int) -> None:
        links: list[tuple[bytes, int, int]] = []
        group.links.iterate(lambda name, info: links.append((name, info.type, info.u)), info=True)
        for name, kind, address in links:
            if kind != h5l.TYPE_HARD or address in self._seen:
                continue
            if len(self._seen) >= MOST_OBJECTS:
                raise SourceError(f"{self.path} exceeds the limit of {MOST_OBJECTS} objects")
            self._seen.add(address)
            text = escaped(name)
            path = f"{place.rstrip('/')}/{text}"
            try:
                found = self._file.opened(group, text, address)
                if isinstance(found, h5py.h5g.GroupID) and depth < DEEPEST:
                    self._walk(found, path, depth + 1)
                elif isinstance(found, h5py.h5d.DatasetID) and not is_virtual(found):
                    self._ids[path] = found
            except (SourceError, *HDF5_ERRORS):  # told when something asks for it
                continue

    def find(self, path: str) -> StoredDataset | None:
        """The dataset at a path; None if there is none. Raises `SourceError` for one that may not be read."""
        found = self._file.get(path)
        return self._dataset(found, path) if isinstance(found, h5py.Dataset) else None

    def first(self, *paths: str) -> StoredDataset | None:
        """The dataset at the first of the paths that has one."""
        return next((found for path in paths if path and (found := self.find(path)) is not None), None)

    def needed(self, path: str) -> StoredDataset:
        """The dataset at a path. Raises `SourceError` saying what is there instead."""
        found = self.find(path)
        if found is not None:
            return found
        if self.has_group(path):
            raise SourceError(f"{self.path}:{path} is an h5 group, not a dataset; it holds: {self.names_in(path)}")
        raise SourceError(f"{self.path} has no dataset {path}")

    def has_group(self, path: str) -> bool:
        """True if there is an h5 group at this path, here or in another file."""
        return isinstance(self._file.get(path), h5py.Group)

    def names_in(self, path: str = "/") -> str:
        """Names in an h5 group, for an error message."""
        group = self._file.get(path)
        return (
            ", ".join(shown_name(name) for name in (list(group)[:20] if isinstance(group, h5py.Group) else ()))
            or "nothing"
        )

    def group_text(self, path: str, name: str) -> str:
        """An HDF5 attribute of an h5 group as text; empty if either is not there."""
        group = self._file.get(path)
        return read_text(group.id, name, f"{self.path}:{path}") if isinstance(group, h5py.Group) else ""

    def with_attribute(self, name: str) -> list[StoredDataset]:
        """The datasets that have this HDF5 attribute, in the order of their paths."""
        found = [self.find(path) for path, id in sorted(self._ids.items()) if _has(id, name)]
        return [stored for stored in found if stored is not None]

    def named(self, name: str) -> Iterator[StoredDataset]:
        """The datasets of this name, wherever they are."""
        for path in list(self._ids):
            if path.rsplit("/", 1)[-1] == name and (found := self.find(path)) is not None:
                yield found

    def stacks(self) -> list[str]:
        """Paths of what might be frames, for an error message: three axes, the last two longer than 1."""
        return [path for path, id in self._ids.items() if _looks_like_frames(id)]

    def _dataset(self, found: h5py.Dataset, path: str) -> StoredDataset:
        with readable(f"{self.path}:{path}"):
            info, file_name = h5o.get_info(found.id), h5py.h5f.get_name(found.id)
        key = info.fileno, info.addr
        if key not in self._stored:
            is_elsewhere = file_name != h5py.h5f.get_name(self._file.id)
            linked_bytes = os.stat(file_name).st_size if is_elsewhere else None
            self._stored[key] = StoredDataset(found.id, path, self.path, linked_bytes)
        return self._stored[key]


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
