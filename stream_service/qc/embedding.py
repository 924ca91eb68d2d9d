"""The embedding of a frame: the principal components of the logarithms of its cells (16 x 16 as rows have them).

The basis is that of the first rows of a run in the order of the file. Those least like the others are left out of it:
a fault must not become a direction in which rows may differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from stream_service.qc.kernels.rows import principal, project

Floats = npt.NDArray[np.float64]

FLOOR = 0.01
"""Of the mean of the cells, added before the logarithm: below that a cell is noise."""
N_RINGS = 6
ROUNDS = 30
"""Of orthogonal iteration: components whose shares differ by a tenth are parted to a few per cent, and what all of
them leave of a row is settled long before."""
TRUSTED_SHARE = 0.9
"""Of the first rows, that are used for the basis: faults are a few per cent of a scan that is worth keeping."""


@cache
def ring_of_cell(side: int) -> npt.NDArray[np.int64]:
    """(side, side) number of the ring about the middle of the frame in which a cell lies, 0 innermost."""
    from_middle = np.arange(side) - (side - 1) / 2
    radius = np.hypot(from_middle[:, None], from_middle[None, :])
    return np.minimum(radius * (N_RINGS - 1) / (side / 2), N_RINGS - 1).astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Basis:
    """What is usual, and the `k` directions in which frames differ most from it."""

    centre: Floats
    """(c,)"""
    components: Floats
    """(k, c), orthonormal, of sign and order that depend on the rows alone; zeros beyond c."""

    @classmethod
    def of(cls, logs: Floats, k: int) -> Basis:
        """The basis of rows (n, c)."""
        apart = np.linalg.norm(logs - np.median(logs, axis=0), axis=1)
        trusted = logs[apart <= np.quantile(apart, TRUSTED_SHARE)]
        centre = trusted.mean(axis=0)
        off = trusted - centre
        components = np.random.default_rng(0).standard_normal((k, logs.shape[1]))
        principal(off, ROUNDS, components, np.empty_like(components))
        largest = components[np.arange(k), np.abs(components).argmax(axis=1)]
        return cls(centre, components * np.where(largest < 0, -1.0, 1.0)[:, None])

    def coordinates(self, logs: Floats) -> tuple[Floats, Floats]:
        """(n, k) coordinates of rows (n, c), and the rms (n,) of what they leave."""
        coordinates, errors = np.empty((len(logs), len(self.components))), np.empty(len(logs))
        project(logs, self.centre, np.ascontiguousarray(self.components.T), coordinates, errors)
        return coordinates, errors
