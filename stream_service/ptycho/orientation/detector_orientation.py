"""The eight detector orientations: transposed or not, rows reversed or not, columns reversed or not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, Self

import numpy as np
import numpy.typing as npt

FLIPS = {(False, False): "none", (False, True): "h", (True, False): "v", (True, True): "hv"}
"""By (rows, columns) reversed: the profile's words."""


@dataclass(frozen=True, slots=True)
class Orientation:
    """Transpose, then reverse rows, then reverse columns: one of the eight symmetries of a square."""

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    @classmethod
    def of_profile(cls, rotate: int, flip: str) -> Self:
        """The profile's `rotate` (numpy's rot90), then `flip`."""
        rotated = np.rot90(np.arange(4).reshape(2, 2), rotate // 90)
        rotated = rotated[:: -1 if "v" in flip and flip != "none" else 1, :: -1 if "h" in flip else 1]
        return next(each for each in cls.all() if np.array_equal(each.apply(np.arange(4).reshape(2, 2)), rotated))

    @classmethod
    def all(cls) -> Iterator[Self]:
        """All eight; the first changes nothing."""
        return (cls(*flags) for flags in product((False, True), repeat=3))

    @property
    def profile(self) -> tuple[int, str]:
        """`rotate` and `flip` of a profile that do the same; the smallest rotation."""
        # rot90 is a transposition followed by a reversal of the rows
        rows = self.flip_rows != self.transpose
        return (90 if self.transpose else 0), FLIPS[rows, self.flip_columns]

    @property
    def matrix(self) -> npt.NDArray[np.float64]:
        """(2, 2) what happens to a (row, column) off the centre."""
        order = np.eye(2)[::-1] if self.transpose else np.eye(2)
        return np.diag([-1.0 if self.flip_rows else 1.0, -1.0 if self.flip_columns else 1.0]) @ order

    @property
    def ptypy_orientation(self) -> int:
        """PtyPy's `data.orientation`, which has the same order of operations."""
        return 4 * self.transpose + 2 * self.flip_rows + self.flip_columns

    def apply(self, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The image (y, x) in this orientation; a view."""
        oriented = image.T if self.transpose else image
        return oriented[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]

    def after(self, first: Orientation) -> Orientation:
        """The one orientation that does `first`, then this."""
        both = self.matrix @ first.matrix
        return next(orientation for orientation in Orientation.all() if np.array_equal(orientation.matrix, both))

    @property
    def upside_down(self) -> Orientation:
        """This, then a rotation by 180°."""
        return Orientation(False, True, True).after(self)
