"""The raw frames of a block of rows, as a kernel takes them: by their addresses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

RAW_DTYPES = tuple(np.dtype(name) for name in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"))
"""What areaDetector can send."""


class RawFrames:
    """n groups of k frames (y, x) of one shape and type, kept alive; those that cannot be read in place are copied.

    Raises ValueError for frames of which no block can be made.
    """

    def __init__(self, groups: Sequence[Sequence[NDArray[Any]]], shape: tuple[int, int]) -> None:
        n, k = len(groups), len(groups[0])
        self._frames = [frame for group in groups for frame in group]
        if k < 1 or any(len(group) != k for group in groups):
            raise ValueError(f"groups of {sorted({len(group) for group in groups})} frames: give one number, 1 or more")
        given = self._frames[0].dtype
        self.dtype = supported(given)
        """Of the pixels, in native byte order."""
        addresses = []
        for i, frame in enumerate(self._frames):
            if frame.shape != shape or frame.dtype != given:
                raise ValueError(f"a frame of {frame.dtype} {frame.shape} among those of {given} {shape}")
            flags = frame.flags
            if not (flags.c_contiguous and flags.aligned and given.isnative):
                self._frames[i] = frame = np.require(frame, self.dtype, ["C", "A"])
            addresses.append(frame.__array_interface__["data"][0])
        self.addresses = np.array(addresses, np.int64).reshape(n, k)
        """(n, k) of the first pixel of each."""


def supported(dtype: DTypeLike) -> np.dtype[Any]:
    """This dtype in native byte order. Raises ValueError for one that no detector sends."""
    native = np.dtype(dtype).newbyteorder("=")
    if native not in RAW_DTYPES:
        names = ", ".join(known.name for known in RAW_DTYPES)
        raise ValueError(f"frames of dtype {np.dtype(dtype).name} are not supported: use one of {names}")
    return native
