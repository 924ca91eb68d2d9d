"""Compressed frames come out as they went in: those of a real IOC, and every type and size, by encoders not our own."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import payloads
import pytest
from payloads import BLOSC_COMPRESSORS, CODECS, LOSSLESS, PIXEL_TYPES

from stream_service.errors import SourceError
from stream_service.sources.live.codecs import DTYPES, decode_payload

SAMPLES = Path(__file__).parents[2] / "data" / "codecs"
RECORDED = {
    entry["pva"]["codec"]: {**entry["pva"], "file": SAMPLES / f"codec_{name}_value.bin"}
    for name, entry in json.loads((SAMPLES / "codecs.json").read_text()).items()
    if entry["pva"]["codec"]
}
SHAPES = [(1, 1), (1, 7), (3, 5), (64, 64), (37, 113), (101, 103), (129, 257)]
"""A point, fewer pixels than bitshuffle's 8, whole blocks of 8192 bytes, some that leave a rest of a block and of 8."""


def sample(codec: str) -> tuple[dict[str, Any], np.ndarray[Any, Any], np.dtype[Any], tuple[int, int]]:
    entry = RECORDED[codec]
    ny, nx = reversed(entry["dims"])
    return entry, np.fromfile(entry["file"], np.uint8), DTYPES[entry["parameters"]], (ny, nx)


def noise(code: str, shape: tuple[int, int]) -> np.ndarray[Any, Any]:
    """Every bit pattern of the type; NaNs among the floats."""
    rng = np.random.default_rng(shape[0])
    return rng.integers(0, 256, shape[0] * shape[1] * np.dtype(code).itemsize, np.uint8).view(code).reshape(shape)


def speckle(code: str, shape: tuple[int, int]) -> np.ndarray[Any, Any]:
    """Like a diffraction pattern: few counts, many zeros."""
    y, x = np.indices(shape)
    rate = 60 * np.exp(-((x - shape[1] / 3) ** 2 + (y - shape[0] / 2) ** 2) / 200)
    return np.random.default_rng(shape[1]).poisson(rate).astype(code)


def assert_same_bits(left: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> None:
    assert (left.dtype, left.shape) == (right.dtype, right.shape)
    assert left.tobytes() == right.tobytes()


def test_a_real_ioc_sent_every_codec():
    assert set(RECORDED) == set(CODECS)


@pytest.mark.parametrize("codec", CODECS)
def test_payload_of_a_real_ioc_decodes_to_the_shape_type_and_length_it_was_sent_with(codec):
    entry, payload, dtype, shape = sample(codec)
    assert payload.size == entry["compressedSize"]
    assert payload[:16].tolist() == entry["head"]
    pixels = decode_payload(codec, payload, dtype, shape)
    assert pixels.shape == shape == (256, 256)
    assert pixels.dtype == ("u1" if codec == "jpeg" else "u2")
    assert pixels.nbytes == entry["uncompressedSize"]
    assert 20 < pixels.mean() < 30 and pixels.max() < 300  # the simulated detector's noise, and its peaks


@pytest.mark.parametrize("codec", CODECS)
def test_an_independent_decoder_agrees_on_the_payload_of_a_real_ioc(codec):
    _, payload, dtype, shape = sample(codec)
    assert_same_bits(decode_payload(codec, payload, dtype, shape), payloads.decode(codec, payload, dtype, shape))


@pytest.mark.parametrize("codec", LOSSLESS)
def test_a_real_ioc_compresses_as_the_encoders_of_these_tests_do(codec):
    """Not bit for bit, but each can be decoded in place of the other."""
    _, payload, dtype, shape = sample(codec)
    pixels = decode_payload(codec, payload, dtype, shape)
    again = payloads.encode(codec, pixels)
    assert_same_bits(decode_payload(codec, again, dtype, shape), pixels)


@pytest.mark.further(but=31)
@pytest.mark.parametrize("content", [noise, speckle, lambda code, shape: np.zeros(shape, code)])
@pytest.mark.parametrize("code", PIXEL_TYPES)
@pytest.mark.parametrize("codec", LOSSLESS)
def test_every_pixel_type_and_size_survives_every_lossless_codec(codec, code, content):
    for shape in SHAPES:
        pixels = content(code, shape)
        assert_same_bits(decode_payload(codec, payloads.encode(codec, pixels), pixels.dtype, shape), pixels)


@pytest.mark.further(but=11)
@pytest.mark.parametrize("shuffle", [0, 1, 2])
@pytest.mark.parametrize("clevel", [0, 1, 9])
@pytest.mark.parametrize("cname", BLOSC_COMPRESSORS)
def test_every_compressor_level_and_shuffle_of_blosc_is_decoded(cname, clevel, shuffle):
    for code in ("u1", "u2", "f8"):
        for content in (noise, speckle):
            pixels = content(code, (101, 257))
            payload = payloads.encode("blosc", pixels, cname=cname, clevel=clevel, shuffle=shuffle)
            assert_same_bits(decode_payload("blosc", payload, pixels.dtype, pixels.shape), pixels)


def test_lz4hdf5_of_many_blocks_some_of_them_copies_is_decoded():
    pixels = speckle("u2", (101, 103))
    pixels[40:60] = noise("u2", (20, 103))
    payload = payloads.encode("lz4hdf5", pixels, nbytes=1000)
    lengths, position = [], 12
    while position < payload.size:
        lengths.append(struct.unpack_from(">I", payload, position)[0])
        position += 4 + lengths[-1]
    assert 0 < lengths.count(1000) < len(lengths) == -(-pixels.nbytes // 1000)
    assert_same_bits(decode_payload("lz4hdf5", payload, pixels.dtype, pixels.shape), pixels)


@pytest.mark.parametrize(("codec", "position", "layout"), [("lz4hdf5", 0, ">Q"), ("blosc", 4, "<I")])
def test_payload_whose_own_header_says_another_length_is_refused(codec, position, layout):
    pixels = speckle("u2", (37, 113))
    payload = payloads.encode(codec, pixels)
    for n_bytes in (0, pixels.nbytes - 1, pixels.nbytes + 1, 2 * pixels.nbytes, 2**31 - 1):
        lying = bytearray(payload)
        struct.pack_into(layout, lying, position, n_bytes)
        with pytest.raises(SourceError, match=f"their header says {n_bytes} bytes"):
            decode_payload(codec, np.frombuffer(lying, np.uint8), pixels.dtype, pixels.shape)


def test_bslz4_block_that_is_as_long_compressed_as_before_is_no_copy():
    """In lz4hdf5 it would be one, and both are decoded by the same code."""
    shuffled = noise("u1", (1, 8192))[0]
    for n_equal in range(30, 80):
        shuffled[1000 : 1000 + n_equal] = 0
        if len(imagecodecs.lz4_encode(shuffled.tobytes(), header=False)) == 8192:
            break
    pixels = imagecodecs.bitshuffle_decode(np.tile(shuffled, 3).view("u2"), blocksize=4096).reshape(96, 128)
    payload = payloads.encode("bslz4", pixels)
    assert struct.unpack_from(">I", payload) == (8192,)
    assert_same_bits(decode_payload("bslz4", payload, pixels.dtype, pixels.shape), pixels)


@pytest.mark.parametrize("codec", CODECS)
def test_a_large_dark_frame_is_accepted_however_short_its_payload(codec):
    """Nothing compresses better; what no payload of that length could hold is refused before memory is taken."""
    pixels = np.zeros((4096, 4096), np.uint8)
    payload = payloads.encode(codec, pixels)
    assert payload.size < pixels.nbytes / 50
    assert not decode_payload(codec, payload, pixels.dtype, pixels.shape).any()


@pytest.mark.further(but=7)
@pytest.mark.parametrize("clevel", [1, 5, 9])
@pytest.mark.parametrize("cname", BLOSC_COMPRESSORS)
def test_a_large_dark_frame_is_accepted_of_every_compressor_of_blosc(cname, clevel):
    pixels = np.zeros((2048, 1024), np.float64)
    for shuffle in (0, 1, 2):
        payload = payloads.encode("blosc", pixels, cname=cname, clevel=clevel, shuffle=shuffle)
        assert not decode_payload("blosc", payload, pixels.dtype, pixels.shape).any()


@pytest.mark.parametrize("code", ["u1", "i1"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (256, 256), (65, 1030)])
def test_jpeg_is_the_image_that_another_decoder_sees(code, shape):
    for quality in (20, 85, 100):
        pixels = speckle("u1", shape).view(code)
        payload = payloads.encode("jpeg", pixels, quality=quality)
        decoded = decode_payload("jpeg", payload, pixels.dtype, shape)
        assert_same_bits(decoded, payloads.decode("jpeg", payload, code, shape))
        assert abs(decoded.astype(int) - pixels).max() < {20: 60, 85: 20, 100: 4}[quality]


def test_pixels_are_the_callers_to_keep_and_change():
    pixels = speckle("u2", (37, 113))
    for codec in LOSSLESS:
        decoded = decode_payload(codec, payloads.encode(codec, pixels), pixels.dtype, pixels.shape)
        assert decoded.flags.c_contiguous and decoded.flags.writeable and decoded.dtype.isnative


@pytest.mark.parametrize("codec", CODECS)
def test_payload_of_another_length_of_frame_is_refused(codec):
    """One row too many, or too few, in what the message says."""
    pixels = speckle("u1", (64, 48))
    payload = payloads.encode(codec, pixels)
    for shape in ((63, 48), (65, 48), (1, 1), (64, 480)):
        with pytest.raises(
            SourceError, match=rf"{payload.size} bytes of {codec} do not make \({shape[0]}, {shape[1]}\)"
        ):
            decode_payload(codec, payload, pixels.dtype, shape)


@pytest.mark.parametrize("codec", CODECS)
def test_half_a_payload_is_refused(codec):
    pixels = speckle("u1", (256, 256))
    payload = payloads.encode(codec, pixels)
    for end in (0, 1, 11, 12, 15, 16, payload.size // 2, payload.size - 1):
        with pytest.raises(SourceError, match=f"{end} bytes of {codec}"):
            decode_payload(codec, payload[:end], pixels.dtype, pixels.shape)


def test_zlib_notices_every_flipped_bit():
    pixels = speckle("u2", (16, 16))
    payload = payloads.encode("zlib", pixels)
    for position in range(payload.size):
        for bit in range(8):
            flipped = payload.copy()
            flipped[position] ^= 1 << bit
            try:
                decoded = decode_payload("zlib", flipped, pixels.dtype, pixels.shape)
            except SourceError:
                continue
            assert_same_bits(decoded, pixels)  # the header names a compression level, which nothing depends on


def test_unknown_codec_is_refused_with_the_names_that_are_known():
    with pytest.raises(SourceError, match=r"'szip' is none of jpeg, zlib, blosc, lz4, lz4hdf5, bslz4: set the codec"):
        decode_payload("szip", np.zeros(10, np.uint8), np.dtype("u2"), (2, 2))


def test_frame_larger_than_any_detectors_is_refused_though_its_payload_might_hold_it():
    payload = np.zeros(2 << 20, np.uint8)
    with pytest.raises(SourceError, match="a frame has 1 to 268435456 bytes"):
        decode_payload("lz4", payload, np.dtype("u2"), (16384, 8193))


def test_jpeg_of_wider_pixels_or_colours_or_progressive_is_refused():
    pixels = speckle("u1", (64, 48))
    with pytest.raises(SourceError, match="the JPEG has 8 bits, 64 rows, 48 columns, 1 colours"):
        decode_payload("jpeg", payloads.encode("jpeg", pixels), np.dtype("u2"), (64, 48))
    colour = np.frombuffer(imagecodecs.jpeg8_encode(np.dstack([pixels] * 3)), np.uint8)
    with pytest.raises(SourceError, match="3 colours"):
        decode_payload("jpeg", colour, pixels.dtype, (64, 48))
    with pytest.raises(SourceError, match="not a baseline JPEG"):
        decode_payload("jpeg", payloads.encode("jpeg", pixels, progressive=True), pixels.dtype, (64, 48))
