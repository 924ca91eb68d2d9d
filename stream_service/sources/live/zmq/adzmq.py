"""ADZMQ: what areaDetector's NDPluginZMQ sends, `array-1.0`: a header and the pixels.

The header (`adzmq_header.py`) says shape and type of the pixels; `frame` is the NDArray's uniqueId and `timeStamp` its
timeStamp, the same number as PVA's dataTimeStamp, here in seconds of the EPICS epoch:

    {"htype":"array-1.0", "type":"uint16", "shape":[48,64], "frame":133, "timeStamp":1164720511.6749575,
     "encoding":"", "ndattr":{"ColorMode":0,"POSX":1.5}}

Since ADZMQ 1.4.0 the shape is (y, x); before, it was (x, y), and htype a list of one name. A stream has no begin and no
end, and what a subscriber misses is not counted anywhere: the ids tell. ADZMQ cuts or pads what a codec plugin has
compressed to the size of the pixels, so compressed frames are lost.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_service.core.frame import (
    EPICS_EPOCH_S,
    MOST_FRAME_BYTES,
    MOST_NS,
    NO_STAMP,
    NS_PER_S,
    AttributeValue,
    Frame,
)
from stream_service.core.stream import Begin
from stream_service.errors import BadFrameError, SourceError
from stream_service.sources.live.codecs import DTYPES, LONGEST_NAME
from stream_service.sources.live.ntndarray import COLOR_MODE, MONO
from stream_service.sources.live.zmq.adzmq_header import read_header
from stream_service.sources.live.zmq.dialect import Part, Received
from stream_service.sources.live.zmq.foreign import description, htype_of

HTYPE = "array-1.0"
TYPES = tuple(dtype.name for dtype in DTYPES.values())
"""Of pixels."""
ORDERS = ("little", "big")
"""The plugin tells none, and sends that of its IOC; the specification says little where none is told."""
DTYPES_SENT = {(dtype.name, order): dtype.newbyteorder(order) for dtype in DTYPES.values() for order in ORDERS}
"""By type and byte order."""
NOT_CONNECTED = "Undefined"
"""Text of an attribute whose PV is not connected."""
INT32 = range(-(2**31), 2**31)
"""Of uniqueId."""
MOST_S = MOST_NS // NS_PER_S - EPICS_EPOCH_S
"""Limit of a stamp in seconds of the EPICS epoch."""
INT64 = range(-(2**63), 2**64)
"""Of an attribute, signed or not."""


class Adzmq:
    """Frames from messages of ADZMQ, with those NDAttributes that are `wanted` (None: all) and are scalars or texts.

    A message tells all about its frame: nothing is kept from one to the next. Pixels are the message's own memory, not
    a copy; only those of the other byte order are converted.
    """

    name = "ADZMQ"
    sending = "EnableCallbacks of its plugin is 1"

    def __init__(self, wanted: Container[str] | None = None) -> None:
        self._wanted = wanted

    def begin(self) -> Begin:
        """Nothing is known before the first frame."""
        return Begin()

    def decode(self, message: Received) -> Frame:
        """The frame in a message.

        Raises `SourceError` if it is not one of ADZMQ; `BadFrameError` if it is no mono image, compressed, larger than
        MOST_FRAME_BYTES, or if the pixels are not as many as the header says.
        """
        parts = message.parts
        try:
            header = read_header(parts[0]) if parts else {}
        except SourceError as error:
            if htype_of(parts[0]) == HTYPE:
                raise SourceError(f"a message of ADZMQ cannot be read: {error}") from error
            header = {}
        htype = header.get("htype")
        if htype not in (HTYPE, [HTYPE]):
            raise SourceError(f"a message that is not one of ADZMQ: {description(parts)}")
        unique_id = header.get("frame")
        if type(unique_id) is not int or unique_id not in INT32:
            raise SourceError(f"a message of ADZMQ whose frame is {_shown(unique_id)}, which no uniqueId is")
        try:
            return self._frame(unique_id, header, message, is_x_first=htype != HTYPE)
        except SourceError as error:
            raise BadFrameError(str(error), unique_id) from error

    def _frame(self, unique_id: int, header: Mapping[str, Any], message: Received, *, is_x_first: bool) -> Frame:
        parts = message.parts
        if len(parts) != 2:
            raise SourceError(f"frame {unique_id} came in {len(parts)} parts; ADZMQ sends two")
        attributes = self._attributes_in(header.get("ndattr", {}))
        shape = _shape(unique_id, header.get("shape"), is_x_first=is_x_first)
        if attributes.get(COLOR_MODE) not in (None, MONO):
            raise SourceError(f"frame {unique_id} is a colour image; set the camera's ColorMode to Mono")
        encoding = header.get("encoding", "")
        if encoding != "":
            raise SourceError(
                f"frame {unique_id} is compressed with {_shown(encoding)}, and ADZMQ cuts or pads that to the size of "
                "its pixels, so it cannot be decoded: set the ZMQ plugin's NDArrayPort to the camera, not to the codec"
            )
        timestamp_ns = _timestamp_ns(unique_id, header.get("timeStamp"))
        try:
            pixels = _pixels(parts[1], _dtype(header), shape)
        except SourceError as error:
            raise SourceError(f"frame {unique_id}: {error}") from error
        return Frame(unique_id, timestamp_ns, pixels, attributes, message.at_s, waited_s=message.waited_s)

    def _attributes_in(self, written: Any) -> dict[str, AttributeValue]:
        wanted = self._wanted
        if not isinstance(written, dict):
            return {}
        return {
            name: None if value == NOT_CONNECTED or (type(value) is int and value not in INT64) else value
            for name, value in written.items()
            if (wanted is None or name in wanted or name == COLOR_MODE)
            and (value is None or isinstance(value, float | int | str))
        }


def _shape(unique_id: int, sizes: Any, *, is_x_first: bool) -> tuple[int, int]:
    """(y, x), unchecked but for their number and type."""
    if not isinstance(sizes, list) or not all(type(size) is int for size in sizes):
        raise SourceError(f"frame {unique_id} does not say its shape")
    if len(sizes) != 2:
        raise SourceError(f"frame {unique_id} has {len(sizes)} dimensions; a mono image with two is needed")
    return (sizes[1], sizes[0]) if is_x_first else (sizes[0], sizes[1])


def _timestamp_ns(unique_id: int, seconds: Any) -> int:
    """As ADCore converts it for PVA, rounding included; `NO_STAMP` if there is none, as of old versions of ADZMQ."""
    if seconds is None:
        return NO_STAMP
    if type(seconds) not in (int, float) or not -MOST_S <= seconds <= MOST_S:
        raise SourceError(
            f"frame {unique_id} is stamped {_shown(seconds)} s after 1990, which cannot be: check the detector's clock"
        )
    whole = math.floor(seconds)
    return (whole + EPICS_EPOCH_S) * NS_PER_S + int((seconds - whole) * 1e9)


def _dtype(header: Mapping[str, Any]) -> np.dtype[Any]:
    """Of the pixels as they are in the message."""
    name, order = header.get("type"), header.get("endianness", header.get("endianess", "little"))
    if name not in TYPES:
        raise SourceError(f"its type is {_shown(name)}, which is none of {', '.join(TYPES)}")
    if order not in ORDERS:
        raise SourceError(f"its byte order is {_shown(order)}, which is neither little nor big")
    return DTYPES_SENT[name, order]


def _pixels(part: Part, dtype: np.dtype[Any], shape: tuple[int, int]) -> NDArray[Any]:
    n_bytes = shape[0] * shape[1] * dtype.itemsize
    if min(shape) < 1 or n_bytes > MOST_FRAME_BYTES:
        sizes = f"({_shown(shape[0])}, {_shown(shape[1])})"
        raise SourceError(f"a frame has 1 to {MOST_FRAME_BYTES} bytes, not {sizes} {dtype.name} values")
    if part.nbytes != n_bytes:
        raise SourceError(f"its shape is said to be {shape}, but it brings {part.nbytes} bytes of {dtype.name} values")
    pixels = np.frombuffer(part, dtype).reshape(shape)
    return pixels if dtype.isnative else pixels.astype(dtype.newbyteorder("="))


def _shown(value: Any) -> str:
    """A value from a header, cut to what an error message can hold."""
    is_small = value is None or isinstance(value, int | float | str)
    return repr(value)[:LONGEST_NAME] if is_small else f"a {type(value).__name__}"
