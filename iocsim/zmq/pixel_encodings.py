"""Pixels as a control unit compresses them: plain, LZ4, or bit-shuffled LZ4, in the framing of each stream.

SIMPLON stream v1 sends a bare LZ4 block; everything else is framed as the HDF5 filters 32004 and 32008 frame it.
"""

from __future__ import annotations

import struct
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from iocsim.detector.codecs import BITSHUFFLE_BLOCK_BYTES, CodecSettings, compress

PixelEncoding = Literal["none", "lz4", "bslz4"]
ENCODINGS: tuple[PixelEncoding, ...] = ("none", "lz4", "bslz4")


def bare_lz4(pixels: NDArray[Any]) -> bytes:
    """One LZ4 block, without its length."""
    return compress(pixels, "LZ4", CodecSettings())


def framed_lz4(pixels: NDArray[Any]) -> bytes:
    """As the HDF5 filter 32004."""
    return compress(pixels, "LZ4HDF5", CodecSettings())


def framed_bslz4(pixels: NDArray[Any]) -> bytes:
    """As the HDF5 filter 32008: >QI bytes of the frame and of a block, then the blocks."""
    size = pixels.itemsize
    header = struct.pack(">QI", pixels.nbytes, BITSHUFFLE_BLOCK_BYTES // size * size)
    return header + compress(pixels, "BSLZ4", CodecSettings())


def little_endian(pixels: NDArray[Any]) -> NDArray[Any]:
    """The pixels in C order and little-endian, which is what all names of encodings say."""
    return np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
