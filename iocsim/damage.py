"""Payloads of frames that arrive damaged: garbage, as from a codec gone wrong, or cut in half."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from iocsim.detector.ndarray import Compressed, NDArray
from iocsim.unique_ids import seed_of

RANDOM_STREAM = 6  # of one seed; see `frame_faults`
CODEC_OF_GARBAGE = "bslz4"
"""What plain pixels claim to be compressed with when they are garbage."""


def garbled(array: NDArray, seed: int) -> NDArray:
    """The frame with random bytes for a payload, by seed and uniqueId; no codec can make pixels of them."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, RANDOM_STREAM, seed_of(array.unique_id)])))
    n_bytes = array.compressed_bytes if array.codec else max(1, array.pixels.nbytes // 3)
    return replace(array, compressed=Compressed(array.codec or CODEC_OF_GARBAGE, rng.bytes(n_bytes)))


def truncated(array: NDArray) -> NDArray:
    """The first half of the frame's payload; of plain pixels whole ones."""
    if array.compressed is not None:
        payload = array.compressed.payload
        return replace(array, compressed=Compressed(array.codec, payload[: len(payload) // 2]))
    half = np.ascontiguousarray(array.pixels).reshape(-1)[: array.pixels.size // 2]
    return replace(array, compressed=Compressed("", half.tobytes()))
