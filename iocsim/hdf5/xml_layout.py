"""The tree of a file by a layout from XML, made in the order in which NDFileHDF5 makes it."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np

from iocsim.detector.ndarray import NDArray
from iocsim.hdf5.layout import (
    Column,
    Places,
    Storage,
    create_column,
    create_detector_dataset,
    create_performance_dataset,
    frame_values,
)
from iocsim.hdf5.xml import XmlAttribute, XmlDataset, XmlGroup, XmlLayoutFile

NO_DETECTOR = "status=3"
"""All that WriteMessage says of a layout without a detector dataset; the console says more."""


class XmlLayout:
    """A `Layout` from XML."""

    def __init__(self, layout: XmlLayoutFile) -> None:
        self._layout = layout

    def create(self, file: h5py.File, first: NDArray, columns: Sequence[Column], storage: Storage) -> Places:
        """See `Layout`. Raises ValueError, with the groups made so far left in the file."""
        if self._layout.destination:
            raise ValueError("detector_data_destination is not simulated")
        values = frame_values(first)
        detectors: dict[str, tuple[XmlDataset, h5py.Dataset]] = {}
        closing: list[tuple[h5py.HLObject, XmlAttribute]] = []
        for path, group in self._layout.root.walk():
            place = file.require_group(path or "/")
            _write_attributes(place, group.attributes, values, closing)
            if group.is_default:
                place.attrs["hostname"] = np.bytes_(socket.gethostname().encode())
            for name, dataset in group.datasets.items():
                if dataset.source == "detector":
                    made = create_detector_dataset(place, name, first, storage)
                    detectors[f"{path}/{name}"] = dataset, made
                    _write_attributes(made, dataset.attributes, values, closing)
                elif dataset.source == "constant" and not _is_timing(group, name):
                    made = place.create_dataset(name, data=_constant_dataset(dataset.type, dataset.value))
                    _write_attributes(made, dataset.attributes, values, closing)
        if not detectors:
            raise ValueError(NO_DETECTOR)
        places = _Columns(file, self._layout, storage, values, closing)
        if storage.stores_columns:
            for column in columns:
                places.add(column)
        timing = self._timing(file, storage) if storage.stores_performance else None
        self._link(file)
        marked = [made for dataset, made in detectors.values() if dataset.is_default]
        data = marked[0] if marked else detectors[min(detectors)][1]
        return Places(data, places.per_frame, timing, tuple(places.at_close), tuple(closing))

    def _timing(self, file: h5py.File, storage: Storage) -> h5py.Dataset | None:
        """In `performance` if that has a dataset `timestamp` for it, else where unnamed NDAttributes go."""
        named = [(path, group) for path, group in self._layout.root.walk() if "timestamp" in group.datasets]
        if named and _is_timing(named[0][1], "timestamp"):
            place = file.require_group(named[0][0])
        else:
            place = _default_place(file, self._layout)
        if place is None or "timestamp" in place:
            return None
        return create_performance_dataset(place, storage)

    def _link(self, file: h5py.File) -> None:
        for path, group in self._layout.root.walk():
            place = file.require_group(path or "/")
            for name, target in group.links.items():
                if target in file and name not in place:
                    place[name] = file[target]


class _Columns:
    """The datasets of NDAttributes: for each frame, or once."""

    def __init__(
        self,
        file: h5py.File,
        layout: XmlLayoutFile,
        storage: Storage,
        values: Mapping[str, Any],
        closing: list[tuple[h5py.HLObject, XmlAttribute]],
    ) -> None:
        self._file = file
        self._layout = layout
        self._storage = storage
        self._values = values
        self._closing = closing
        self.per_frame: dict[str, h5py.Dataset] = {}
        self.at_close: list[tuple[Column, h5py.Dataset]] = []

    def add(self, column: Column) -> None:
        """Make the dataset of one NDAttribute: the first that names it, else one in the default group."""
        for path, group in self._layout.root.walk():
            for dataset in group.datasets.values():
                if dataset.source == "ndattribute" and dataset.ndattribute == column.name:
                    self._make(self._file.require_group(path), column, dataset)
                    return
        place = _default_place(self._file, self._layout)
        if place is not None and column.name not in place:
            self.per_frame[column.name] = create_column(place, column, self._storage)

    def _make(self, place: h5py.Group, column: Column, dataset: XmlDataset) -> None:
        made = create_column(place, column, self._storage, dataset.name)
        _write_attributes(made, dataset.attributes, self._values, self._closing)
        match dataset.when:
            case "OnFileOpen":
                made[0] = column.stored(self._values.get(column.name))
            case "OnFileClose":
                self.at_close.append((column, made))
            case _:
                self.per_frame[column.name] = made


def _default_place(file: h5py.File, layout: XmlLayoutFile) -> h5py.Group | None:
    for path, group in layout.root.walk():
        if group.is_default:
            return file.require_group(path)
    return file.require_group("/") if layout.keeps_unnamed else None


def _is_timing(group: XmlGroup, name: str) -> bool:
    return group.name == "performance" and name == "timestamp" and group.datasets[name].source != "ndattribute"


def _write_attributes(
    item: h5py.HLObject,
    attributes: Sequence[XmlAttribute],
    values: Mapping[str, Any],
    closing: list[tuple[h5py.HLObject, XmlAttribute]],
) -> None:
    for attribute in attributes:
        if attribute.source == "constant":
            item.attrs[attribute.name] = constant_attribute(attribute.type, attribute.value)
        elif attribute.source == "ndattribute" and attribute.ndattribute in values:
            write_attribute(item, attribute, values)
            if attribute.is_at_close:
                closing.append((item, attribute))


def write_attribute(item: h5py.HLObject, attribute: XmlAttribute, values: Mapping[str, Any]) -> None:
    """Give `item` the HDF5 attribute with the value that its NDAttribute has in `values`, if it has one."""
    value = values.get(attribute.ndattribute)
    match value:
        case str():
            item.attrs[attribute.name] = np.bytes_(value.encode())
        case int():
            item.attrs[attribute.name] = np.int32(value)
        case float():
            item.attrs[attribute.name] = np.float64(value)


def constant_attribute(kind: str, text: str) -> Any:
    """A constant as HDF5 attribute: a string, a scalar, or (n,)."""
    if kind not in _NUMBERS:
        return np.bytes_(text.encode())
    return _numbers(kind, text)


def _constant_dataset(kind: str, text: str) -> Any:
    if kind not in _NUMBERS:
        return np.array([text.encode()], dtype=f"S{len(text.encode()) + 1}")
    return _numbers(kind, text)


_NUMBERS = {"int": (np.int32, int), "float": (np.float64, float)}
_LEADING = re.compile(r"\s*([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)\s*,?")


def _numbers(kind: str, text: str) -> Any:
    """As many numbers as there are at the beginning, as C++ streams read them; a scalar for one of them."""
    dtype, parse = _NUMBERS[kind]
    values: list[float] = []
    position = 0
    while match := _LEADING.match(text, position):
        try:
            values.append(parse(match[1]))
        except ValueError:  # an int that goes on as a float: it ends at the point
            values.append(int(match[1].partition(".")[0]))
            break
        position = match.end()
    return dtype(values[0]) if len(values) == 1 else np.array(values, dtype)
