"""The compressions of NDPluginCodec, each giving the payload that ADCore R3-15 puts into an NTNDArray.

zlib, lz4, lz4hdf5 and bslz4 are those of a recorded IOC byte for byte; what blosc and jpeg choose depends on the
release of their libraries. No payload but jpeg's says what shape the pixels have, none of what type they are, and lz4
and bslz4 not even how many: all that stands in the NTNDArray around them. What was put in is the pixels in C order.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray as Array

NO_COMPRESSOR = "None"
COMPRESSORS = (NO_COMPRESSOR, "JPEG", "Zlib", "Blosc", "LZ4", "LZ4HDF5", "BSLZ4")
"""The record `Compressor` of R3-15, in its order; R3-14 has neither Zlib nor LZ4HDF5, so put strings, not numbers."""
BLOSC_COMPRESSORS = ("BloscLZ", "LZ4", "LZ4HC", "SNAPPY", "ZLIB", "ZSTD")
BLOSC_SHUFFLES = ("None", "Byte", "Bit")

LZ4HDF5_LONGEST_BLOCK = 1 << 30
BITSHUFFLE_BLOCK_BYTES = 8192
BITSHUFFLE_UNIT = 8
"""Pixels that are shuffled together; what is left of them at the end of a frame follows as it is."""


class CodecError(ValueError):
    """The codec cannot compress these pixels; the text is the one that ADCore shows."""


@dataclass(frozen=True, slots=True)
class CodecSettings:
    """The settings of all codecs, with the first values of NDCodec.template."""

    jpeg_quality: int = 85
    """1 to 100."""
    zlib_level: int = 6
    """0 to 9."""
    blosc_compressor: str = "BloscLZ"
    blosc_level: int = 5
    """0 to 9."""
    blosc_shuffle: str = "None"
    blosc_threads: int = 1
    lz4hdf5_block_bytes: int = 0
    """0: one block for the frame, as far as it is not longer than LZ4HDF5_LONGEST_BLOCK."""


def codec_name(compressor: str) -> str:
    """`codec.name` on the wire for a string of the record Compressor: empty for None."""
    return "" if compressor == NO_COMPRESSOR else compressor.lower()


def compress(pixels: Array[Any], compressor: str, settings: CodecSettings) -> bytes:
    """The payload of a frame; may be longer than the frame. `compressor` is one of COMPRESSORS but None.

    Raises CodecError.
    """
    return _ENCODERS[compressor](np.ascontiguousarray(pixels), settings)


def _jpeg(pixels: Array[Any], settings: CodecSettings) -> bytes:
    """One grey JFIF image; int8 is taken for uint8, as by ADCore."""
    if pixels.itemsize != 1:
        raise CodecError("JPEG only supports 8-bit data")
    return bytes(imagecodecs.jpeg8_encode(pixels.view(np.uint8), level=settings.jpeg_quality))


def _zlib(pixels: Array[Any], settings: CodecSettings) -> bytes:
    return bytes(imagecodecs.zlib_encode(pixels.tobytes(), level=settings.zlib_level))


def _blosc(pixels: Array[Any], settings: CodecSettings) -> bytes:
    """A frame of Blosc 1, 16 bytes longer than the pixels if they cannot be compressed."""
    array: Any = pixels.reshape(-1)  # it tells the size of a pixel, which the bytes that the annotations want do not
    return bytes(
        imagecodecs.blosc_encode(
            array,
            level=settings.blosc_level,
            compressor=settings.blosc_compressor.lower(),
            shuffle=BLOSC_SHUFFLES.index(settings.blosc_shuffle),
            numthreads=settings.blosc_threads,
        )
    )


def _lz4(pixels: Array[Any], _: CodecSettings) -> bytes:
    """One bare LZ4 block: no size before it, no frame around it."""
    return _lz4_block(pixels.tobytes())


def _lz4hdf5(pixels: Array[Any], settings: CodecSettings) -> bytes:
    """A chunk of the HDF5 filter 32004: >QI bytes of the frame and of a block; then each block, its length >I first."""
    block = min(settings.lz4hdf5_block_bytes or LZ4HDF5_LONGEST_BLOCK, pixels.nbytes)
    return bytes(imagecodecs.lz4h5_encode(pixels.tobytes(), blocksize=block))


def _bslz4(pixels: Array[Any], _: CodecSettings) -> bytes:
    """A chunk of the HDF5 filter 32008 without its first 12 bytes: blocks, each with its length >I, then the rest."""
    size = pixels.itemsize
    block = BITSHUFFLE_BLOCK_BYTES // size * size
    shuffled = imagecodecs.bitshuffle_encode(pixels.tobytes(), itemsize=size, blocksize=block // size)
    end = pixels.size // BITSHUFFLE_UNIT * BITSHUFFLE_UNIT * size
    parts: list[bytes] = []
    for start in range(0, end, block):
        packed = _lz4_block(shuffled[start : min(start + block, end)])
        parts += (struct.pack(">I", len(packed)), packed)
    return b"".join((*parts, shuffled[end:]))


def _lz4_block(data: bytes | bytearray) -> bytes:
    return bytes(imagecodecs.lz4_encode(data, header=False))


_ENCODERS: dict[str, Callable[[Array[Any], CodecSettings], bytes]] = {
    "JPEG": _jpeg,
    "Zlib": _zlib,
    "Blosc": _blosc,
    "LZ4": _lz4,
    "LZ4HDF5": _lz4hdf5,
    "BSLZ4": _bslz4,
}
