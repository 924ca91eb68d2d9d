"""Stream2 as the control unit sends it: each message against RFC 8949, RFC 8746 and the definition of tag 56500."""

import struct
from dataclasses import replace
from typing import Any

import cbor2
import imagecodecs
import numpy as np
import pytest
from announced_series import ARMED, DTYPES, an_image, announced

from iocsim.detector.ndarray import Compressed
from iocsim.zmq.stream2 import Stream2Series

TAGS = {"uint8": 64, "uint16": 69, "uint32": 70}


def read(message: Any) -> dict[str, Any]:
    (part,) = message
    return cbor2.loads(part)


def test_every_message_is_one_map_that_begins_with_its_type():
    series = Stream2Series(announced(), 1, "none")
    for message, kind in ((series.start(), "start"), (series.image(an_image()), "image"), (series.end(), "end")):
        (part,) = message
        assert part[0] >> 5 == 5, "major type 5: a map"
        offset = 1 if part[0] & 31 < 24 else 2
        assert part[offset:].startswith(b"\x64type" + bytes([0x60 + len(kind)]) + kind.encode())
        assert next(iter(read(message))) == "type"


def test_the_messages_of_a_series_name_it_and_another_series_has_another_name():
    series = Stream2Series(announced(), 1, "none")
    told = [read(message) for message in (series.start(), series.image(an_image()), series.end())]
    assert {message["series_id"] for message in told} == {7}
    (name,) = {message["series_unique_id"] for message in told}
    assert read(Stream2Series(announced(), 1, "none").end())["series_unique_id"] != name


def test_start_tells_size_type_channels_and_number():
    start = read(Stream2Series(announced("uint32"), 2, "none").start())
    assert (start["image_size_x"], start["image_size_y"], start["image_dtype"]) == (8, 5, "uint32")
    assert start["channels"] == ["threshold_1", "threshold_2"] == list(start["threshold_energy"])
    assert (start["number_of_images"], start["count_time"], start["frame_time"]) == (10, 0.01, 0.02)
    assert start["arm_date"] < ARMED


def test_an_image_tells_its_number_and_its_times_since_the_date_of_its_series():
    image = read(Stream2Series(announced(), 1, "none").image(an_image()))
    assert image["image_id"] == 11
    assert image["series_date"] == ARMED
    assert image["start_time"] == [866_544_000, 1_000_000_000]
    assert image["stop_time"] == [876_544_000, 1_000_000_000]
    assert image["real_time"] == [10_000_000, 1_000_000_000]


@pytest.mark.parametrize("dtype", DTYPES)
def test_plain_pixels_are_a_typed_array_of_rows_byte_for_byte(dtype: str):
    array = an_image(dtype)
    (part,) = Stream2Series(announced(dtype), 1, "none").image(array)
    pixels = array.pixels.tobytes()
    length = bytes([0x58, len(pixels)]) if len(pixels) < 256 else b"\x59" + struct.pack(">H", len(pixels))
    expected = b"\xd8\x28\x82\x82\x05\x08\xd8" + bytes([TAGS[dtype]]) + length + pixels
    assert b"\x64data\xa1\x6bthreshold_1" + expected in part


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("encoding", ["lz4", "bslz4"])
def test_compressed_pixels_are_in_the_framing_of_the_hdf5_filters(dtype: str, encoding: Any):
    array = an_image(dtype)
    size = array.pixels.itemsize
    image = read(Stream2Series(announced(dtype), 1, encoding).image(array))
    multi = image["data"]["threshold_1"]
    assert (multi.tag, list(multi.value[0]), multi.value[1].tag) == (40, [5, 8], TAGS[dtype])
    compressed = multi.value[1].value
    algorithm, modifier, blob = compressed.value
    assert (compressed.tag, algorithm, modifier) == (56500, encoding, size if encoding == "bslz4" else 0)
    assert struct.unpack_from(">Q", blob) == (array.pixels.nbytes,)
    (length,) = struct.unpack_from(">I", blob, 12)
    assert len(blob) == 16 + length
    plain = (
        blob[16:] if length == array.pixels.nbytes else imagecodecs.lz4_decode(blob[16:], header=False, out=40 * size)
    )
    if encoding == "bslz4":
        bits = np.unpackbits(np.frombuffer(plain, np.uint8), bitorder="little").reshape(8 * size, 40)
        plain = np.packbits(bits.T.ravel(), bitorder="little").tobytes()
    assert bytes(plain) == array.pixels.tobytes()


def test_the_second_threshold_counts_half():
    array = an_image()
    data = read(Stream2Series(announced(), 2, "none").image(array))["data"]
    first, second = (np.frombuffer(one.value[1].value, "<u2").reshape(one.value[0]) for one in data.values())
    np.testing.assert_array_equal(first, array.pixels)
    np.testing.assert_array_equal(second, array.pixels // 2)


@pytest.mark.parametrize("encoding", ["none", "bslz4"])
def test_damaged_image_has_its_payload_in_place_of_the_pixels(encoding: str):
    array = replace(an_image(), compressed=Compressed("", b"garbage"))
    pixels = read(Stream2Series(announced(), 1, encoding).image(array))["data"]["threshold_1"].value[1].value
    assert pixels == b"garbage" if encoding == "none" else pixels.value[2] == b"garbage"
