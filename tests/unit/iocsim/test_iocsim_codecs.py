"""The payloads of the simulated codecs: those of a real areaDetector, and readable by other libraries."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from payload_decoder import decode
from typer.testing import CliRunner

from iocsim import cli
from iocsim.detector import ntndarray
from iocsim.detector.codecs import COMPRESSORS, CodecError, CodecSettings, codec_name, compress
from iocsim.detector.ndarray import DATA_TYPES, Compressed, NDArray, data_type

DATA = Path(__file__).parents[2] / "data" / "codecs"
RECORDED_SHAPE, RECORDED_DTYPE = (256, 256), np.dtype(np.uint16)
LOSSLESS = [compressor for compressor in COMPRESSORS if compressor not in ("None", "JPEG")]
DEFAULTS = CodecSettings()


def some_pixels(dtype: np.dtype, shape: tuple[int, int] = (131, 157)) -> np.ndarray:
    """Compressible, of every byte, and with a number of pixels that no block size divides."""
    counts = np.random.default_rng(7).poisson(3.0, shape)
    return (counts * counts[::-1]).astype(dtype) if dtype.kind != "f" else np.sqrt(counts).astype(dtype)


@pytest.mark.parametrize("compressor", ["Zlib", "LZ4", "LZ4HDF5", "BSLZ4"])
def test_payload_is_byte_for_byte_that_of_a_real_ioc(compressor: str):
    recorded = (DATA / f"codec_{compressor}_value.bin").read_bytes()
    pixels = decode(codec_name(compressor), recorded, RECORDED_SHAPE, RECORDED_DTYPE)
    assert pixels.std() > 1.0
    assert compress(pixels, compressor, DEFAULTS) == recorded


@pytest.mark.parametrize("compressor", LOSSLESS)
@pytest.mark.parametrize("name", DATA_TYPES)
def test_every_pixel_type_survives_every_lossless_codec(compressor: str, name: str):
    pixels = some_pixels(data_type(name))
    payload = compress(pixels, compressor, DEFAULTS)
    assert decode(codec_name(compressor), payload, pixels.shape, pixels.dtype).tobytes() == pixels.tobytes()


@pytest.mark.parametrize("compressor", LOSSLESS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (2, 4), (3, 43), (64, 64), (64, 65)])
def test_frames_of_less_than_a_block_and_of_whole_blocks_survive(compressor: str, shape: tuple[int, int]):
    pixels = some_pixels(RECORDED_DTYPE, shape)
    payload = compress(pixels, compressor, DEFAULTS)
    assert np.array_equal(decode(codec_name(compressor), payload, shape, RECORDED_DTYPE), pixels)


@pytest.mark.parametrize("compressor", [*LOSSLESS, "JPEG"])
def test_a_reversed_readout_is_compressed_in_its_own_order(compressor: str):
    pixels = some_pixels(np.dtype(np.uint8))
    turned = pixels[::-1, ::-1]
    assert compress(turned, compressor, DEFAULTS) == compress(turned.copy(), compressor, DEFAULTS)
    assert compress(turned, compressor, DEFAULTS) != compress(pixels, compressor, DEFAULTS)


@pytest.mark.parametrize("compressor", LOSSLESS)
def test_what_cannot_be_compressed_grows_and_survives(compressor: str):
    pixels = np.random.default_rng(1).integers(0, 1 << 16, (131, 157), np.uint16)
    payload = compress(pixels, compressor, DEFAULTS)
    assert len(payload) > pixels.nbytes
    assert np.array_equal(decode(codec_name(compressor), payload, pixels.shape, pixels.dtype), pixels)


def test_blosc_frame_says_what_adcore_says_in_it():
    pixels = some_pixels(RECORDED_DTYPE)
    payload = compress(pixels, "Blosc", DEFAULTS)
    version, lz_version, flags, pixel_bytes, n_bytes, _, payload_bytes = struct.unpack("<BBBBIII", payload[:16])
    assert (version, lz_version, pixel_bytes) == (2, 1, 2)  # the first bytes of the recorded frame
    assert (n_bytes, payload_bytes) == (pixels.nbytes, len(payload))
    assert flags & 0b101 == 0  # not shuffled

    noise = np.random.default_rng(1).integers(0, 1 << 16, (256, 256), np.uint16)
    assert len(compress(noise, "Blosc", DEFAULTS)) == 131088  # as recorded


@pytest.mark.parametrize(("block_bytes", "n_blocks"), [(0, 1), (4096, 11), (1 << 20, 1), (8192, 6)])
def test_lz4hdf5_has_as_many_blocks_as_asked_for(block_bytes: int, n_blocks: int):
    pixels = some_pixels(RECORDED_DTYPE)
    payload = compress(pixels, "LZ4HDF5", CodecSettings(lz4hdf5_block_bytes=block_bytes))
    block_bytes = min(block_bytes or pixels.nbytes, pixels.nbytes)
    assert payload[:12] == struct.pack(">QI", pixels.nbytes, block_bytes)
    lengths, at = [], 12
    while at < len(payload):
        lengths.append(struct.unpack_from(">I", payload, at)[0])
        at += 4 + lengths[-1]
    assert (at, len(lengths)) == (len(payload), n_blocks)
    assert np.array_equal(decode("lz4hdf5", payload, pixels.shape, pixels.dtype), pixels)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_jpeg_of_eight_bits_is_the_image_nearly(dtype: type):
    rows, columns = np.mgrid[0:131, 0:157]
    pixels = (90 + 30 * np.sin(rows / 9) + (columns // 4)).astype(np.uint8).view(dtype)
    best = compress(pixels, "JPEG", CodecSettings(jpeg_quality=100))
    image = decode("jpeg", best, pixels.shape, pixels.dtype)
    assert np.abs(image.view(np.uint8).astype(int) - pixels.view(np.uint8)).max() <= 2
    assert best[:11] == bytes.fromhex("ffd8ffe000104a46494600")  # JFIF, as recorded
    assert len(compress(pixels, "JPEG", CodecSettings(jpeg_quality=10))) < len(best) / 3


@pytest.mark.parametrize("name", [name for name in DATA_TYPES if not name.endswith("Int8")])
def test_jpeg_of_more_bits_is_refused_in_the_words_of_adcore(name: str):
    with pytest.raises(CodecError, match=r"^JPEG only supports 8-bit data$"):
        compress(some_pixels(data_type(name)), "JPEG", DEFAULTS)


def test_a_compressed_array_is_sent_as_bytes_that_still_name_the_pixels_type():
    pixels = some_pixels(np.dtype(np.float32))
    payload = compress(pixels, "BSLZ4", DEFAULTS)
    plain = NDArray(pixels, 5, 1_795_218_868_651_419_154, ())
    coded = NDArray(pixels, 5, 1_795_218_868_651_419_154, (), compressed=Compressed("bslz4", payload))
    value, before = ntndarray.encode(coded), ntndarray.encode(plain)
    assert (value.value.dtype, value.value.tobytes()) == (np.uint8, payload)
    assert (value.codec.name, value.codec.parameters) == ("bslz4", 9)
    assert (value.compressedSize, value.uncompressedSize) == (len(payload), pixels.nbytes)
    assert (before.codec.name, before.codec.parameters) == ("", 9)
    assert [d.size for d in value.dimension] == [d.size for d in before.dimension] == [157, 131]
    assert value.changedSet(expand=True) == before.changedSet(expand=True)


def test_an_unknown_codec_is_refused_in_one_sentence():
    result = CliRunner().invoke(cli.app, ["--shape", "32,48", "--codec", "gzip"])
    assert result.exit_code == 2
    assert result.stderr == "iocsim: --codec gzip: use none, jpeg, zlib, blosc, lz4, lz4hdf5, bslz4\n"
