"""Stream2, which the control unit of a Dectris detector sends by PUSH from port 31001.

A message is one map in CBOR, whose `type` is `start`, `image` or `end`. An image has a map from the names of channels
(thresholds) to pixels: a multi-dimensional array (tag 40: [[y, x], values]) of a typed array (tags 64 to 86), of whose
bytes Dectris' tag 56500 says how they are compressed. Series are told apart by `series_id` and `series_unique_id`.

Images are counted from 0 in each series: uniqueId is one more. The stamp is the start of the exposure: `series_date`
plus `start_time`, a number of ticks and their frequency, rounded down to nanoseconds as ADEiger does. What the pixels
mean is said in `dectris_encodings`.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

import numpy as np

from stream_service.core.frame import NS_PER_S, AttributeValue, Frame
from stream_service.core.stream import Begin, Series, SeriesEnd, StreamEvent
from stream_service.errors import SourceError
from stream_service.sources.live.zmq.cbor import Tagged, decode_cbor
from stream_service.sources.live.zmq.dectris_dates import unix_ns
from stream_service.sources.live.zmq.dectris_encodings import ByteOrder, Encoding, decode_pixels
from stream_service.sources.live.zmq.dectris_fields import (
    REAL_TIME,
    n_images,
    numbers_in,
    positive_s,
    possible_stamp,
    shape_of,
    shown,
    whole_number,
)
from stream_service.sources.live.zmq.dectris_series import LONGEST_IDENTITY, DectrisSeries, SeriesHeader
from stream_service.sources.live.zmq.dialect import Part, Received
from stream_service.sources.live.zmq.foreign import description, is_cbor

DATE, ROW_MAJOR, COMPRESSED, SELF_DESCRIBED = 0, 40, 56500, 55799
"""Tags: of a date; of an array with its shape; of compressed bytes; of an item that says so that it is CBOR."""
TYPED_ARRAYS: dict[int, tuple[str, ByteOrder]] = {
    64: ("u1", "<"), 65: ("u2", ">"), 66: ("u4", ">"), 67: ("u8", ">"), 69: ("u2", "<"), 70: ("u4", "<"),
    71: ("u8", "<"), 72: ("i1", "<"), 73: ("i2", ">"), 74: ("i4", ">"), 75: ("i8", ">"), 77: ("i2", "<"),
    78: ("i4", "<"), 79: ("i8", "<"), 81: ("f4", ">"), 82: ("f8", ">"), 85: ("f4", "<"), 86: ("f8", "<"),
}  # fmt: skip
"""Type and byte order of values by their tag (RFC 8746)."""
CODECS = {"bslz4": "bslz4", "lz4": "lz4hdf5"}
"""By the name that tag 56500 gives them."""
MOST_CHANNELS_SHOWN = 4
WHOSE = "a message of Stream2 whose"


class Stream2:
    """A `Dialect`."""

    name = "Stream2"
    sending = "its stream interface is enabled, in the format cbor"

    def __init__(self, channel: str = "", wanted: Container[str] | None = None) -> None:
        """`channel`: that of which the pixels are, needed if images have several; `wanted`: attributes (None: all)."""
        self._channel = channel
        self._wanted = wanted
        self._series = DectrisSeries()

    def decode(self, message: Received) -> StreamEvent | None:
        parts = message.parts
        if not parts or not is_cbor(parts[0]):
            raise SourceError(f"a message that is not one of Stream2: {description(parts)}")
        if len(parts) != 1:
            raise SourceError(f"a message of Stream2 came in {len(parts)} parts, not one")
        fields = _fields(parts[0])
        kind = fields.get("type")
        if kind == "image":
            return self._frame(fields, message)
        if kind == "start":
            return self._announced(fields, message.at_s)
        if kind == "end":
            ended = self._series.ended(whole_number(fields, "series_id", WHOSE), _identity(fields), message.at_s)
            return None if ended is None else SeriesEnd(ended.epoch)
        raise SourceError(f"a message of Stream2 of type {shown(kind)}, none of start, image, end")

    def begin(self) -> Begin:
        return self._series.begin()

    def _announced(self, fields: Mapping[str, Any], at_s: float | None) -> Series:
        name = fields.get("image_dtype")
        header = SeriesHeader(
            n_frames=n_images(fields.get("number_of_images")),
            shape=shape_of(fields.get("image_size_y"), fields.get("image_size_x")),
            dtype=np.dtype(name) if name in ("uint8", "uint16", "uint32") else None,
            exposure_s=positive_s(fields.get("count_time")),
        )
        series = self._series.announced(whole_number(fields, "series_id", WHOSE), _identity(fields), header, at_s)
        return Series(series.epoch, header.n_frames)

    def _frame(self, fields: Mapping[str, Any], message: Received) -> Frame:
        number, unique_id = whole_number(fields, "series_id", WHOSE), whole_number(fields, "image_id", WHOSE) + 1
        try:
            pixels = _pixels(self._channel_of(fields.get("data")))
            timestamp_ns = _timestamp_ns(fields)
            attributes = self._attributes(fields)
        except SourceError as error:
            raise SourceError(f"frame {unique_id} of series {number}: {error}") from error
        epoch = self._series.of_image(number, _identity(fields), message.at_s).epoch
        return Frame(unique_id, timestamp_ns, pixels, attributes, message.at_s, epoch, waited_s=message.waited_s)

    def _channel_of(self, data: object) -> object:
        if not isinstance(data, dict) or not data:
            raise SourceError("it has no pixels")
        if self._channel in data:
            return data[self._channel]
        if not self._channel and len(data) == 1:
            return next(iter(data.values()))
        some = ", ".join(shown(name) for name in list(data)[:MOST_CHANNELS_SHOWN])
        if self._channel:
            raise SourceError(f"it has no channel {shown(self._channel)}, only {some}")
        raise SourceError(f"it has the channels {some}: choose one (detector.frames.stream2.channel)")

    def _attributes(self, fields: Mapping[str, Any]) -> dict[str, AttributeValue]:
        attributes = numbers_in(fields.get("user_data"), self._wanted)
        real_time = _rational(fields.get(REAL_TIME))
        if real_time is not None and real_time[0] > 0 and (self._wanted is None or REAL_TIME in self._wanted):
            attributes[REAL_TIME] = real_time[0] / real_time[1]
        return attributes


def _fields(message: Part) -> dict[str, Any]:
    try:
        item = decode_cbor(message)
    except SourceError as error:
        raise SourceError(f"a message of Stream2 cannot be read: {error}") from error
    if isinstance(item, Tagged) and item.tag == SELF_DESCRIBED:
        item = item.content
    return item if isinstance(item, dict) else {}


def _identity(fields: Mapping[str, Any]) -> str | None:
    identity = fields.get("series_unique_id")
    return identity[:LONGEST_IDENTITY] if isinstance(identity, str) else None


def _timestamp_ns(fields: Mapping[str, Any]) -> int:
    date = fields.get("series_date")
    text = date.content if isinstance(date, Tagged) and date.tag == DATE else date
    try:
        series_ns = unix_ns(text) if isinstance(text, str) else None
    except ValueError:
        series_ns = None
    if series_ns is None:
        raise SourceError(f"its series_date is {shown(text)}, not a date with a time zone")
    start = _rational(fields.get("start_time"))
    if start is None:
        raise SourceError("its start_time is not a number of ticks and their frequency")
    return possible_stamp(series_ns + start[0] * NS_PER_S // start[1])


def _rational(value: object) -> tuple[int, int] | None:
    """Ticks of a clock, and its frequency in Hz."""
    match value:
        case [int(ticks), int(frequency)] if frequency > 0:
            return ticks, frequency
    return None


def _pixels(array: object) -> np.ndarray[Any, Any]:
    match array:
        case Tagged(tag, [[n_rows, n_columns], Tagged(values_tag, values)]) if tag == ROW_MAJOR:
            shape = shape_of(n_rows, n_columns)
        case _:
            raise SourceError("its pixels are not a row-major array (tag 40) of two dimensions and typed values")
    if shape is None or values_tag not in TYPED_ARRAYS:
        raise SourceError(f"its pixels are ({shown(n_rows)}, {shown(n_columns)}) values of tag {values_tag}")
    name, byte_order = TYPED_ARRAYS[values_tag]
    match values:
        case memoryview():
            return decode_pixels(values, Encoding("", byte_order), np.dtype(name), shape)
        case Tagged(tag, [str(algorithm), int(n_bytes), memoryview() as content]) if tag == COMPRESSED:
            if algorithm in CODECS:
                encoding = Encoding(CODECS[algorithm], byte_order, 8 * n_bytes)
                return decode_pixels(content, encoding, np.dtype(name), shape)
            raise SourceError(f"it is compressed by {shown(algorithm)}, none of {', '.join(CODECS)}")
    raise SourceError("its pixels are neither bytes nor compressed bytes (tag 56500)")
