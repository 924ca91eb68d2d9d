"""Arrays that grow with what comes."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

Scalar = TypeVar("Scalar", bound=np.generic)


def grown(array: npt.NDArray[Scalar], n: int) -> npt.NDArray[Scalar]:
    """The array with room for `n` entries at least: the same, or a longer copy."""
    if n <= len(array):
        return array
    longer = np.zeros(max(n, 2 * len(array)), array.dtype)
    longer[: len(array)] = array
    return longer
