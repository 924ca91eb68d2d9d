"""The pixels of one image in a TIFF file: strips or tiles, uncompressed or compressed without loss.

Plain strips are read straight into the frame. Compressed ones go through imagecodecs, which is told how many bytes must
come out; fewer or more is an error, so a damaged strip never becomes zeros.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt

from stream_service.errors import SourceError
from stream_service.sources.tiff_bytes import TiffBytes
from stream_service.sources.tiff_directory import (
    DIFFERENCES,
    LOSSLESS,
    NO_COMPRESSION,
    NO_PREDICTOR,
    TiffDirectory,
    segment_bytes,
)

Decoder = Callable[..., Any]
DECODERS: dict[str, Decoder] = {
    "LZW": imagecodecs.lzw_decode,
    "deflate": imagecodecs.zlib_decode,
    "PackBits": imagecodecs.packbits_decode,
    "zstd": imagecodecs.zstd_decode,
}
UNDECODABLE = (RuntimeError, ValueError, MemoryError)
"""What imagecodecs raises for bytes that are not what they should be."""


def read_pixels(source: TiffBytes, directory: TiffDirectory) -> npt.NDArray[Any]:
    """A new array (y, x) in the machine's byte order. Raises `SourceError` naming the file."""
    pixels = np.empty(directory.shape, directory.dtype)
    if directory.compression == NO_COMPRESSION and not directory.is_tiled:
        _read_plain_strips(source, directory, pixels)
        return _native(pixels)
    rows, columns = directory.segment_shape
    per_row = -(-directory.shape[1] // columns)
    for index, n_bytes in enumerate(segment_bytes(directory).tolist()):
        y, x = index // per_row * rows, index % per_row * columns
        part = pixels[y : y + rows, x : x + columns]
        part[...] = _segment(source, directory, index, n_bytes, columns)[: part.shape[0], : part.shape[1]]
    return _native(pixels)


def _read_plain_strips(source: TiffBytes, directory: TiffDirectory, pixels: npt.NDArray[Any]) -> None:
    sizes, offsets = segment_bytes(directory), directory.offsets
    if bool((offsets[1:] == offsets[:-1] + sizes[:-1]).all()):
        source.read_into(pixels, int(offsets[0]))
        return
    rows = directory.segment_shape[0]
    for index, offset in enumerate(offsets.tolist()):
        source.read_into(pixels[index * rows : (index + 1) * rows], offset)


def _segment(source: TiffBytes, directory: TiffDirectory, index: int, n_bytes: int, columns: int) -> npt.NDArray[Any]:
    """One strip or tile, whole."""
    data = source.read(int(directory.offsets[index]), int(directory.byte_counts[index]))
    if directory.compression != NO_COMPRESSION:
        method = LOSSLESS[directory.compression]
        try:
            data = DECODERS[method](data, out=n_bytes)
        except UNDECODABLE as error:
            raise SourceError(f"{source.path} cannot be decompressed ({method}): {error}") from error
    if len(data) < n_bytes:
        raise SourceError(f"{source.path} is damaged: a strip of it gives {len(data)} bytes of {n_bytes}")
    values = np.frombuffer(data, directory.dtype, n_bytes // directory.dtype.itemsize).reshape(-1, columns)
    if directory.predictor == NO_PREDICTOR:
        return values
    if directory.predictor == DIFFERENCES:
        return np.cumsum(values, axis=1, dtype=directory.dtype.newbyteorder("="))
    decoded = np.empty(values.shape, directory.dtype.newbyteorder("="))
    imagecodecs.floatpred_decode(values.view(decoded.dtype), axis=-1, out=decoded)
    return decoded


def _native(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
