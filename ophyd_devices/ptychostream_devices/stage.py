"""The sample stage: two motors in micrometres, and where a position of the beam on the sample is for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from ophyd import Component, Device, EpicsMotor

SAMPLE_MOVES = ((-1.0, 0.0), (0.0, -1.0))
"""Stage map of a stage that moves the sample: the beam goes over it the other way."""

MICROMETRE_NAMES = frozenset({"um", "µm", "μm", "micron", "microns", "micrometer", "micrometre"})
UM_PER_M = 1e6


class ScanStage(Device):
    """Two motor records, `x` and `y`, in micrometres.

    `stage_map` is that of the service's profile: beam on sample = stage_map · stage, a signed 2x2 matrix.
    """

    x = Component(EpicsMotor, "X")
    y = Component(EpicsMotor, "Y")

    def __init__(
        self, prefix: str = "", *, name: str, stage_map: Sequence[Sequence[float]] = SAMPLE_MOVES, **kwargs: Any
    ) -> None:
        super().__init__(prefix, name=name, **kwargs)
        self.stage_map = stage_map

    def motor_positions_um(self, beam_m: ArrayLike) -> NDArray[np.float64]:
        """Where the motors must be for the beam to be at `beam_m` on the sample.

        `beam_m` is (N, 2), x and y in metres; the result is (N, 2), x and y of the motors in micrometres. Raises
        `ValueError` when a motor cannot go there, `TimeoutError` when it does not answer.
        """
        self.wait_for_connection()  # a motor knows its limits only then
        motors_um = to_stage_m(beam_m, self.stage_map) * UM_PER_M
        for motor, positions_um in zip((self.x, self.y), motors_um.T, strict=True):
            for index in (int(positions_um.argmin()), int(positions_um.argmax())):
                try:
                    motor.check_value(float(positions_um[index]))
                except ValueError as error:
                    raise ValueError(
                        f"position {index} needs {motor.name} at {positions_um[index]:.3f} µm: {error}"
                    ) from error
        return motors_um

    def stage(self) -> list[object]:
        """Raises `ValueError` if a motor does not count in micrometres."""
        for motor in (self.x, self.y):
            unit = motor.motor_egu.get()
            if unit not in MICROMETRE_NAMES:
                raise ValueError(f"{motor.prefix}.EGU is {unit!r}, but a ScanStage is driven in micrometres ('um')")
        return super().stage()


def to_stage_m(beam_m: ArrayLike, stage_map: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Stage positions, (N, 2) in metres, for the beam to be at `beam_m` on the sample: the inverse of `stage_map`."""
    return np.asarray(beam_m, dtype=np.float64) @ np.linalg.inv(np.asarray(stage_map, dtype=np.float64)).T
