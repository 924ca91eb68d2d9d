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

from iocsim.detector.ndarray import Int8, NDArray, NDAttribute
from iocsim.pv import EPICS_EPOCH_S

_ATTRIBUTE_ID = "epics:nt/NTAttribute:1.0"
_ATTRIBUTE_FIELDS = [("name", "s"), ("value", "v"), ("descriptor", "s"), ("sourceType", "i"), ("source", "s")]
_ATTRIBUTE = Type(_ATTRIBUTE_FIELDS, id=_ATTRIBUTE_ID)
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
        ("attribute", ("aS", _ATTRIBUTE_ID, _ATTRIBUTE_FIELDS)),
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
    return Value(
        NTNDARRAY,
        {
            "value": _value(array),
            "codec": {"name": array.codec, "parameters": ("i", SCALAR_TYPE[_code(array)])},
            "compressedSize": array.compressed_bytes,
            "uncompressedSize": array.pixels.nbytes,
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


class Encoder:
    """Arrays as updates, one after the other: of an array like the last, only what differs is made anew.

    It takes less than half the time of `encode`. An update that was posted must not be changed by the next: p4p posts a
    copy of it, whose pixels and whose elements of `attribute` are still those of the update. Both are replaced here,
    never written to: setting `attribute` copies its elements.
    """

    def __init__(self) -> None:
        self._last: NDArray | None = None
        self._update = fresh()
        self._attributes: list[Value] = []

    def encode(self, array: NDArray) -> Value:
        """As the function does; the update is good until the next call."""
        last, update = self._last, self._update
        self._last = array
        if last is None or not _is_alike(array, last):
            self._update = encode(array)
            self._attributes = [Value(_ATTRIBUTE, _attribute(attribute)) for attribute in array.attributes]
            return self._update
        update["value"] = _value(array)
        update["compressedSize"] = array.compressed_bytes
        update["uniqueId"] = array.unique_id
        for field, stamp in (("timeStamp", _timestamp(array.timestamp_ns)), ("dataTimeStamp", _data_timestamp(array))):
            for part in ("secondsPastEpoch", "nanoseconds"):
                update[f"{field}.{part}"] = stamp[part]
        for element, attribute, before in zip(self._attributes, array.attributes, last.attributes, strict=True):
            if attribute.value != before.value:
                element["value"] = _attribute_value(attribute)
        update["attribute"] = self._attributes
        return update


def _is_alike(array: NDArray, other: NDArray) -> bool:
    """They differ in pixels, identity, time and values of attributes at most."""
    return (
        array.pixels.dtype == other.pixels.dtype
        and array.pixels.shape == other.pixels.shape
        and array.codec == other.codec
        and (array.offset, array.binning, array.reverse) == (other.offset, other.binning, other.reverse)
        and len(array.attributes) == len(other.attributes)
        and all(
            one.name == another.name
            and type(one.value) is type(another.value)
            and (one.description, one.source_type, one.source)
            == (another.description, another.source_type, another.source)
            for one, another in zip(array.attributes, other.attributes, strict=True)
        )
    )


def _code(array: NDArray) -> str:
    """Type of the pixels as numpy codes it, without the byte order."""
    return array.pixels.dtype.str[1:]


def _value(array: NDArray) -> tuple[str, Array[Any]]:
    """The member of the union `value`, and what it holds."""
    if array.compressed is None:
        return UNION_FIELD[_code(array)], np.ascontiguousarray(array.pixels).reshape(-1)
    if not array.codec:  # pixels of which some are missing
        return UNION_FIELD[_code(array)], np.frombuffer(array.compressed.payload, array.pixels.dtype)
    return "ubyteValue", np.frombuffer(array.compressed.payload, np.uint8)


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
    return {
        "name": attribute.name,
        "value": _attribute_value(attribute),
        "descriptor": attribute.description,
        "sourceType": int(attribute.source_type),
        "source": attribute.source,
    }


def _attribute_value(attribute: NDAttribute) -> Any:
    value = attribute.value
    if isinstance(value, Int8):
        return ("b", int(value))
    return ("i", value) if isinstance(value, int) else value
