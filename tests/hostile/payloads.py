"""Payloads of every codec of NDPluginCodec, made and read without our decoders: by HDF5's filters, zlib and PIL."""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from typing import Any

import h5py
import hdf5plugin
import numpy as np
from PIL import Image

LOSSLESS = ("zlib", "blosc", "lz4", "lz4hdf5", "bslz4")
CODECS = ("jpeg", *LOSSLESS)
PIXEL_TYPES = ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8")
BLOSC_COMPRESSORS = ("blosclz", "lz4", "lz4hc", "snappy", "zlib", "zstd")

Array = np.ndarray[Any, Any]
_number = itertools.count()


def encode(codec: str, pixels: Array, **options: Any) -> Array:
    """The payload of a frame; the options are those of the codec's own function below."""
    return np.frombuffer(_ENCODERS[codec](pixels, **options), np.uint8)


def decode(codec: str, payload: Array, dtype: Any, shape: tuple[int, int]) -> Array:
    """The pixels of a good payload."""
    return _DECODERS[codec](payload.tobytes(), np.dtype(dtype), shape)


def _filtered(pixels: Array, filter_: Any) -> bytes | None:
    """One chunk as HDF5 stores it; None if the filter gave up on it."""
    with _in_memory() as file:
        dataset = file.create_dataset("frame", data=pixels, chunks=pixels.shape, **filter_)
        skipped, chunk = dataset.id.read_direct_chunk((0, 0))
        return None if skipped else chunk


def _unfiltered(chunk: bytes, dtype: np.dtype[Any], shape: tuple[int, int], filter_: Any) -> Array:
    with _in_memory() as file:
        dataset = file.create_dataset("frame", shape, dtype, chunks=shape, **filter_)
        dataset.id.write_direct_chunk((0, 0), chunk)
        return dataset[...]


def _in_memory() -> h5py.File:
    return h5py.File(f"payload {next(_number)}", "w", driver="core", backing_store=False)


def _encode_jpeg(pixels: Array, quality: int = 85, progressive: bool = False) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels.view(np.uint8)).save(file, "JPEG", quality=quality, progressive=progressive)
    return file.getvalue()


def _decode_jpeg(payload: bytes, dtype: np.dtype[Any], shape: tuple[int, int]) -> Array:
    with Image.open(io.BytesIO(payload)) as image:
        assert image.mode == "L"
        return np.asarray(image).view(dtype)


def _encode_zlib(pixels: Array, level: int = 6) -> bytes:
    return zlib.compress(pixels.tobytes(), level)


def _decode_zlib(payload: bytes, dtype: np.dtype[Any], shape: tuple[int, int]) -> Array:
    return np.frombuffer(zlib.decompress(payload), dtype).reshape(shape)


def _encode_blosc(pixels: Array, cname: str = "blosclz", clevel: int = 5, shuffle: int = 1) -> bytes:
    chunk = _filtered(pixels, hdf5plugin.Blosc(cname, clevel, shuffle))
    if chunk is None:  # it cannot be compressed: Blosc itself copies it behind its header, the HDF5 filter does not
        n = pixels.nbytes
        chunk = struct.pack("<4B3I", 2, 1, 0x02, pixels.itemsize, n, n, n + 16) + pixels.tobytes()
    return chunk


def _decode_blosc(payload: bytes, dtype: np.dtype[Any], shape: tuple[int, int]) -> Array:
    return _unfiltered(payload, dtype, shape, hdf5plugin.Blosc())


def _encode_lz4(pixels: Array) -> bytes:
    chunk = _encode_lz4hdf5(pixels)
    if len(chunk) < 16 + pixels.nbytes:
        return chunk[16:]
    more, last = divmod(pixels.nbytes - 15, 255)  # it was copied: LZ4's way to say so is one run of literals
    counts = bytes([pixels.nbytes << 4]) if more < 0 else bytes([15 << 4, *[255] * more, last])
    return counts + pixels.tobytes()


def _decode_lz4(payload: bytes, dtype: np.dtype[Any], shape: tuple[int, int]) -> Array:
    n = dtype.itemsize * shape[0] * shape[1]
    assert len(payload) != n, "in HDF5's framing this length says that it is a copy"
    return _decode_lz4hdf5(struct.pack(">QII", n, n, len(payload)) + payload, dtype, shape)


def _encode_lz4hdf5(pixels: Array, nbytes: int = 0) -> bytes:
    chunk = _filtered(pixels, hdf5plugin.LZ4(nbytes))
    assert chunk is not None
    return chunk


def _decode_lz4hdf5(payload: bytes, dtype: np.dtype[Any], shape: tuple[int, int]) -> Array:
    return _unfiltered(payload, dtype, shape, hdf5plugin.LZ4())


def _encode_bslz4(pixels: Array) -> bytes:
    chunk = _filtered(pixels, hdf5plugin.Bitshuffle())
    assert chunk is not None and chunk[:12] == struct.pack(">QI", pixels.nbytes, 8192)
    return chunk[12:]


def _decode_bslz4(payload: bytes, dtype: np.dtype[Any], shape: tuple[int, int]) -> Array:
    header = struct.pack(">QI", dtype.itemsize * shape[0] * shape[1], 8192)
    return _unfiltered(header + payload, dtype, shape, hdf5plugin.Bitshuffle())


_ENCODERS = {
    "jpeg": _encode_jpeg,
    "zlib": _encode_zlib,
    "blosc": _encode_blosc,
    "lz4": _encode_lz4,
    "lz4hdf5": _encode_lz4hdf5,
    "bslz4": _encode_bslz4,
}
_DECODERS = {
    "jpeg": _decode_jpeg,
    "zlib": _decode_zlib,
    "blosc": _decode_blosc,
    "lz4": _decode_lz4,
    "lz4hdf5": _decode_lz4hdf5,
    "bslz4": _decode_bslz4,
}
