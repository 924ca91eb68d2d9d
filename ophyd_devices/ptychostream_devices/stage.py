"""The sample stage: two motors, each in its own unit, and where a position of the beam on the sample is for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from ophyd import Component, Device, EpicsMotor

from stream_service.text.units import METRES

SAMPLE_MOVES = ((-1.0, 0.0), (0.0, -1.0))
"""Stage map of a stage that moves the sample: the beam goes over it the other way."""


class ScanStage(Device):
    """Two motor records, `x` and `y`, in any unit of a length (their `.EGU`: um, mm, ...).

    `stage_map` is that of the service's profile: beam on sample = stage_map · stage, a signed 2x2 matrix.
    """

    x = Component(EpicsMotor, "X")
    y = Component(EpicsMotor, "Y")

    def __init__(
        self, prefix: str = "", *, name: str, stage_map: Sequence[Sequence[float]] = SAMPLE_MOVES, **kwargs: Any
    ) -> None:
        super().__init__(prefix, name=name, **kwargs)
        self.stage_map = stage_map

    def motor_positions(self, beam_m: ArrayLike) -> NDArray[np.float64]:
        """Motor positions that bring the beam to `beam_m` on the sample.

        `beam_m` is (N, 2), x and y in metres; the result is (N, 2), x and y of the motors, each in its own unit.
        Raises `ValueError` when a motor cannot go there, or has no unit of a length, `TimeoutError` when it does not
        answer.
        """
        self.wait_for_connection()  # a motor knows its limits and its unit only then
        motors = to_stage_m(beam_m, self.stage_map) / self.units_m()
        for motor, positions in zip((self.x, self.y), motors.T, strict=True):
            for index in (int(positions.argmin()), int(positions.argmax())):
                try:
                    motor.check_value(float(positions[index]))
                except ValueError as error:
                    place = f"{positions[index]:.6g} {motor.motor_egu.get()}"
                    raise ValueError(f"position {index} needs {motor.name} at {place}: {error}") from error
        return motors

    def units_m(self) -> NDArray[np.float64]:
        """The units of x and y in metres: 1e-3 for mm. Raises `ValueError` for one that is not a unit of a length."""
        factors = []
        for motor in (self.x, self.y):
            unit = motor.motor_egu.get()
            factor = METRES.factor(str(unit))
            if factor is None:
                raise ValueError(f"{motor.prefix}.EGU is {unit!r}, no unit of a length: set it to {METRES.choice}")
            factors.append(factor)
        return np.array(factors)

    def stage(self) -> list[object]:
        """Raises `ValueError` if a motor does not count in a unit of a length."""
        self.units_m()
        return super().stage()


def to_stage_m(beam_m: ArrayLike, stage_map: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Stage positions, (N, 2) in metres, for the beam to be at `beam_m` on the sample: the inverse of `stage_map`."""
    return np.asarray(beam_m, dtype=np.float64) @ np.linalg.inv(np.asarray(stage_map, dtype=np.float64)).T
