"""The payload of a compressed NDArray, as ADCore's NDPluginCodec and NDPluginPva send it, back to its pixels.

A payload does not say what it holds: shape and type stand beside it in the message, and are accepted only as far as a
payload of that length can hold such a frame. So no size that came over the wire is allocated unchecked. Only zlib has a
checksum: what was flipped inside another codec's payload, and still decodes to the right length, gives wrong pixels.

Every decoder releases the GIL while it works on the pixels. All are imagecodecs', version 2025.8.2 or later.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from imagecodecs import bitshuffle_decode, blosc_decode, deflate_decode, jpeg8_decode, lz4_decode, lz4h5_decode
from numpy.typing import NDArray

from stream_service.core.frame import MOST_FRAME_BYTES
from stream_service.errors import SourceError

DTYPES: dict[int, np.dtype[Any]] = {
    code: np.dtype(name)
    for code, name in enumerate(("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"), start=1)
}
"""Type of the pixels by pvData's ScalarType, which ADCore sends as `codec.parameters`. In a payload they are as in the
memory of the IOC, little endian on x86; these are native, which is the same on every machine this runs on."""

DAMAGED = (RuntimeError, ValueError, struct.error)
"""What imagecodecs and our own checks raise at a payload that cannot be decoded."""
LONGEST_NAME = 40
"""Characters of a name from the sender that go into an error message."""

BITSHUFFLE_BLOCK_BYTES = 8192
"""Bitshuffle's own choice, which NDPluginCodec leaves to it."""
BITSHUFFLE_UNIT = 8
"""Pixels that are shuffled together."""
BITSHUFFLE_ROOM_BYTES = 2 * BITSHUFFLE_BLOCK_BYTES
"""More than LZ4 makes of a block, even of noise: no block has this length."""

BLOSC_HEADER = struct.Struct("<4B3I")
"""Two versions, flags, size of a pixel; bytes of the frame, of a block, and of the payload."""
BLOSC_IS_COPY = 0x02
BLOSC_MOST_RATIOS = {0: 255, 1: 255, 2: 22, 3: 1032, 4: 32768}
"""Bytes that one byte becomes at most, by the compressor in the upper three bits of the flags: blosclz and lz4 count a
run in bytes of 255; snappy copies 64 bytes by 3; zlib as below; zstd makes 128 KiB of 4, one byte repeated."""

JPEG_MOST_SEGMENTS = 64
"""Segments up to the pixels; ADCore writes six."""
JPEG_SIZES, JPEG_PIXELS = 0xC0, 0xDA
JPEG_SEGMENTS = {JPEG_SIZES, JPEG_PIXELS, 0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)}
"""Markers of a baseline JPEG before its pixels, which is what ADCore writes; a length follows each."""


def decode_payload(
    codec: str, payload: NDArray[np.uint8], dtype: np.dtype[Any], shape: tuple[int, int]
) -> NDArray[Any]:
    """The pixels (y, x) in a payload of a codec, which is `codec.name` of the message; a new array, the caller's.

    Raises `SourceError`, which does not name the frame, if the payload is not just such a frame. Memory: at most three
    times the frame (bslz4 and blosc decode in two steps), three times the payload (jpeg is searched for its end) and
    4 MiB of a library's own. A frame here is at most MOST_FRAME_BYTES, and what a payload of this length can hold.
    """
    if codec not in _CODECS:
        raise SourceError(
            f"the codec {codec[:LONGEST_NAME]!r} is none of {', '.join(_CODECS)}: "
            "set the codec plugin's Compressor to None or one of them"
        )
    n_bytes = shape[0] * shape[1] * dtype.itemsize
    if min(shape) < 1 or n_bytes > MOST_FRAME_BYTES:
        raise SourceError(f"a frame has 1 to {MOST_FRAME_BYTES} bytes, not {shape} {dtype} values")
    try:
        if n_bytes > payload.size * _CODECS[codec].most_ratio(payload):
            raise ValueError("they are too few")
        pixels = np.empty(shape, dtype)
        n_decoded = _CODECS[codec].decode(payload, pixels)
        if n_decoded != n_bytes:
            raise ValueError(f"they decode to {n_decoded} bytes")
    except DAMAGED as error:
        # Not the error itself: it would hold on to this call, and so to its pixels, until the garbage is collected.
        reason = "they end in their own header" if isinstance(error, struct.error) else str(error)
        raise SourceError(
            f"{payload.size} bytes of {codec} do not make {shape} {dtype} values, {n_bytes} bytes: {reason}"
        ) from error
    return pixels


# The decoders: from the payload into the pixels; each gives the number of bytes it wrote, or raises one of DAMAGED.
# (`payload: Any`: an array, which imagecodecs takes, though its annotations do not say so.)


def _bytes_of(pixels: NDArray[Any]) -> memoryview:
    return pixels.reshape(-1).view(np.uint8).data


def _jpeg(payload: Any, pixels: NDArray[Any]) -> int:
    """Grey, 8 bits, lossy. int8 pixels are the bits of uint8, as ADCore takes them."""
    _check_jpeg(payload, pixels)
    return jpeg8_decode(payload, out=pixels.view(np.uint8)).nbytes


def _check_jpeg(payload: Any, pixels: NDArray[Any]) -> None:
    """Raise `ValueError` unless it is one whole grey baseline image of that shape.

    libjpeg allocates by the image's own header; at another shape than that of `out` imagecodecs forgets to free this;
    and what is missing of an image libjpeg fills with grey.
    """
    if payload[:2].tobytes() != b"\xff\xd8":
        raise ValueError("not the beginning of a JPEG")
    position = 2
    for _ in range(JPEG_MOST_SEGMENTS):
        first, marker, length = struct.unpack_from(">BBH", payload, position)
        if first != 0xFF or marker not in JPEG_SEGMENTS:
            raise ValueError("not a baseline JPEG")
        if marker == JPEG_SIZES:
            sizes = struct.unpack_from(">BHHB", payload, position + 4)
            if sizes != (8, *pixels.shape, 1) or pixels.itemsize != 1:
                raise ValueError("the JPEG has {} bits, {} rows, {} columns, {} colours".format(*sizes))
        position += 2 + length
        if marker == JPEG_PIXELS:
            break
    scan = payload[position:]
    is_marker = scan[:-1] == 0xFF
    is_marker &= scan[1:] != 0  # that is how the value 0xff is written
    is_marker &= scan[1:] & 0xF8 != 0xD0  # a mark to find the way again after an error
    if np.count_nonzero(is_marker) != 1 or scan[-2:].tobytes() != b"\xff\xd9":
        raise ValueError("the JPEG does not end where it should")


def _zlib(payload: Any, pixels: NDArray[Any]) -> int:
    """By libdeflate, which takes less than half the time of zlib; it does not look at what follows the checksum."""
    return len(deflate_decode(payload, out=_bytes_of(pixels)))


def _lz4(payload: Any, pixels: NDArray[Any]) -> int:
    """One bare block, without its size."""
    return len(lz4_decode(payload, header=False, out=_bytes_of(pixels)))


def _lz4hdf5(payload: Any, pixels: NDArray[Any]) -> int:
    """A chunk of HDF5's filter 32004: bytes of the frame and of a block; each block after its length; big endian."""
    (n_bytes,) = struct.unpack_from(">Q", payload)
    if n_bytes != pixels.nbytes:
        raise ValueError(f"their header says {n_bytes} bytes")
    return len(lz4h5_decode(payload, out=_bytes_of(pixels)))


def _bslz4(payload: Any, pixels: NDArray[Any]) -> int:
    """Bitshuffled blocks in LZ4, each after its length, big endian; then the last pixels, fewer than 8, as they are.

    The blocks are those of lz4hdf5, and decoded as such in one call. The header for it says that blocks are larger than
    any can be, since lz4hdf5 takes a block that is as long compressed as not for a copy, and bslz4 does not.
    """
    n_last = pixels.size % BITSHUFFLE_UNIT * pixels.itemsize
    if payload.size < n_last:
        raise ValueError("they are too few")
    n_shuffled = pixels.nbytes - n_last
    shuffled = np.empty(pixels.nbytes + BITSHUFFLE_ROOM_BYTES, np.uint8)
    blocks, last = payload[: payload.size - n_last], payload[payload.size - n_last :]
    n_decoded = 0
    if blocks.size:
        header = np.frombuffer(struct.pack(">QI", shuffled.size, BITSHUFFLE_ROOM_BYTES), np.uint8)
        framed: Any = np.concatenate((header, blocks))
        n_decoded = len(lz4h5_decode(framed, out=shuffled.data))
    if n_decoded != n_shuffled:
        return n_decoded + n_last
    shuffled[n_shuffled : pixels.nbytes] = last
    bitshuffle_decode(
        shuffled[: pixels.nbytes].view(pixels.dtype),
        blocksize=BITSHUFFLE_BLOCK_BYTES // pixels.itemsize,
        out=pixels.reshape(-1),
    )
    return pixels.nbytes


def _blosc(payload: Any, pixels: NDArray[Any]) -> int:
    """One frame of Blosc 1, whole: the library reads as far as the frame's own header says, whatever it is given."""
    *_, n_bytes, _, n_compressed = BLOSC_HEADER.unpack_from(payload)
    if (n_bytes, n_compressed) != (pixels.nbytes, payload.size):
        raise ValueError(f"their header says {n_bytes} bytes in {n_compressed}")
    return len(blosc_decode(payload, numthreads=1, out=_bytes_of(pixels)))


def _blosc_most_ratio(payload: Any) -> int:
    _, _, flags, *_ = BLOSC_HEADER.unpack_from(payload)
    return 1 if flags & BLOSC_IS_COPY else BLOSC_MOST_RATIOS.get(flags >> 5, 0)


@dataclass(frozen=True, slots=True)
class _Codec:
    decode: Callable[[Any, NDArray[Any]], int]
    most_ratio: Callable[[Any], int]
    """Bytes that one byte of the payload becomes at most, and so how large a frame may be."""


_CODECS = {
    "jpeg": _Codec(_jpeg, lambda _: 256),  # 64 pixels take at least two codes, and a code at least one bit
    "zlib": _Codec(_zlib, lambda _: 1032),  # 258 bytes take at least two codes, and a code at least one bit
    "blosc": _Codec(_blosc, _blosc_most_ratio),
    "lz4": _Codec(_lz4, lambda _: 255),  # a run is counted in bytes of 255
    "lz4hdf5": _Codec(_lz4hdf5, lambda _: 255),
    "bslz4": _Codec(_bslz4, lambda _: 255),
}
CODECS = tuple(_CODECS)
"""What `codec.name` of a compressed frame may be."""
