"""From stage readbacks to the position of the beam on the sample."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from stream_service.errors import ConfigError

Metres = TypeVar("Metres", float, npt.NDArray[np.float64])
"""One number, or (n,) of them."""


@dataclass(frozen=True, slots=True)
class StageMap:
    """A signed 2x2 matrix: (x, y) of the beam on the sample = matrix · (x, y) of the stage, both in metres.

    A stage that moves the sample moves the beam on it the other way: the matrix is then −1 on the diagonal.
    """

    xx: float = -1.0
    xy: float = 0.0
    yx: float = 0.0
    yy: float = -1.0

    def beam_on_sample(self, stage_x_m: Metres, stage_y_m: Metres) -> tuple[Metres, Metres]:
        """Position of the beam on the sample in metres, x then y."""
        return _sum(self.xx, stage_x_m, self.xy, stage_y_m), _sum(self.yx, stage_x_m, self.yy, stage_y_m)

    def stage(self, beam_x_m: Metres, beam_y_m: Metres) -> tuple[Metres, Metres]:
        """Position of the stage in metres, x then y, at which the beam is there on the sample."""
        area = self.xx * self.yy - self.xy * self.yx
        inverse = StageMap(self.yy / area, -self.xy / area, -self.yx / area, self.xx / area)
        return inverse.beam_on_sample(beam_x_m, beam_y_m)

    @property
    def largest_factor(self) -> float:
        """By how much a distance of the stage, the same on both axes, can grow on an axis of the sample."""
        return max(abs(self.xx) + abs(self.xy), abs(self.yx) + abs(self.yy))


def _sum(a: float, x_m: Metres, b: float, y_m: Metres) -> Metres:
    """a·x + b·y, where a zero factor leaves its axis out: it must not pass on a value that is not a number."""
    if not b:
        return a * x_m
    return a * x_m + b * y_m if a else b * y_m


def parse_stage_map(text: str) -> StageMap:
    """From `-1,0,0,-1`, the matrix by rows. Raises `ConfigError`."""
    try:
        xx, xy, yx, yy = (float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--stage-map {text!r}: give four numbers xx,xy,yx,yy such as -1,0,0,-1") from None
    if not abs(xx * yy - xy * yx) > 0 or not all(math.isfinite(value) for value in (xx, xy, yx, yy)):
        raise ConfigError(f"--stage-map {text!r} is not a map of a plane onto itself: both axes must count")
    return StageMap(xx, xy, yx, yy)
