"""The sample in the beam: a chiral complex object with fine structure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from iocsim.optics import Optics


@dataclass(frozen=True, slots=True)
class Sample:
    """A complex transmission function on a grid, and where the grid lies on the sample."""

    transmission: NDArray[np.complex64]
    pixel_y_m: float
    pixel_x_m: float
    origin_y_m: float
    origin_x_m: float


class Specimen(Protocol):
    """A sample that can be drawn for the pixel that a given optics has at the sample."""

    def draw(self, optics: Optics) -> Sample: ...


@dataclass(frozen=True, slots=True)
class ChiralSpecimen:
    """Spiral, letters and grains: no mirror and no rotation brings it back onto itself."""

    seed: int = 1
    scan_range_x_m: float = 10e-6
    scan_range_y_m: float = 10e-6

    def draw(self, optics: Optics) -> Sample:
        raise NotImplementedError
