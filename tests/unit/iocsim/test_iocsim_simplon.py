"""SIMPLON stream v1 as the control unit sends it: parts, and every encoding undone by its definition."""

import hashlib
import json
import struct
from dataclasses import replace
from datetime import datetime
from typing import Any

import imagecodecs
import numpy as np
import pytest
from announced_series import ARMED, DTYPES, an_image, announced, ns_since_1970, unshuffled

from iocsim.detector.ndarray import Compressed
from iocsim.zmq.simplon import SimplonSeries


def read(part: bytes) -> dict[str, Any]:
    return json.loads(part)


@pytest.mark.parametrize(("detail", "n_parts"), [("none", 1), ("basic", 2), ("all", 8)])
def test_header_has_the_parts_of_its_detail(detail: Any, n_parts: int):
    parts = SimplonSeries(announced(), detail, "none").start()
    assert read(parts[0]) == {"htype": "dheader-1.0", "series": 7, "header_detail": detail}
    assert len(parts) == n_parts


def test_tables_of_the_header_are_as_long_as_they_say():
    parts = SimplonSeries(announced(), "all", "none").start()
    tables = [(read(parts[n]), parts[n + 1]) for n in (2, 4, 6)]
    assert [table["htype"] for table, _ in tables] == ["dflatfield-1.0", "dpixelmask-1.0", "dcountrate_table-1.0"]
    assert [table["shape"] for table, _ in tables] == [[8, 5], [8, 5], [3, 2]]
    for table, blob in tables:
        assert len(blob) == np.prod(table["shape"]) * np.dtype(table["type"]).itemsize


def test_configuration_tells_size_number_and_when_it_was_armed():
    configuration = read(SimplonSeries(announced(), "basic", "none").start()[1])
    assert (configuration["x_pixels_in_detector"], configuration["y_pixels_in_detector"]) == (8, 5)
    assert (configuration["nimages"], configuration["ntrigger"]) == (10, 1)
    assert (configuration["count_time"], configuration["frame_time"]) == (0.01, 0.02)
    assert datetime.fromisoformat(configuration["data_collection_date"]) == ARMED


def test_a_series_without_an_end_has_as_many_images_as_an_eiger_takes():
    assert read(SimplonSeries(announced(n_images=None), "basic", "none").start()[1])["nimages"] == 1_000_000_000


def test_keys_are_sorted_and_there_is_no_space():
    series = SimplonSeries(announced(), "none", "none")
    assert series.end() == [b'{"htype":"dseries_end-1.0","series":7}']
    assert series.image(an_image())[1] == (
        b'{"encoding":"<","htype":"dimage_d-1.0","shape":[8,5],"size":80,"type":"uint16"}'
    )


def test_an_image_is_four_parts_x_first_in_ns_since_arming():
    array = an_image()
    head, about, blob, times = SimplonSeries(announced(), "basic", "none").image(array)
    digest = hashlib.md5(array.pixels.tobytes()).hexdigest()
    assert read(head) == {"htype": "dimage-1.0", "series": 7, "frame": 11, "hash": digest}
    assert read(about) == {"htype": "dimage_d-1.0", "shape": [8, 5], "type": "uint16", "encoding": "<", "size": 80}
    assert bytes(blob) == array.pixels.tobytes()
    assert read(times) == {
        "htype": "dconfig-1.0",
        "start_time": 866_544_000,
        "stop_time": 876_544_000,
        "real_time": 10_000_000,
    }


def test_arming_and_start_time_are_the_begin_of_the_exposure_to_the_nanosecond():
    series, array = announced(), an_image()
    armed = datetime.fromisoformat(read(SimplonSeries(series, "basic", "none").start()[1])["data_collection_date"])
    start_ns = read(SimplonSeries(series, "none", "none").image(array)[3])["start_time"]
    assert ns_since_1970(armed) + start_ns == array.timestamp_ns - array.exposure_ns


@pytest.mark.parametrize("dtype", DTYPES)
def test_lz4_is_one_bare_block(dtype: str):
    array = an_image(dtype)
    _, about, blob, _ = SimplonSeries(announced(dtype), "basic", "lz4").image(array)
    assert read(about) | {"size": 0} == {
        "htype": "dimage_d-1.0",
        "shape": [8, 5],
        "type": dtype,
        "encoding": "lz4<",
        "size": 0,
    }
    assert read(about)["size"] == len(blob)
    assert imagecodecs.lz4_decode(blob, header=False, out=array.pixels.nbytes) == array.pixels.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_bslz4_is_blocks_behind_the_twelve_bytes_of_the_hdf5_filter(dtype: str):
    array = an_image(dtype)
    size = array.pixels.itemsize
    _, about, blob, _ = SimplonSeries(announced(dtype), "basic", "bslz4").image(array)
    assert read(about)["encoding"] == f"bs{8 * size}-lz4<"
    assert struct.unpack_from(">QI", blob) == (40 * size, 8192)
    (length,) = struct.unpack_from(">I", blob, 12)
    assert len(blob) == 16 + length
    shuffled = imagecodecs.lz4_decode(blob[16:], header=False, out=40 * size)
    assert unshuffled(shuffled, size) == array.pixels.tobytes()


@pytest.mark.parametrize("encoding", ["none", "lz4", "bslz4"])
def test_damaged_image_has_its_payload_in_place_of_the_pixels(encoding: Any):
    sound, damaged = an_image(), replace(an_image(), compressed=Compressed("", b"garbage"))
    parts = SimplonSeries(announced(), "none", encoding).image(damaged)
    assert parts[2] == b"garbage"
    assert read(parts[1])["encoding"] == read(SimplonSeries(announced(), "none", encoding).image(sound)[1])["encoding"]
    assert read(parts[1])["size"] == 7
