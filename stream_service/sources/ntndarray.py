"""From an NTNDArray, as areaDetector sends it, to a `Frame`.

Fields are read by name (their order differs between servers). `dimension[0]` is x, the fastest; the shape of a frame is
(y, x). A message that is not what it claims raises `SourceError` and is the sender's fault; it never takes more memory
than it brought along.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from p4p.wrapper import Value

from stream_service.core.frame import NS_PER_S, AttributeValue, Frame
from stream_service.errors import SourceError

MONO = 0
"""NDColorMode of a frame with one value per pixel."""
MESSAGE_BYTES = 4096
"""What a message takes beside its pixels; typical of a dozen attributes."""
LONGEST_NAME = 40
"""Characters of a name from the sender that go into an error message."""
MOST_NS = 1 << 62
"""Stamps beyond the year 2116 are not believed, so that sums of times stay within 64 bits."""
NEEDED_FIELDS = ("value", "codec", "dimension", "uniqueId", "dataTimeStamp", "attribute", "timeStamp")

NOT_AS_EXPECTED = (LookupError, TypeError, ValueError, OverflowError)
"""What reading a field raises that is missing or of another type."""

TimestampField = Literal["timeStamp", "dataTimeStamp"]


def is_ntndarray(value: Value) -> bool:
    """True if a message has the fields of an NTNDArray."""
    return all(value.has(field) for field in NEEDED_FIELDS)


def is_empty(value: Value) -> bool:
    """True for the update a PVA channel gives before its first frame: no pixels, no dimensions."""
    dimensions = value.get("dimension")
    return isinstance(dimensions, list) and not dimensions and value.get("value") is None


def held_bytes(value: Value) -> int:
    """Memory that a message holds, whatever it says about its size."""
    pixels = value.get("value")
    return MESSAGE_BYTES + (pixels.nbytes if isinstance(pixels, np.ndarray) else 0)


def timestamp_ns_of(value: Value, field: TimestampField) -> int:
    """The detector's stamp in nanoseconds of the Unix epoch. Raises `SourceError` if it cannot be one."""
    try:
        stamp_ns = int(value[f"{field}.secondsPastEpoch"]) * NS_PER_S + int(value[f"{field}.nanoseconds"])
    except NOT_AS_EXPECTED as error:
        raise SourceError(f"a frame without a {field}: {error}") from error
    if abs(stamp_ns) > MOST_NS:
        raise SourceError(f"a frame is stamped {stamp_ns} ns after 1970, which cannot be: check the detector's clock")
    return stamp_ns


def decode_ntndarray(value: Value, timestamp_field: TimestampField = "timeStamp") -> Frame:
    """A frame from a p4p `Value` (a context with `nt=False`). The pixels are the message's own memory, not a copy.

    NDAttributes are scalars or texts; one that is neither is left out. Raises `SourceError` if the message is
    compressed, not a mono image, its size does not match its dimensions, or it is no NTNDArray at all.
    """
    try:
        unique_id = int(value["uniqueId"])
        codec = str(value["codec.name"])
        pixels: Any = value["value"]
        sizes = [int(dimension["size"]) for dimension in value["dimension"]]
        attributes = {entry["name"]: entry["value"] for entry in value["attribute"]}
    except NOT_AS_EXPECTED as error:
        raise SourceError(f"a message that is no NTNDArray: {error}") from error
    if codec:
        raise SourceError(
            f"frame {unique_id} is compressed with {codec[:LONGEST_NAME]!r}, which is not supported over PVA yet; "
            "set the codec plugin's Compression to None"
        )
    if not isinstance(pixels, np.ndarray) or pixels.ndim != 1:
        raise SourceError(f"frame {unique_id} holds no pixels")
    if len(sizes) != 2:
        raise SourceError(f"frame {unique_id} has {len(sizes)} dimensions; a mono image with two is needed")
    shape = sizes[1], sizes[0]
    if pixels.dtype.kind not in "iuf" or min(shape) < 1 or shape[0] * shape[1] != pixels.size:
        raise SourceError(f"frame {unique_id} says its shape is {shape} but brings {pixels.size} {pixels.dtype} values")
    scalars: dict[str, AttributeValue] = {
        name: entry for name, entry in attributes.items() if entry is None or isinstance(entry, float | int | str)
    }
    if scalars.get("ColorMode") not in (None, MONO):
        raise SourceError(f"frame {unique_id} is a colour image; set the camera's ColorMode to Mono")
    return Frame(unique_id, timestamp_ns_of(value, timestamp_field), pixels.reshape(shape), scalars)
