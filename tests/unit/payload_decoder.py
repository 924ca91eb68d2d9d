"""The pixels in a message of areaDetector's codecs, by other libraries than those that the simulator encodes with."""

from __future__ import annotations

from typing import Any

import numpy as np
import payloads

SCALAR_TYPES = {1: "i1", 2: "i2", 3: "i4", 4: "i8", 5: "u1", 6: "u2", 7: "u4", 8: "u8", 9: "f4", 10: "f8"}
"""numpy types by `codec.parameters`, as a real IOC was seen to send them."""


def decode(codec: str, payload: bytes, shape: tuple[int, int], dtype: np.dtype[Any]) -> np.ndarray:
    """The pixels of a payload; the empty codec is that of plain pixels."""
    if not codec:
        return np.frombuffer(payload, dtype).reshape(shape)
    return payloads.decode(codec, np.frombuffer(payload, np.uint8), dtype, shape)


def pixels_of(update: Any) -> np.ndarray:
    """The pixels of an NTNDArray, (rows, columns), by what its own fields say."""
    columns, rows = (dimension.size for dimension in update.dimension)
    dtype = np.dtype(SCALAR_TYPES[update.codec.parameters])
    return decode(update.codec.name, update.value.tobytes(), (rows, columns), dtype)
