"""The readout of the sensor: region, binning, reversal and data type, as a detector driver applies them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray as Array

from iocsim.detector.ndarray import converted


@dataclass(frozen=True, slots=True)
class Readout:
    """A region of the sensor in unbinned pixels, x (columns) and y (rows), and what is done to it, in this order."""

    min_x: int
    min_y: int
    size_x: int
    size_y: int
    bin_x: int
    bin_y: int
    reverse_x: bool
    reverse_y: bool
    dtype: np.dtype[Any]

    @classmethod
    def within(
        cls,
        sensor: tuple[int, int],
        dtype: np.dtype[Any],
        *,
        minimum: tuple[int, int] = (0, 0),
        size: tuple[int, int] | None = None,
        binning: tuple[int, int] = (1, 1),
        reverse: tuple[bool, bool] = (False, False),
    ) -> Readout:
        """The nearest region that the sensor (rows, columns) has; `minimum`, `size` and so on are x, then y."""
        rows, columns = sensor
        bin_x, bin_y = (min(max(1, n), limit) for n, limit in zip(binning, (columns, rows), strict=True))
        min_x = min(max(0, minimum[0]), columns - bin_x)
        min_y = min(max(0, minimum[1]), rows - bin_y)
        size_x, size_y = size or (columns, rows)
        size_x = min(max(bin_x, size_x), columns - min_x)
        size_y = min(max(bin_y, size_y), rows - min_y)
        return cls(min_x, min_y, size_x, size_y, bin_x, bin_y, *reverse, dtype)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of what is sent."""
        return self.size_y // self.bin_y, self.size_x // self.bin_x

    def apply(self, frame: Array[Any]) -> Array[Any]:
        """Part that is sent of a raw frame (rows, columns) of the whole sensor; the same array if it is all of it."""
        rows, columns = self.shape
        part = frame[self.min_y : self.min_y + rows * self.bin_y, self.min_x : self.min_x + columns * self.bin_x]
        if (self.bin_x, self.bin_y) != (1, 1):
            part = part.reshape(rows, self.bin_y, columns, self.bin_x).sum(axis=(1, 3))
        part = part[:: -1 if self.reverse_y else 1, :: -1 if self.reverse_x else 1]
        return np.ascontiguousarray(converted(part, self.dtype))
