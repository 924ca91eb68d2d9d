"""ADZMQ: what a real one sent decodes to the frames that were taken, and each word of a header means what it says."""

from __future__ import annotations

import json
import math
import tracemalloc
from collections.abc import Container
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from iocsim.detector.ndarray import DATA_TYPES, NDArray, NDAttribute, SourceType
from iocsim.detector.ntndarray import encode
from iocsim.zmq.array_header import array_header, old_array_header
from stream_service.core.frame import EPICS_EPOCH_S, MOST_FRAME_BYTES, NO_STAMP, Frame
from stream_service.core.stream import Begin
from stream_service.errors import SourceError
from stream_service.sources.live.ntndarray import decode_ntndarray
from stream_service.sources.live.zmq.adzmq import Adzmq
from stream_service.sources.live.zmq.adzmq_header import MOST_HEADER_BYTES
from stream_service.sources.live.zmq.dialect import Received

RECORDED = Path(__file__).parents[3] / "data" / "zmq"
FRAMES = {
    "pub_Int8": ("i1", 73, ("1164720507.7905688", "1164720507.8205266", "1164720507.8505769")),
    "pub_UInt16": ("u2", 133, ("1164720511.6749575", "1164720511.7048862", "1164720511.7349694")),
    "pub_UInt32": ("u4", 173, ("1164720514.266217", "1164720514.2962499", "1164720514.3262868")),
    "pub_Float32": ("f4", 233, ("1164720518.1477532", "1164720518.1777434", "1164720518.2077699")),
    "push_UInt16": ("u2", 273, ("1164720520.7389178", "1164720520.7688928", "1164720520.7989225")),
}
"""Type, first uniqueId and stamps in seconds of the EPICS epoch."""
PRINTED_NS = 51
"""Half a unit of the last digit that is printed of a stamp, and the nanosecond that is not whole."""


def recorded(folder: str, number: int) -> Received:
    parts = [(RECORDED / folder / f"frame{number:02}_part{part}.bin").read_bytes() for part in (0, 1)]
    return Received([memoryview(part) for part in parts], 12.5, waited_s=0.5)


def decoded(header: bytes | dict[str, Any], *others: bytes, wanted: Container[str] | None = None) -> Frame:
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return Adzmq(wanted).decode(Received([memoryview(part) for part in (header, *others)]))


def header_with(**changed: Any) -> dict[str, Any]:
    """Of a frame (2, 3) of uint16; None leaves a member out."""
    members: dict[str, Any] = {"htype": "array-1.0", "type": "uint16", "shape": [2, 3], "frame": 5, "timeStamp": 1e9}
    members |= {"encoding": "", "ndattr": {"ColorMode": 0}, **changed}
    return {name: value for name, value in members.items() if value is not None}


@pytest.mark.parametrize("folder", FRAMES)
def test_recorded_messages_are_the_frames_that_were_taken(folder):
    code, first_id, stamps_s = FRAMES[folder]
    dialect = Adzmq()
    for number, stamp_s in enumerate(stamps_s):
        frame = dialect.decode(recorded(folder, number))
        y, x = np.indices((48, 64))
        assert frame.pixels.dtype == np.dtype(code) and frame.pixels.dtype.isnative
        np.testing.assert_array_equal(frame.pixels, y + x + number)
        assert frame.unique_id == first_id + number
        assert abs(frame.timestamp_ns - (Decimal(stamp_s) + EPICS_EPOCH_S) * 10**9) <= PRINTED_NS
        assert frame.attributes == {"ColorMode": 0, "POSX": 1.5, "POSY": 0.3, "ENERGY": 710, "EXPOSE": 0.01}
        assert (frame.received_s, frame.waited_s, frame.epoch) == (12.5, 0.5, None)


@pytest.mark.parametrize(("folder", "first_id", "codec"), [("codec_Blosc", 303, "blosc"), ("codec_Zlib", 298, "zlib")])
def test_recorded_compressed_messages_are_refused_with_the_reason(folder, first_id, codec):
    for number in range(3):
        with pytest.raises(
            SourceError, match=f"^frame {first_id + number} is compressed with '{codec}', .* NDArrayPort to the camera"
        ):
            Adzmq().decode(recorded(folder, number))


def test_recorded_header_that_is_not_json_is_read_as_the_one_that_is():
    plain, other = (
        decoded((RECORDED / name).read_bytes(), bytes(256 * 256 * 2))
        for name in ("plain_header.json", "raw_byte_header.bin")
    )
    assert (plain.unique_id, other.unique_id) == (10, 1)
    assert plain.pixels.shape == other.pixels.shape == (256, 256)
    assert plain.attributes["NotThere"] is None and plain.attributes["sampleName"] == "siemens_star"
    assert plain.attributes["Pi"] == math.pi and plain.attributes["I64"] == -64
    counted = {"ArrayCounter": 10, "I8": None}  # 0xf8: an int8 is -8, an uint8 248
    assert {**other.attributes, "ArrayCounter": 10} == {**plain.attributes, **counted}
    assert list(other.attributes)[-3:] == ["I8", "I64", "Beamline"]


def test_begin_is_not_known():
    assert Adzmq().begin() == Begin()


def test_shape_of_old_versions_is_x_first():
    pixels = np.arange(6, dtype="<u2")
    new = decoded(header_with(), pixels.tobytes())
    old = decoded(header_with(htype=["array-1.0"], shape=[3, 2], encoding=None, timeStamp=None), pixels.tobytes())
    np.testing.assert_array_equal(new.pixels, pixels.reshape(2, 3))
    np.testing.assert_array_equal(old.pixels, new.pixels)
    assert old.timestamp_ns == NO_STAMP


@pytest.mark.parametrize(
    "name", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"]
)
@pytest.mark.parametrize("order", [{}, {"endianness": "little"}, {"endianness": "big"}, {"endianess": "big"}])
def test_every_type_arrives_value_for_value_in_either_byte_order(name, order):
    pixels = np.array([[0, 1, 2], [100, 101, 127]], name)
    sent = pixels.astype(pixels.dtype.newbyteorder(">" if "big" in order.values() else "<"))
    frame = decoded(header_with(type=name, **order), sent.tobytes())
    assert frame.pixels.dtype == name and frame.pixels.dtype.isnative
    np.testing.assert_array_equal(frame.pixels, pixels)


def test_pixels_are_the_messages_own_memory():
    sent = bytes(2048 * 2048 * 2)
    message = Received([memoryview(json.dumps(header_with(shape=[2048, 2048])).encode()), memoryview(sent)])
    dialect = Adzmq()
    tracemalloc.start()
    frame = dialect.decode(message)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert np.shares_memory(frame.pixels, np.frombuffer(sent, "<u2"))
    assert peak_bytes < 1 << 16


@pytest.mark.parametrize("name", DATA_TYPES)
@pytest.mark.parametrize("header_of", [array_header, old_array_header])
def test_frame_is_the_one_that_comes_over_pva(name, header_of):
    values = {
        "ColorMode": 0,
        "posx": 0.1 + 0.2,
        "posy": -1e-300,
        "count": -(2**31),
        "sample": 'a "b", c\\n',
        "off": None,
    }
    attributes = tuple(NDAttribute(key, value, "", SourceType.EPICS_PV, "") for key, value in values.items())
    pixels = np.arange(15).reshape(3, 5).astype(name.lower())
    for stamp_ns in (1_795_872_511_674_957_513, 1_795_872_511_999_999_999, 1_795_872_512_000_000_000):
        array = NDArray(pixels, 5, stamp_ns, attributes)
        over_pva = decode_ntndarray(encode(array), "dataTimeStamp")
        over_zmq = decoded(header_of(array), pixels.tobytes())
        assert (over_zmq.unique_id, over_zmq.timestamp_ns) == (over_pva.unique_id, over_pva.timestamp_ns)
        assert over_zmq.attributes == over_pva.attributes == values
        assert over_zmq.pixels.dtype == over_pva.pixels.dtype
        np.testing.assert_array_equal(over_zmq.pixels, over_pva.pixels)


@pytest.mark.parametrize("unique_id", [0, 1, -1, 2**31 - 1, -(2**31)])
def test_every_unique_id_is_one(unique_id):
    assert decoded(header_with(frame=unique_id), bytes(12)).unique_id == unique_id


def test_only_scalars_and_texts_are_attributes_and_only_those_that_are_wanted():
    sent = {
        "a": 2**64 - 1,
        "b": 1.5,
        "c": "text",
        "d": True,
        "e": None,
        "f": "Undefined",
        "g": [1],
        "h": {"i": 1},
        "j": 2**64,
    }
    everything = decoded(header_with(ndattr={"ColorMode": 0, **sent}), bytes(12)).attributes
    assert everything == {
        "ColorMode": 0,
        "a": 2**64 - 1,
        "b": 1.5,
        "c": "text",
        "d": True,
        "e": None,
        "f": None,
        "j": None,
    }
    some = decoded(header_with(ndattr={"ColorMode": 0, **sent}), bytes(12), wanted={"b", "not there"}).attributes
    assert some == {"ColorMode": 0, "b": 1.5}
    assert decoded(header_with(ndattr=None), bytes(12)).attributes == {}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "three dimensions": ({"shape": [1, 2, 3]}, "frame 5 has 3 dimensions; a mono image with two is needed"),
    "one dimension": ({"shape": [6]}, "frame 5 has 1 dimensions"),
    "no shape": ({"shape": None}, "frame 5 does not say its shape"),
    "a shape of fractions": ({"shape": [2.0, 3]}, "frame 5 does not say its shape"),
    "a shape of more": (
        {"shape": [3, 3]},
        r"frame 5: its shape is said to be \(3, 3\), but it brings 12 bytes of uint16",
    ),
    "a negative shape": ({"shape": [-2, -3]}, r"frame 5: a frame has 1 to \d+ bytes, not \(-2, -3\) uint16 values"),
    "an empty shape": ({"shape": [0, 3]}, r"frame 5: a frame has 1 to \d+ bytes, not \(0, 3\)"),
    "a frame that is too large": ({"shape": [2**14, 2**14]}, f"a frame has 1 to {MOST_FRAME_BYTES} bytes"),
    "colour": ({"ndattr": {"ColorMode": 2}}, "frame 5 is a colour image; set the camera's ColorMode to Mono"),
    "an unknown type": ({"type": "complex64"}, "frame 5: its type is 'complex64', which is none of int8, "),
    "no type": ({"type": None}, "frame 5: its type is None"),
    "an unknown byte order": ({"endianness": "middle"}, "frame 5: its byte order is 'middle'"),
    "no frame": ({"frame": None}, "whose frame is None, which no uniqueId is"),
    "a frame in words": ({"frame": "5"}, "whose frame is '5'"),
    "a frame of many bits": ({"frame": 2**31}, "whose frame is 2147483648"),
    "a stamp in words": ({"timeStamp": "now"}, "frame 5 is stamped 'now' s after 1990, which cannot be"),
    "a stamp of the distant future": ({"timeStamp": 4e9}, "frame 5 is stamped 4000000000.0 s"),
    "a stamp that is none": ({"timeStamp": math.nan}, "frame 5 is stamped nan s"),
    "a codec without a name": ({"encoding": 5}, "frame 5 is compressed with 5"),
    "a version to come": ({"htype": "array-2.0"}, "it is of htype 'array-2.0', which nothing here reads"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_message_is_told_of_in_a_sentence_that_names_the_frame(case):
    changed, sentence = REFUSED[case]
    with pytest.raises(SourceError, match=sentence):
        decoded(header_with(**changed), bytes(12))


@pytest.mark.parametrize("n_parts", [1, 3])
def test_message_of_another_number_of_parts_is_refused(n_parts):
    with pytest.raises(SourceError, match=f"^frame 5 came in {n_parts} parts; ADZMQ sends two"):
        decoded(header_with(), *[bytes(12)] * (n_parts - 1))


@pytest.mark.parametrize(
    ("first", "sentence"),
    [
        (b'{"htype":"dimage-1.0","series":1}', "htype 'dimage-1.0', which detector.frames.simplon reads"),
        (b'{"htype": "dheader-1.0"}', "htype 'dheader-1.0', which detector.frames.simplon reads"),
        (b'{"htype":"chunk-1.0"}', "htype 'chunk-1.0', which nothing here reads"),
        (b'{"htype":["pilatus-1.0"]}', "htype 'pilatus-1.0', which nothing here reads"),
        (b'{"htype":"bsr_m-1.1","pulse_id":1}', "htype 'bsr_m-1.1', which nothing here reads"),
        (b"\xa2\x64type\x63end\x69series_id\x07", "CBOR, as of Stream2, which detector.frames.stream2 reads"),
        (b"\xd9\xd9\xf7\xa1\x64type\x63end" + bytes(MOST_HEADER_BYTES), "CBOR, as of Stream2"),
        (b"hello", "has 1 parts and no htype"),
        (b"", "has 1 parts and no htype"),
    ],
)
def test_message_of_another_sender_is_named_with_the_entry_that_reads_it(first, sentence):
    with pytest.raises(SourceError, match=f"^a message that is not one of ADZMQ: it .*{sentence}"):
        decoded(first)


def test_message_without_parts_is_refused():
    with pytest.raises(SourceError, match="it has no parts"):
        Adzmq().decode(Received([]))
