"""SIMPLON stream version 1, which the control unit of a Dectris EIGER sends by PUSH from port 9999.

A message has several parts, JSON but for the pixels; an appendix, which the user has set, may be the last part of any.

    dheader-1.0      {series, header_detail}
                     "basic", "all": the configuration; "all": header and content of flat field, mask, count-rate table
    dimage-1.0       {series, frame, hash}
                     {shape: [x, y], type, encoding, size} · pixels · {start_time, stop_time, real_time} in ns
    dseries_end-1.0  {series}

Frames are counted from 0 in each series: uniqueId is one more. A frame's stamp is the start of its exposure: the arming
(`data_collection_date` of the configuration) plus `start_time`. Where the configuration does not come, or its date is
the local time of the control unit without a zone (EIGER X) and the zone is not known either, frames have no stamp: a
guess could be wrong by hours. What the pixels mean is said in `dectris_encodings`.
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from contextlib import suppress
from datetime import tzinfo
from typing import Any

import numpy as np

from stream_service.core.frame import MOST_NS, NO_STAMP, NS_PER_S, AttributeValue, Frame
from stream_service.core.stream import Begin, Series, SeriesEnd, StreamEvent
from stream_service.errors import SourceError
from stream_service.sources.live.zmq.dectris_dates import unix_ns
from stream_service.sources.live.zmq.dectris_encodings import SIMPLON_ENCODINGS, decode_pixels
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
from stream_service.sources.live.zmq.foreign import description, htype_of

HEADER, IMAGE, END = "dheader", "dimage", "dseries_end"
HEADER_PARTS = {"none": 1, "basic": 2, "all": 8}
"""Of a dheader by its header_detail, without appendix."""
IMAGE_PARTS = 4
DTYPES = {name: np.dtype(name) for name in ("uint8", "uint16", "uint32", "float32")}
BIT_DEPTHS = {8: "uint8", 16: "uint16", 32: "uint32"}
MOST_JSON_BYTES = 1 << 17
"""Of one part; a configuration has some kilobytes. What is made of it takes up to 24 times as much."""
WHOSE = "a message of SIMPLON whose"
ONE_PER_TRIGGER = ("inte", "exte")
"""Trigger modes in which `nimages` says nothing."""


class Simplon:
    """A `Dialect`."""

    name = "SIMPLON"
    sending = "its stream interface is enabled, in the format legacy"

    def __init__(self, wanted: Container[str] | None = None, time_zone: tzinfo | None = None) -> None:
        """`wanted`: attributes that are read (None: all); `time_zone`: of the control unit, if its dates name none."""
        self._wanted = wanted
        self._time_zone = time_zone
        self._series = DectrisSeries()

    def decode(self, message: Received) -> StreamEvent | None:
        parts = message.parts
        try:
            first = _json_object(parts[0], f"{WHOSE} first part") if parts else {}
        except SourceError:
            if (htype_of(parts[0]) or "").startswith((HEADER, IMAGE, END)):
                raise
            first = {}
        htype = first.get("htype")
        kind = htype.partition("-1.")[0] if isinstance(htype, str) else None
        if kind == IMAGE:
            return self._frame(first, message)
        if kind == HEADER:
            return self._announced(first, message)
        if kind == END:
            ended = self._series.ended(whole_number(first, "series", WHOSE), None, message.at_s)
            return None if ended is None else SeriesEnd(ended.epoch)
        raise SourceError(f"a message that is not one of SIMPLON: {description(parts)}")

    def begin(self) -> Begin:
        return self._series.begin()

    def _announced(self, first: Mapping[str, Any], message: Received) -> Series:
        parts = message.parts
        number = whole_number(first, "series", WHOSE)
        detail = first.get("header_detail")
        n_parts = HEADER_PARTS.get(detail, 0) if isinstance(detail, str) else 0
        if n_parts == 0 or len(parts) not in (n_parts, n_parts + 1):
            raise SourceError(f"series {number}: a dheader of header_detail {shown(detail)} came in {_n_parts(parts)}")
        config = _json_object(parts[1], f"series {number}: its configuration") if n_parts > 1 else {}
        date = config.get("data_collection_date")
        identity = date[:LONGEST_IDENTITY] if isinstance(date, str) and date else None
        header = self._header(config, identity)
        return Series(self._series.announced(number, identity, header, message.at_s).epoch, header.n_frames)

    def _header(self, config: Mapping[str, Any], date: str | None) -> SeriesHeader:
        n_triggers, n_bits = config.get("ntrigger"), config.get("bit_depth_image")
        arm_ns = None
        with suppress(ValueError):
            arm_ns = None if date is None else unix_ns(date, self._time_zone)
        return SeriesHeader(
            n_frames=n_images(
                1 if config.get("trigger_mode") in ONE_PER_TRIGGER else config.get("nimages"), n_triggers
            ),
            arm_ns=arm_ns,
            shape=shape_of(config.get("y_pixels_in_detector"), config.get("x_pixels_in_detector")),
            dtype=None if type(n_bits) is not int or n_bits not in BIT_DEPTHS else DTYPES[BIT_DEPTHS[n_bits]],
            exposure_s=positive_s(config.get("count_time")),
        )

    def _frame(self, first: Mapping[str, Any], message: Received) -> Frame:
        number, unique_id = whole_number(first, "series", WHOSE), whole_number(first, "frame", WHOSE) + 1
        try:
            return self._frame_of(number, unique_id, message)
        except SourceError as error:
            raise SourceError(f"frame {unique_id} of series {number}: {error}") from error

    def _frame_of(self, number: int, unique_id: int, message: Received) -> Frame:
        parts = message.parts
        if len(parts) not in (IMAGE_PARTS, IMAGE_PARTS + 1):
            raise SourceError(f"it came in {_n_parts(parts)}; its sender must send all {IMAGE_PARTS} as one message")
        pixels = _pixels(_json_object(parts[1], "its second part"), parts[2])
        times = _json_object(parts[3], "its fourth part")
        attributes = self._attributes(times, parts[IMAGE_PARTS:])
        start_ns = whole_number(times, "start_time", least=-MOST_NS, most=MOST_NS)
        series = self._series.of_image(number, None, message.at_s)
        arm_ns = series.header.arm_ns
        timestamp_ns = NO_STAMP if arm_ns is None else possible_stamp(arm_ns + start_ns)
        return Frame(unique_id, timestamp_ns, pixels, attributes, message.at_s, series.epoch, waited_s=message.waited_s)

    def _attributes(self, times: Mapping[str, Any], appendix: Sequence[Part]) -> dict[str, AttributeValue]:
        attributes: dict[str, AttributeValue] = {}
        with suppress(SourceError):  # a text of the user's, which need not be JSON
            attributes = numbers_in(_json_object(appendix[0], "its appendix"), self._wanted) if appendix else {}
        real_ns = positive_s(times.get(REAL_TIME))
        if real_ns is not None and (self._wanted is None or REAL_TIME in self._wanted):
            attributes[REAL_TIME] = real_ns / NS_PER_S
        return attributes


def _pixels(description: Mapping[str, Any], content: Part) -> np.ndarray[Any, Any]:
    name, encoding = description.get("type"), description.get("encoding")
    match description.get("shape"):
        case [n_columns, n_rows] | [n_columns, n_rows, 1]:
            shape = shape_of(n_rows, n_columns)
        case _:
            shape = None
    if shape is None:
        raise SourceError("its shape is not two sizes [x, y]")
    dtype = DTYPES.get(name) if isinstance(name, str) else None
    if dtype is None:
        raise SourceError(f"its type is {shown(name)}, none of {', '.join(DTYPES)}")
    known = SIMPLON_ENCODINGS.get(encoding) if isinstance(encoding, str) else None
    if known is None:
        raise SourceError(f"its encoding is {shown(encoding)}, none of {', '.join(SIMPLON_ENCODINGS)}")
    if description.get("size") != content.nbytes:
        raise SourceError(f"its size is {shown(description.get('size'))}, but it brings {content.nbytes} bytes")
    return decode_pixels(content, known, dtype, shape)


def _json_object(part: Part, name: str) -> dict[str, Any]:
    if part.nbytes > MOST_JSON_BYTES:
        raise SourceError(f"{name} has {part.nbytes} bytes, more than the {MOST_JSON_BYTES} that JSON may have")
    try:
        content = json.loads(part.tobytes())
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise SourceError(f"{name} is not a JSON object")
    return content


def _n_parts(parts: Sequence[Part]) -> str:
    return f"{len(parts)} part{'s' * (len(parts) != 1)}"
