"""From an NTNDArray, as areaDetector sends it, to a `Frame`.

Fields are read by name (their order differs between servers). `dimension[0]` is x, the fastest; the shape of a frame is
(y, x). A message that is not what it claims raises `SourceError` and is the sender's fault. Plain pixels take no more
memory than they brought along; compressed ones a few times the frame, but no more than `codecs` says of their length.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from p4p.wrapper import Value

from stream_service.core.frame import MOST_NS, NS_PER_S, AttributeValue, Frame
from stream_service.errors import SourceError
from stream_service.sources.live.codecs import DTYPES, LONGEST_NAME, decode_payload

COLOR_MODE = "ColorMode"
MONO = 0
"""NDColorMode of a frame with one value per pixel."""
MESSAGE_BYTES = 4096
"""What a message takes beside its pixels; typical of a dozen attributes."""
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


def identity_of(value: Value, field: TimestampField) -> tuple[int, int]:
    """Id and stamp of the frame in a message, whatever else is in it. Raises `SourceError` if it has none."""
    try:
        unique_id = int(value["uniqueId"])
    except NOT_AS_EXPECTED as error:
        raise SourceError(f"a message that is not an NTNDArray: {error}") from error
    return unique_id, timestamp_ns_of(value, field)


def decode_ntndarray(
    value: Value,
    timestamp_field: TimestampField = "timeStamp",
    received_s: float | None = None,
    wanted: Container[str] | None = None,
    *,
    waited_s: float = 0.0,
) -> Frame:
    """A frame from a p4p `Value` (a context with `nt=False`) that came at `received_s` (see `Frame`).

    Plain pixels are the message's own memory, not a copy; compressed ones are decoded into a new array. Of the
    NDAttributes those that are `wanted` (None: all) and are scalars or texts are the frame's. Raises `SourceError` if
    the message is not a mono image, its size does not match its dimensions, its payload cannot be decoded, or it is
    not an NTNDArray at all.
    """
    try:
        unique_id = int(value["uniqueId"])
        codec = str(value["codec.name"])
        content: Any = value["value"]
        sizes = [int(dimension["size"]) for dimension in value["dimension"]]
        named = ((entry["name"], entry) for entry in value["attribute"])
        attributes = {
            name: entry["value"] for name, entry in named if wanted is None or name in wanted or name == COLOR_MODE
        }
    except NOT_AS_EXPECTED as error:
        raise SourceError(f"a message that is not an NTNDArray: {error}") from error
    if not isinstance(content, np.ndarray) or content.ndim != 1:
        raise SourceError(f"frame {unique_id} holds no pixels")
    if len(sizes) != 2:
        raise SourceError(f"frame {unique_id} has {len(sizes)} dimensions; a mono image with two is needed")
    scalars: dict[str, AttributeValue] = {
        name: entry for name, entry in attributes.items() if entry is None or isinstance(entry, float | int | str)
    }
    if scalars.get(COLOR_MODE) not in (None, MONO):
        raise SourceError(f"frame {unique_id} is a colour image; set the camera's ColorMode to Mono")
    timestamp_ns = timestamp_ns_of(value, timestamp_field)
    try:
        pixels = _pixels(value, codec, content, (sizes[1], sizes[0]))
    except SourceError as error:
        raise SourceError(f"frame {unique_id}: {error}") from error
    return Frame(unique_id, timestamp_ns, pixels, scalars, received_s, waited_s=waited_s)


def _pixels(value: Value, codec: str, content: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    if codec:
        return _decompressed(value, codec, content, shape)
    if content.dtype.kind not in "iuf" or min(shape) < 1 or shape[0] * shape[1] != content.size:
        raise SourceError(f"its shape is said to be {shape}, but it brings {content.size} {content.dtype} values")
    return content.reshape(shape)


def _decompressed(value: Value, codec: str, content: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """The pixels in the first `compressedSize` bytes. ADCore sends no more than these; other servers may."""
    try:
        type_code: Any = value["codec.parameters"]
        n_compressed, n_bytes = int(value["compressedSize"]), int(value["uncompressedSize"])
    except NOT_AS_EXPECTED as error:
        raise SourceError(
            f"it is compressed with {codec[:LONGEST_NAME]!r}, but not all is said about it: {error}"
        ) from error
    dtype = DTYPES.get(type_code) if isinstance(type_code, int) else None
    if dtype is None:
        raise SourceError("codec.parameters do not say of what type its pixels were before they were compressed")
    if n_bytes != shape[0] * shape[1] * dtype.itemsize:
        raise SourceError(f"{shape} {dtype} values do not take the {n_bytes} bytes that its uncompressedSize says")
    if content.dtype not in ("u1", "i1") or not 0 < n_compressed <= content.size:
        raise SourceError(f"its compressedSize is {n_compressed}, but it brings {content.size} {content.dtype} values")
    return decode_payload(codec, content[:n_compressed].view(np.uint8), dtype, shape)
