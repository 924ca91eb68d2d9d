"""Messages of Dectris' control units, written by their specification: SIMPLON stream v1 by hand, Stream2 by cbor2."""

from __future__ import annotations

import json
import struct
from typing import Any

import cbor2
import numpy as np
import payloads
from cbor2 import CBORTag

from stream_service.core.frame import Frame
from stream_service.core.stream import StreamEvent
from stream_service.sources.live.zmq.dialect import Dialect, Received

Pixels = np.ndarray[Any, Any]
ARMED = "2026-11-29T10:00:00.250000001+01:00"
ARMED_NS = 1_795_942_800 * 10**9 + 250_000_001
START_NS, REAL_NS = 40_000_020, 9_000_000
FREQUENCY = 50_000_000
CONFIG = {
    "data_collection_date": ARMED,
    "nimages": 10,
    "ntrigger": 3,
    "trigger_mode": "ints",
    "count_time": 0.009,
    "frame_time": 0.01,
    "x_pixels_in_detector": 8,
    "y_pixels_in_detector": 6,
    "bit_depth_image": 16,
}
TYPED_TAGS = {
    ("u1", "<"): 64, ("u2", ">"): 65, ("u4", ">"): 66, ("u8", ">"): 67, ("u2", "<"): 69, ("u4", "<"): 70,
    ("u8", "<"): 71, ("i1", "<"): 72, ("i2", ">"): 73, ("i4", ">"): 74, ("i8", ">"): 75, ("i2", "<"): 77,
    ("i4", "<"): 78, ("i8", "<"): 79, ("f4", ">"): 81, ("f8", ">"): 82, ("f4", "<"): 85, ("f8", "<"): 86,
}  # fmt: skip
"""RFC 8746, section 2.1."""


def received(parts: list[bytes], at_s: float | None = 12.5) -> Received:
    return Received([memoryview(part) for part in parts], at_s)


def given(dialect: Dialect, *messages: list[bytes]) -> list[StreamEvent | None]:
    """The event in each message, given in this order."""
    return [dialect.decode(received(message)) for message in messages]


def frame_of(dialect: Dialect, message: list[bytes]) -> Frame:
    """The frame in a message."""
    frame = dialect.decode(received(message))
    assert isinstance(frame, Frame)
    return frame


def ramp(shape: tuple[int, int] = (6, 8), dtype: str = "u2") -> Pixels:
    return (np.arange(shape[0] * shape[1]) * 7 % 251).reshape(shape).astype(dtype)


def framed(pixels: Pixels) -> bytes:
    """Bitshuffled in LZ4, as the HDF5 filter writes it."""
    return struct.pack(">QI", pixels.nbytes, 8192) + payloads.encode("bslz4", pixels).tobytes()


def _json(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def simplon_header(
    series: int = 1, detail: str = "basic", appendix: bytes | None = None, config: dict[str, Any] = CONFIG
) -> list[bytes]:
    parts = [_json(htype="dheader-1.0", series=series, header_detail=detail)]
    if detail != "none":
        parts.append(_json(**config))
    if detail == "all":
        for name in ("flatfield", "pixelmask", "countrate_table"):
            parts += [_json(htype=f"d{name}-1.0", shape=[2, 2], type="float32"), bytes(16)]
    return parts if appendix is None else [*parts, appendix]


def simplon_blob(pixels: Pixels, encoding: str) -> bytes:
    ordered = pixels.astype(pixels.dtype.newbyteorder(">" if encoding.endswith(">") else "<")).view(pixels.dtype)
    if encoding in ("<", ">"):
        return ordered.tobytes()
    return payloads.encode("lz4", ordered).tobytes() if encoding.startswith("lz4") else framed(ordered)


def simplon_image(
    frame: int = 0,
    pixels: Pixels | None = None,
    encoding: str = "<",
    series: int = 1,
    appendix: bytes | None = None,
    start_ns: int = START_NS,
) -> list[bytes]:
    pixels = ramp() if pixels is None else pixels
    blob = simplon_blob(pixels, encoding)
    shape, name = [pixels.shape[1], pixels.shape[0]], pixels.dtype.name
    parts = [
        _json(htype="dimage-1.0", series=series, frame=frame, hash="fc67f000d08fe6b380ea9434b8362d22"),
        _json(htype="dimage_d-1.0", shape=shape, type=name, encoding=encoding, size=len(blob)),
        blob,
        _json(htype="dconfig-1.0", start_time=start_ns, stop_time=start_ns + REAL_NS, real_time=REAL_NS),
    ]
    return parts if appendix is None else [*parts, appendix]


def simplon_end(series: int = 1) -> list[bytes]:
    return [_json(htype="dseries_end-1.0", series=series)]


def stream2_start(series: int = 1, identity: str = "one", **changes: Any) -> list[bytes]:
    fields = {
        "type": "start",
        "arm_date": CBORTag(0, ARMED),
        "channels": ["threshold_1"],
        "count_time": 0.009,
        "flatfield": {"threshold_1": array(np.ones((6, 8), np.float32))},
        "goniometer": {"omega": {"increment": 0.1, "start": 0.0}},
        "image_dtype": "uint16",
        "image_size_x": 8,
        "image_size_y": 6,
        "number_of_images": 30,
        "series_id": series,
        "series_unique_id": identity,
        "user_data": None,
    }
    return [cbor2.dumps(fields | changes)]


def array(pixels: Pixels, compression: str = "", byte_order: str = "<") -> CBORTag:
    """A multi-dimensional array (tag 40) of a typed array."""
    name = pixels.dtype.newbyteorder("=").str[1:]
    ordered = pixels.astype(pixels.dtype.newbyteorder(byte_order)).view(pixels.dtype)
    content: Any = ordered.tobytes()
    if compression == "bslz4":
        content = CBORTag(56500, ["bslz4", pixels.itemsize, framed(ordered)])
    elif compression == "lz4":
        content = CBORTag(56500, ["lz4", 0, payloads.encode("lz4hdf5", ordered).tobytes()])
    tag = TYPED_TAGS.get((name, byte_order), TYPED_TAGS.get((name, "<")))
    return CBORTag(40, [list(pixels.shape), CBORTag(tag, content)])


def stream2_fields(image: int = 0, series: int = 1, identity: str = "one", **changes: Any) -> dict[str, Any]:
    return {
        "type": "image",
        "data": {"threshold_1": array(ramp())},
        "image_id": image,
        "real_time": [REAL_NS * FREQUENCY // 10**9, FREQUENCY],
        "series_date": CBORTag(0, ARMED),
        "series_id": series,
        "series_unique_id": identity,
        "start_time": [START_NS * FREQUENCY // 10**9, FREQUENCY],
        "stop_time": [(START_NS + REAL_NS) * FREQUENCY // 10**9, FREQUENCY],
        "user_data": None,
    } | changes


def stream2_image(image: int = 0, series: int = 1, identity: str = "one", **changes: Any) -> list[bytes]:
    return [cbor2.dumps(stream2_fields(image, series, identity, **changes))]


def stream2_end(series: int = 1, identity: str = "one") -> list[bytes]:
    return [cbor2.dumps({"type": "end", "series_id": series, "series_unique_id": identity})]
