"""The NTNDArray structure exactly as ADCore's NDPluginPva puts it on the wire.

Field order, type codes and structure names are those recorded from a real IOC (ADCore R3-15); p4p's own NTNDArray type
has another order and more fields.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray as Array
from p4p import Type, Value

from iocsim.detector.ndarray import NDArray, NDAttribute
from iocsim.pv import EPICS_EPOCH_S

_TIME = ("S", "time_t", [("secondsPastEpoch", "l"), ("nanoseconds", "i"), ("userTag", "i")])

NTNDARRAY = Type(
    [
        (
            "value",
            (
                "U",
                "structure",
                [
                    ("booleanValue", "a?"),
                    ("byteValue", "ab"),
                    ("shortValue", "ah"),
                    ("intValue", "ai"),
                    ("longValue", "al"),
                    ("ubyteValue", "aB"),
                    ("ushortValue", "aH"),
                    ("uintValue", "aI"),
                    ("ulongValue", "aL"),
                    ("floatValue", "af"),
                    ("doubleValue", "ad"),
                ],
            ),
        ),
        ("codec", ("S", "codec_t", [("name", "s"), ("parameters", "v")])),
        ("compressedSize", "l"),
        ("uncompressedSize", "l"),
        (
            "dimension",
            (
                "aS",
                "dimension_t",
                [("size", "i"), ("offset", "i"), ("fullSize", "i"), ("binning", "i"), ("reverse", "?")],
            ),
        ),
        ("uniqueId", "i"),
        ("dataTimeStamp", _TIME),
        (
            "attribute",
            (
                "aS",
                "epics:nt/NTAttribute:1.0",
                [("name", "s"), ("value", "v"), ("descriptor", "s"), ("sourceType", "i"), ("source", "s")],
            ),
        ),
        ("descriptor", "s"),
        ("alarm", ("S", "alarm_t", [("severity", "i"), ("status", "i"), ("message", "s")])),
        ("timeStamp", _TIME),
        (
            "display",
            (
                "S",
                "display_t",
                [
                    ("limitLow", "d"),
                    ("limitHigh", "d"),
                    ("description", "s"),
                    ("format", "s"),
                    ("units", "s"),
                ],
            ),
        ),
    ],
    id="epics:nt/NTNDArray:1.0",
)

UNION_FIELD = {
    "i1": "byteValue",
    "i2": "shortValue",
    "i4": "intValue",
    "i8": "longValue",
    "u1": "ubyteValue",
    "u2": "ushortValue",
    "u4": "uintValue",
    "u8": "ulongValue",
    "f4": "floatValue",
    "f8": "doubleValue",
}
SCALAR_TYPE = {"i1": 1, "i2": 2, "i4": 3, "i8": 4, "u1": 5, "u2": 6, "u4": 7, "u8": 8, "f4": 9, "f8": 10}
"""pvData's ScalarType of the pixels; ADCore sends it as `codec.parameters`, compressed or not."""


def fresh() -> Value:
    """NTNDArray of a PV before its first frame: no value, uniqueId 0, no dimension."""
    return Value(NTNDARRAY)


def encode(array: NDArray) -> Value:
    """The array as one update with every field marked as changed, as ADCore posts it; the pixels are copied.

    Compressed pixels are bytes, and only `codec.parameters` still says of what type the pixels are.
    """
    pixels: Array[Any] = np.ascontiguousarray(array.pixels).reshape(-1)
    code = pixels.dtype.str[1:]
    if array.compressed is None:
        value = (UNION_FIELD[code], pixels)
    else:
        value = ("ubyteValue", np.frombuffer(array.compressed.payload, np.uint8))
    return Value(
        NTNDARRAY,
        {
            "value": value,
            "codec": {"name": array.codec, "parameters": ("i", SCALAR_TYPE[code])},
            "compressedSize": array.compressed_bytes,
            "uncompressedSize": pixels.nbytes,
            "dimension": _dimensions(array.dimensions, array.offset, array.binning, array.reverse),
            "uniqueId": array.unique_id,
            "dataTimeStamp": _data_timestamp(array),
            "attribute": [_attribute(attribute) for attribute in array.attributes],
            "timeStamp": _timestamp(array.timestamp_ns),
            "descriptor": "",
            "alarm": {"severity": 0, "status": 0, "message": ""},
            "display": {"limitLow": 0.0, "limitHigh": 0.0, "description": "", "format": "", "units": ""},
        },
    )


@lru_cache(maxsize=32)
def _dimensions(
    sizes: tuple[int, ...], offset: tuple[int, int], binning: tuple[int, int], reverse: tuple[bool, bool]
) -> list[dict[str, int | bool]]:
    """x first; `fullSize` is the size, not the sensor's: that is what ADCore sends."""
    return [
        {
            "size": size,
            "offset": offset[axis],
            "fullSize": size,
            "binning": binning[axis],
            "reverse": reverse[axis],
        }
        for axis, size in enumerate(sizes)
    ]


def _timestamp(unix_ns: int) -> dict[str, int]:
    seconds, nanoseconds = divmod(unix_ns, 1_000_000_000)
    return {"secondsPastEpoch": seconds, "nanoseconds": nanoseconds, "userTag": 0}


def _data_timestamp(array: NDArray) -> dict[str, int]:
    """By way of the double that NDArray.timeStamp is, rounding included, as ADCore converts it."""
    seconds = array.epics_seconds
    whole = int(seconds)
    return {
        "secondsPastEpoch": whole + EPICS_EPOCH_S,
        "nanoseconds": int((seconds - whole) * 1e9),
        "userTag": 0,
    }


def _attribute(attribute: NDAttribute) -> dict[str, Any]:
    value: Any = attribute.value
    return {
        "name": attribute.name,
        "value": ("i", value) if isinstance(value, int) else value,
        "descriptor": attribute.description,
        "sourceType": int(attribute.source_type),
        "source": attribute.source,
    }
