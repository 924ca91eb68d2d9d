"""Memory that begins at a cache line: vectors as wide as a line then never lie across two."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

LINE_BYTES = 64


def aligned_zeros(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """As `np.zeros`, which mostly gives memory that begins 16 bytes behind a line."""
    kind = np.dtype(dtype)
    n_bytes = math.prod(shape) * kind.itemsize
    memory = np.zeros(n_bytes + LINE_BYTES, np.uint8)
    first = -memory.ctypes.data % LINE_BYTES
    return memory[first : first + n_bytes].view(kind).reshape(shape)
