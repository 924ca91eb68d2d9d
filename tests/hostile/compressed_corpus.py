"""Messages of compressed frames with defects at every depth: the message, its claims, the payload, the codec's header.

`mutated` combines them at random, the same ones for the same seed; a third or so are still frames. `BOMBS` are small
and would be large.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import payloads
from corpus import STAMP_S, Message
from p4p import Value

from iocsim.detector.ntndarray import SCALAR_TYPE

Array = np.ndarray[Any, Any]
SHAPES = ((1, 1), (3, 5), (64, 64), (101, 103))
EXTREMES = (0, 1, 0x7F, 0x80, 0xFE, 0xFF)
SIZES = (-(2**31), -8, -1, 0, 1, 7, 255, 65_535, 65_536, 2**31 - 1)
"""Dimensions that a frame of this corpus does not have."""
CLAIMS = (-(2**63), -1, 0, 1, 2**20, 2**31 - 1, 2**32, 2**63 - 1)
NAMES = (*payloads.CODECS, "", "LZ4", "szip", "bslz4 ", "\u2620" * 100)
PARAMETERS = (None, ("i", 0), ("i", 11), ("i", -1), ("l", 2**40), 6.0, "uint16", np.arange(3), True)


@cache
def frames_of(codec: str) -> list[tuple[Array, Array]]:
    """Frames with their payloads: every pixel type, sizes with and without rests, signal and noise, every option."""
    rng = np.random.default_rng(1)
    options: tuple[dict[str, Any], ...] = ({},)
    if codec == "blosc":
        options = tuple({"cname": name, "shuffle": n % 3} for n, name in enumerate(payloads.BLOSC_COMPRESSORS))
    elif codec == "lz4hdf5":
        options = ({}, {"nbytes": 500})
    frames = [
        (rng.integers(0, 127, shape) if (n_type + n_shape) % 3 == 0 else rng.poisson(2.0, shape)).astype(code)
        for n_type, code in enumerate(("u1", "i1") if codec == "jpeg" else payloads.PIXEL_TYPES)
        for n_shape, shape in enumerate(SHAPES)
    ]
    return [(frame, payloads.encode(codec, frame, **option)) for frame in frames for option in options]


@cache
def _payloads_of_others(codec: str) -> list[Array]:
    return [payload for other in payloads.CODECS if other != codec for _, payload in frames_of(other)[::7]]


def mutated(codec: str, seed: int) -> Value:
    """Message number `seed` of a codec, with one to three defects, most of them in the payload."""
    rng = random.Random(f"{codec} {seed}")
    while True:
        frame, payload = rng.choice(frames_of(codec))
        message = Message(unique_id=rng.randrange(1000), seconds=STAMP_S, nanoseconds=rng.randrange(10**9))
        message.compress(codec, frame, payload)
        for _ in range(rng.choice((1, 1, 2))):
            message.pixels = rng.choice(_PAYLOAD_MISTAKES)(
                rng, message.pixels, rng.choice((payload, rng.choice(_payloads_of_others(codec))))
            )
        if rng.random() < 0.5 and message.pixels is not None:
            message.pixels = _with_true_header(codec, message.pixels, frame.nbytes)
        if rng.random() < 0.3:
            rng.choice(_MESSAGE_MISTAKES)(rng, message)
        try:
            return message.build()
        except (RuntimeError, KeyError, ValueError, TypeError, OverflowError):  # p4p refuses: it cannot be on the wire
            continue


def _with_true_header(codec: str, payload: Array, n_bytes: int) -> Array:
    """Sizes as they should be, so that the mistake is found behind them, if at all."""
    payload = payload.copy()
    if codec == "blosc" and payload.size >= 16:
        payload[4:8] = np.frombuffer(struct.pack("<I", n_bytes), np.uint8)
        payload[12:16] = np.frombuffer(struct.pack("<I", payload.size), np.uint8)
    elif codec == "lz4hdf5" and payload.size >= 8:
        payload[:8] = np.frombuffer(struct.pack(">Q", n_bytes), np.uint8)
    return payload


def _truncated(rng: random.Random, payload: Array, _: Array) -> Array:
    return payload[: rng.randrange(payload.size + 1)]


def _flipped(rng: random.Random, payload: Array, _: Array) -> Array:
    payload = payload.copy()
    for _n in range(rng.choice((1, 1, 2, 8)) if payload.size else 0):
        payload[rng.randrange(rng.choice((payload.size, min(payload.size, 24))))] ^= 1 << rng.randrange(8)
    return payload


def _overwritten(rng: random.Random, payload: Array, _: Array) -> Array:
    payload = payload.copy()
    start = rng.randrange(rng.choice((payload.size, min(payload.size, 24)))) if payload.size else 0
    payload[start : start + rng.choice((1, 2, 4, 8))] = rng.choice(EXTREMES)
    return payload


def _extended(rng: random.Random, payload: Array, _: Array) -> Array:
    return np.concatenate((payload, np.frombuffer(rng.randbytes(rng.randrange(1, 50)), np.uint8)))


def _spliced(rng: random.Random, payload: Array, other: Array) -> Array:
    return np.concatenate((payload[: rng.randrange(payload.size + 1)], other[rng.randrange(other.size) :]))


def _exchanged(_: random.Random, __: Array, other: Array) -> Array:
    return other


def _as_it_is(_: random.Random, payload: Array, __: Array) -> Array:
    return payload


_PAYLOAD_MISTAKES = (
    _truncated,
    _flipped,
    _flipped,
    _overwritten,
    _overwritten,
    _extended,
    _spliced,
    _exchanged,
    _as_it_is,
)


def _renamed(rng: random.Random, message: Message) -> None:
    message.codec = rng.choice(NAMES)


def _retyped(rng: random.Random, message: Message) -> None:
    message.parameters = rng.choice((*PARAMETERS, *(("i", code) for code in SCALAR_TYPE.values())))


def _resized(rng: random.Random, message: Message) -> None:
    """A dimension that is not the frame's; sometimes with the bytes it would have."""
    message.sizes = rng.choice(
        (
            [rng.choice(SIZES), message.sizes[1]],
            [message.sizes[0] + rng.choice((-1, 1)), message.sizes[1]],
            [rng.choice(SIZES), rng.choice(SIZES)],
            [rng.randrange(-(2**31), 2**31), rng.randrange(2**31)],
            [rng.choice(SIZES)] * rng.randrange(5),
        )
    )
    if rng.random() < 0.7 and len(message.sizes) == 2 and message.uncompressed_bytes:
        n_bytes = message.sizes[0] * message.sizes[1] * int(rng.choice((1, 2, 4, 8)))
        message.uncompressed_bytes = n_bytes if abs(n_bytes) < 2**63 else -1


def _misclaimed(rng: random.Random, message: Message) -> None:
    claim = rng.choice((*CLAIMS, rng.randrange(20_000)))
    if rng.random() < 0.5:
        message.compressed_bytes = claim
    else:
        message.uncompressed_bytes = claim


def _retold(rng: random.Random, message: Message) -> None:
    """The payload in another member of the union."""
    if message.pixels is not None:
        code = rng.choice(sorted(SCALAR_TYPE))
        n = np.dtype(code).itemsize
        message.pixels = message.pixels[: message.pixels.size // n * n].view(code)


_MESSAGE_MISTAKES: tuple[Callable[[random.Random, Message], None], ...] = (
    _renamed,
    _retyped,
    _resized,
    _misclaimed,
    _retold,
)


def _bomb(codec: str, payload: bytes, shape: tuple[int, int], code: str = "u1") -> Message:
    message = Message()
    message.compress(codec, np.empty((0, 0), code), np.frombuffer(payload, np.uint8))
    message.sizes, message.uncompressed_bytes = list(reversed(shape)), shape[0] * shape[1] * np.dtype(code).itemsize
    return message


def _jpeg_of_size(ny: int, nx: int) -> bytes:
    payload = payloads.encode("jpeg", np.zeros((8, 8), np.uint8)).tobytes()
    start = payload.index(b"\xff\xc0") + 5
    return payload[:start] + struct.pack(">HH", ny, nx) + payload[start + 4 :]


def _blosc_header(n_bytes: int, block_bytes: int, flags: int, n_compressed: int) -> bytes:
    return struct.pack("<4B3I", 2, 1, flags, 1, n_bytes, block_bytes, n_compressed).ljust(n_compressed, b"\0")


_ZEROS = zlib.compress(bytes(16 << 20), 9)
_LZ4_RUN = b"\x1f\x00\x01\x00" + b"\xff" * 200_000 + b"\x00\x50\x00\x00\x00\x00\x00"
"""50 MB of zeros."""

BOMBS: dict[str, Message] = {
    "zlib: 16 MiB for a small frame": _bomb("zlib", _ZEROS, (6, 8)),
    "zlib: 16 MiB for a frame that is larger than memory": _bomb("zlib", _ZEROS, (2**31 - 1, 2**31 - 1)),
    "zlib: 16 MiB for one byte less": _bomb("zlib", _ZEROS, (1, (16 << 20) - 1)),
    "lz4: 50 MB for a small frame": _bomb("lz4", _LZ4_RUN, (6, 8)),
    "lz4: a few bytes for a large frame": _bomb("lz4", _LZ4_RUN[:60], (16384, 16384)),
    "lz4hdf5: 50 MB for a small frame": _bomb("lz4hdf5", struct.pack(">QII", 48, 48, len(_LZ4_RUN)) + _LZ4_RUN, (6, 8)),
    "lz4hdf5: a header that says more than memory": _bomb(
        "lz4hdf5", struct.pack(">QII", 2**62, 2**31 - 1, len(_LZ4_RUN)) + _LZ4_RUN, (6, 8)
    ),
    "bslz4: 50 MB for a small frame": _bomb("bslz4", struct.pack(">I", len(_LZ4_RUN)) + _LZ4_RUN, (6, 8)),
    "bslz4: a length beyond the payload": _bomb("bslz4", b"\x7f\xff\xff\xff" + _LZ4_RUN[:100], (64, 64)),
    "jpeg: a header of 65535 x 65535 for a small frame": _bomb("jpeg", _jpeg_of_size(65535, 65535), (8, 8)),
    "jpeg: a header of 65500 x 4000 for a small frame": _bomb("jpeg", _jpeg_of_size(4000, 65500), (8, 8)),
    "jpeg: 65535 x 65535 of a few bytes": _bomb("jpeg", _jpeg_of_size(65535, 65535), (65535, 65535)),
    "jpeg: 65500 x 4000 of a few bytes": _bomb("jpeg", _jpeg_of_size(4000, 65500), (4000, 65500)),
    "blosc: a header of 2 GiB for a small frame": _bomb("blosc", _blosc_header(2**31 - 1, 2**31 - 1, 0x11, 96), (6, 8)),
    "blosc: 2 GiB of a few bytes": _bomb("blosc", _blosc_header(2**31 - 1, 2**20, 0x91, 96), (1, 2**31 - 1)),
    "blosc: 256 MiB of a few bytes": _bomb("blosc", _blosc_header(2**28, 2**28, 0x91, 96), (2**14, 2**14)),
    "blosc: 1 GiB of no more bytes than zstd would need": _bomb(
        "blosc", _blosc_header(2**30, 2**20, 0x91, 40_000), (2**15, 2**15)
    ),
    "blosc: a copy of 2 GiB": _bomb("blosc", _blosc_header(2**31 - 1, 2**20, 0x02, 96), (1, 2**31 - 1)),
    "blosc: a payload that goes on in memory": _bomb("blosc", _blosc_header(48, 48, 0x02, 17), (6, 8)),
    "blosc: blocks larger than the frame": _bomb("blosc", _blosc_header(48, 2**31 - 1, 0x11, 96), (6, 8)),
}
"""What would take gigabytes if it were believed; each must be refused."""
