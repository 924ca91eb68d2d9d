"""The NDArray of the simulated detector: pixels, identity, time and attributes, as plugins receive it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray as Array

from iocsim.pv import EPICS_EPOCH_S

DATA_TYPES = (
    "Int8",
    "UInt8",
    "Int16",
    "UInt16",
    "Int32",
    "UInt32",
    "Int64",
    "UInt64",
    "Float32",
    "Float64",
)
"""NDDataType_t of ADCore, in its order; each is the name of a numpy dtype in capitals."""


class SourceType(IntEnum):
    """Source of an NDAttribute (NDAttrSource_t of ADCore)."""

    DRIVER = 0
    PARAM = 1
    EPICS_PV = 2
    FUNCTION = 3
    CONSTANT = 4
    UNDEFINED = 5


class Int8(int):
    """The value of an NDAttribute of one byte, with a sign."""


@dataclass(frozen=True, slots=True)
class NDAttribute:
    """One named value on a frame: an int is an int32, a float a float64; None is a PV that is not connected."""

    name: str
    value: int | float | str | None
    description: str
    source_type: SourceType
    source: str


@dataclass(frozen=True, slots=True)
class Compressed:
    """Compressed pixels of a frame."""

    codec: str
    """`codec.name` on the wire, for example `bslz4`; empty for plain pixels, of which some are missing."""
    payload: bytes


@dataclass(frozen=True, slots=True)
class NDArray:
    """One frame as it leaves the detector driver or a plugin; nobody may write into `pixels`.

    `pixels` is (rows, columns) in C order; with `compressed`, that is sent instead, and size and type are still those
    of the pixels. `timestamp_ns` is the end of the exposure, Unix epoch. The offsets, binnings
    and reversals are those of the readout region, x (columns) first.
    """

    pixels: Array[Any]
    unique_id: int
    timestamp_ns: int
    attributes: tuple[NDAttribute, ...]
    offset: tuple[int, int] = (0, 0)
    binning: tuple[int, int] = (1, 1)
    reverse: tuple[bool, bool] = (False, False)
    compressed: Compressed | None = None
    exposure_ns: int = 0
    """How long before `timestamp_ns` the exposure began."""
    number: int = 0
    """Of the frame in its acquisition, from 0: not in an NDArray, but in what a control unit sends."""

    @property
    def codec(self) -> str:
        """The name of the codec; empty for plain pixels."""
        return "" if self.compressed is None else self.compressed.codec

    @property
    def compressed_bytes(self) -> int:
        """`compressedSize`: what is sent, in bytes; the size of the pixels if they are sent as they are."""
        return self.pixels.nbytes if self.compressed is None else len(self.compressed.payload)

    @property
    def dimensions(self) -> tuple[int, int]:
        """Size in x, then in y: the order of areaDetector."""
        rows, columns = self.pixels.shape
        return columns, rows

    @property
    def epics_seconds(self) -> float:
        """The double `NDArray.timeStamp`: seconds of the EPICS epoch, good to about 100 ns."""
        return (self.timestamp_ns - EPICS_EPOCH_S * 1_000_000_000) / 1e9


def data_type(name: str) -> np.dtype[Any]:
    """The numpy dtype of an areaDetector type name such as `UInt16`."""
    if name not in DATA_TYPES:
        raise ValueError(f"{name!r} is no areaDetector data type: use one of {', '.join(DATA_TYPES)}")
    return np.dtype(name.lower())


def data_type_name(dtype: np.dtype[Any]) -> str:
    """The areaDetector name of a dtype; raises ValueError for one that no detector sends."""
    for name in DATA_TYPES:
        if dtype == name.lower():
            return name
    raise ValueError(f"areaDetector has no data type for {dtype}: use one of {', '.join(DATA_TYPES)}")


def converted(pixels: Array[Any], dtype: np.dtype[Any]) -> Array[Any]:
    """The pixels in another type, clipped to its range; the same array if it already has that type."""
    if pixels.dtype == dtype:
        return pixels
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        pixels = np.clip(pixels, info.min, info.max)
    return pixels.astype(dtype)
