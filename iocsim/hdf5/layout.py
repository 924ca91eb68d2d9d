"""Layout of NDFileHDF5's files: the default one of ADCore, and the protocol of others.

A layout makes every h5 group, dataset and link of a file at its opening, and says where detector and columns are.
Names, types and HDF5 attributes are those of files written by a real IOC.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import h5py
import numpy as np

from iocsim.detector.ndarray import Int8, NDArray, NDAttribute, SourceType
from iocsim.pv import epics_timestamp

STRING_BYTES = 256
"""Every string attribute is stored in this many bytes (MAX_ATTRIBUTE_STRING_SIZE)."""

SOURCE_NAMES: Mapping[SourceType, str] = {
    SourceType.DRIVER: "NDAttrSourceDriver",
    SourceType.PARAM: "NDAttrSourceParam",
    SourceType.EPICS_PV: "NDAttrSourceEPICSPV",
    SourceType.FUNCTION: "NDAttrSourceFunct",
    SourceType.CONSTANT: "NDAttrSourceConst",
    SourceType.UNDEFINED: "NDAttrSourceUndefined",
}

UNIQUE_ID = "NDArrayUniqueId"


@dataclass(frozen=True, slots=True)
class Column:
    """A per-frame dataset of one NDAttribute; its type is frozen when the file is opened."""

    name: str
    dtype: np.dtype[Any]
    description: str
    source_type: SourceType
    source: str

    @classmethod
    def of(cls, attribute: NDAttribute) -> Column:
        """The column for an attribute of the first frame; a PV not connected is float32 NaN for the whole file."""
        match attribute.value:
            case Int8():
                dtype = np.dtype(np.int8)
            case int():
                dtype = np.dtype(np.int32)
            case float():
                dtype = np.dtype(np.float64)
            case str():
                dtype = np.dtype(f"S{STRING_BYTES}")
            case None:
                dtype = np.dtype(np.float32)
        return cls(attribute.name, dtype, attribute.description, attribute.source_type, attribute.source)

    def stored(self, value: Any) -> Any:
        """The value as it is written: a text as its bytes; what stands for None, a frame that lacks the attribute."""
        if value is None:
            return np.nan if self.dtype.kind == "f" else self.dtype.type()
        return value.encode() if isinstance(value, str) else value


FRAME_COLUMNS = (
    Column(UNIQUE_ID, np.dtype(np.int32), "The unique ID of the NDArray", SourceType.DRIVER, "Driver"),
    Column(
        "NDArrayTimeStamp",
        np.dtype(np.float64),
        "The timestamp of the NDArray as float64",
        SourceType.DRIVER,
        "Driver",
    ),
    Column(
        "NDArrayEpicsTSSec",
        np.dtype(np.uint32),
        "The NDArray EPICS timestamp seconds past epoch",
        SourceType.DRIVER,
        "Driver",
    ),
    Column(
        "NDArrayEpicsTSnSec",
        np.dtype(np.uint32),
        "The NDArray EPICS timestamp nanoseconds",
        SourceType.DRIVER,
        "Driver",
    ),
)
"""Columns that every file has whatever the attributes; times count from the EPICS epoch, 1990."""


@dataclass(frozen=True, slots=True)
class Storage:
    """Storage of datasets: chunks, limits and filters."""

    data_shape: tuple[int, ...]
    """Shape at the opening: (1, rows, columns), or (rows, columns) for a file of a single frame."""
    data_maxshape: tuple[int | None, ...]
    data_chunks: tuple[int, ...]
    column_chunk: int
    """Frames per chunk of a column; also how many go by before a column is written."""
    filters: Mapping[str, Any]
    """Keyword arguments of h5py's create_dataset."""
    stores_columns: bool
    stores_performance: bool


@dataclass(frozen=True, slots=True)
class Places:
    """Places of the frames, the columns (by name) and the timing of the writer in a layout."""

    data: h5py.Dataset
    columns: Mapping[str, h5py.Dataset]
    performance: h5py.Dataset | None
    at_close: tuple[tuple[Column, h5py.Dataset], ...] = ()
    """Columns of one value, written when the file is closed."""
    attributes_at_close: tuple[tuple[h5py.HLObject, Any], ...] = ()
    """HDF5 attributes likewise: what has them, and its `XmlAttribute`."""

    @property
    def stays_open_with_swmr(self) -> bool:
        """A dataset has an attribute that is written at the close: with SWMR the real plugin does not close then."""
        return any(isinstance(item, h5py.Dataset) for item, _ in self.attributes_at_close)


class Layout(Protocol):
    """Makes the tree of a new file. A layout from XML is another implementation of this."""

    def create(self, file: h5py.File, first: NDArray, columns: Sequence[Column], storage: Storage) -> Places:
        """Make every h5 group, dataset and link; nothing can be added once SWMR is on."""
        ...


class DefaultLayout:
    """DEFAULT_LAYOUT of ADCore's NDFileHDF5LayoutXML.cpp."""

    def create(self, file: h5py.File, first: NDArray, columns: Sequence[Column], storage: Storage) -> Places:
        """See `Layout`."""
        entry = _group(file, "entry", "NXentry")
        instrument = _group(entry, "instrument", "NXinstrument")
        detector = _group(instrument, "detector", "NXdetector")
        detector_attributes = _group(detector, "NDAttributes", "NXcollection")
        attributes = _group(instrument, "NDAttributes", "NXcollection")
        attributes.attrs["hostname"] = np.bytes_(socket.gethostname().encode())
        performance = instrument.create_group("performance")

        data = create_detector_dataset(detector, "data", first, storage)
        data.attrs["signal"] = np.int32(1)
        _group(entry, "data", "NXdata")["data"] = data

        places: dict[str, h5py.Dataset] = {}
        if storage.stores_columns:
            for column in columns:
                group = detector_attributes if column.name == "ColorMode" else attributes
                places[column.name] = create_column(group, column, storage)
        timing = create_performance_dataset(performance, storage) if storage.stores_performance else None
        return Places(data, places, timing)


def create_detector_dataset(group: h5py.Group, name: str, first: NDArray, storage: Storage) -> h5py.Dataset:
    """The dataset of the frames, with the HDF5 attributes NDFileHDF5 gives it (x before y)."""
    data = group.create_dataset(
        name,
        shape=storage.data_shape,
        maxshape=storage.data_maxshape,
        chunks=storage.data_chunks,
        dtype=first.pixels.dtype,
        **storage.filters,
    )
    data.attrs["NDArrayNumDims"] = np.int32(len(first.dimensions))
    data.attrs["NDArrayDimOffset"] = np.array(first.offset, np.int32)
    data.attrs["NDArrayDimBinning"] = np.array(first.binning, np.int32)
    data.attrs["NDArrayDimReverse"] = np.array(first.reverse, np.int32)
    return data


def create_column(group: h5py.Group, column: Column, storage: Storage, name: str = "") -> h5py.Dataset:
    """An attribute dataset, made with one row of zero as NDFileHDF5 does; under its own name unless one is given."""
    dataset = group.create_dataset(
        name or column.name,
        shape=(1,),
        maxshape=(None,),
        chunks=(storage.column_chunk,),
        dtype=column.dtype,
        fillvalue=np.nan if column.dtype == np.float32 else None,
    )
    dataset.attrs["NDAttrName"] = np.bytes_(column.name.encode())
    dataset.attrs["NDAttrDescription"] = np.bytes_(column.description.encode())
    dataset.attrs["NDAttrSourceType"] = np.bytes_(SOURCE_NAMES[column.source_type])
    dataset.attrs["NDAttrSource"] = np.bytes_(column.source.encode())
    return dataset


def create_performance_dataset(group: h5py.Group, storage: Storage) -> h5py.Dataset:
    """`timestamp` (N, 5): how long each frame took to write; filled when the file is closed."""
    return group.create_dataset(
        "timestamp", shape=(1, 5), maxshape=(None, None), chunks=(storage.column_chunk, 5), dtype=np.float64
    )


def frame_values(array: NDArray) -> dict[str, Any]:
    """The values of one frame's columns by name; None for a PV that is not connected."""
    seconds, nanoseconds = epics_timestamp(array.timestamp_ns)
    return {
        UNIQUE_ID: array.unique_id,
        "NDArrayTimeStamp": array.epics_seconds,
        "NDArrayEpicsTSSec": seconds,
        "NDArrayEpicsTSnSec": nanoseconds,
        **{attribute.name: attribute.value for attribute in array.attributes},
    }


def _group(parent: h5py.Group, name: str, nx_class: str) -> h5py.Group:
    group = parent.create_group(name)
    group.attrs["NX_class"] = np.bytes_(nx_class)
    return group
