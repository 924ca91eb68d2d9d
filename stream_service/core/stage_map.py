"""From stage readbacks to the position of the beam on the sample."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StageMap:
    """A signed 2x2 matrix: (x, y) of the beam on the sample = matrix · (x, y) of the stage, both in metres.

    A stage that moves the sample moves the beam on it the other way: the matrix is then −1 on the diagonal.
    """

    xx: float = -1.0
    xy: float = 0.0
    yx: float = 0.0
    yy: float = -1.0

    def beam_on_sample(self, stage_x_m: float, stage_y_m: float) -> tuple[float, float]:
        """Position of the beam on the sample in metres, x then y."""
        x_m = self.xx * stage_x_m
        y_m = self.yy * stage_y_m
        if self.xy:  # a zero that multiplies a value which is not a number must not spoil the other axis
            x_m += self.xy * stage_y_m
        if self.yx:
            y_m += self.yx * stage_x_m
        return x_m, y_m
