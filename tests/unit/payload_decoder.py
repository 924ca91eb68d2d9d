"""Decodes what areaDetector's codecs make, by other libraries than those that the simulator encodes with.

HDF5's own filters (hdf5plugin) read lz4, lz4hdf5, bslz4 and blosc as chunks of a file in memory; the standard library
reads zlib, Pillow jpeg.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import h5py
import hdf5plugin
import numpy as np
from PIL import Image

SCALAR_TYPES = {1: "i1", 2: "i2", 3: "i4", 4: "i8", 5: "u1", 6: "u2", 7: "u4", 8: "u8", 9: "f4", 10: "f8"}
"""numpy types by `codec.parameters`, as a real IOC was seen to send them."""
BITSHUFFLE_BLOCK_BYTES = 8192


def decode(codec: str, payload: bytes, shape: tuple[int, int], dtype: np.dtype[Any]) -> np.ndarray:
    """The pixels of a payload; the empty codec is that of plain pixels."""
    n_bytes = shape[0] * shape[1] * dtype.itemsize
    match codec:
        case "":
            return np.frombuffer(payload, dtype).reshape(shape)
        case "zlib":
            return np.frombuffer(zlib.decompress(payload), dtype).reshape(shape)
        case "jpeg":
            image = np.asarray(Image.open(io.BytesIO(payload)))
            assert image.shape == shape
            return image.view(dtype)
        case "blosc":
            return _by_filter(hdf5plugin.Blosc(), payload, shape, dtype)
        case "lz4":
            head = struct.pack(">QII", n_bytes, n_bytes, len(payload))
            return _by_filter(hdf5plugin.LZ4(), head + payload, shape, dtype)
        case "lz4hdf5":
            return _by_filter(hdf5plugin.LZ4(), payload, shape, dtype)
        case "bslz4":
            head = struct.pack(">QI", n_bytes, BITSHUFFLE_BLOCK_BYTES)
            return _by_filter(hdf5plugin.Bitshuffle(), head + payload, shape, dtype)
    raise AssertionError(f"no areaDetector sends codec {codec!r}")


def pixels_of(update: Any) -> np.ndarray:
    """The pixels of an NTNDArray, (rows, columns), by what its own fields say."""
    columns, rows = (dimension.size for dimension in update.dimension)
    dtype = np.dtype(SCALAR_TYPES[update.codec.parameters])
    return decode(update.codec.name, update.value.tobytes(), (rows, columns), dtype)


def _by_filter(options: Any, chunk: bytes, shape: tuple[int, int], dtype: np.dtype[Any]) -> np.ndarray:
    with h5py.File("decoder", "w", driver="core", backing_store=False) as file:
        dataset = file.create_dataset("pixels", shape, dtype, chunks=shape, **options)
        dataset.id.write_direct_chunk((0, 0), chunk)
        return dataset[()]
