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


def is_empty(value: Value) -> bool:
    """True for the update a PVA channel gives before its first frame: no pixels, no dimensions."""
    return not value["dimension"] and value["value"] is None


def unique_id_of(value: Value) -> int:
    """The uniqueId, also of a message whose pixels cannot be decoded."""
    return int(value["uniqueId"])


def timestamp_ns_of(value: Value, field: Literal["timeStamp", "dataTimeStamp"]) -> int:
    """The detector's stamp in nanoseconds of the Unix epoch."""
    return int(value[f"{field}.secondsPastEpoch"]) * NS_PER_S + int(value[f"{field}.nanoseconds"])


def decode_ntndarray(value: Value, timestamp_field: Literal["timeStamp", "dataTimeStamp"] = "timeStamp") -> Frame:
    """A frame from a p4p `Value` (a context with `nt=False`). The pixels are the message's own memory, not a copy.

    Raises `SourceError` if it is compressed, not a mono image, or its size does not match its dimensions.
    """
    unique_id = int(value["uniqueId"])
    codec = value["codec.name"]
    if codec:
        raise SourceError(
            f"frame {unique_id} is compressed with {codec!r}, which is not supported over PVA yet; "
            "set the codec plugin's Compression to None"
        )
    pixels: Any = value["value"]
    if not isinstance(pixels, np.ndarray) or pixels.ndim != 1:
        raise SourceError(f"frame {unique_id} holds no pixels")
    shape = tuple(int(dimension["size"]) for dimension in reversed(value["dimension"]))
    if len(shape) != 2 or min(shape) < 1:
        raise SourceError(f"frame {unique_id} has shape {shape}; a mono image with two dimensions is needed")
    if pixels.dtype == np.bool_ or shape[0] * shape[1] != pixels.size:
        raise SourceError(f"frame {unique_id} says its shape is {shape} but brings {pixels.size} {pixels.dtype} values")
    attributes: dict[str, AttributeValue] = {entry["name"]: entry["value"] for entry in value["attribute"]}
    if attributes.get("ColorMode", MONO) != MONO:
        raise SourceError(f"frame {unique_id} is a colour image; set the camera's ColorMode to Mono")
    return Frame(unique_id, timestamp_ns_of(value, timestamp_field), pixels.reshape(shape), attributes)
