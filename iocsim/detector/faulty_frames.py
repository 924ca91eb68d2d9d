"""Frames with the drifts and faults of a beamline: between the source of frames and the detector.

In the dark nothing drifts and nothing is faulty: references stay what they should be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iocsim.detector.frames import Conditions, FrameSource, SimulatedFrames
from iocsim.physics.drifts import Drifts
from iocsim.physics.frame_faults import LIGHT_KINDS, Fault, FaultKind, FrameFaults
from iocsim.physics.pixel_faults import Sensor, disturbed


@dataclass(frozen=True, slots=True)
class Taken:
    """A frame as it was read out, and the truth about it."""

    frame: NDArray[Any]
    energy_eV: float
    fault: Fault | None


@dataclass(frozen=True, slots=True)
class LabelledFrames:
    """Frames with what is wrong with them. Row i is the frame with the uniqueId i + 1."""

    frames: NDArray[Any]
    """(n, ny, nx), raw."""
    energy_eV: NDArray[np.float64]
    """(n,): what it truly was."""
    kinds: NDArray[np.str_]
    """(n,): the kind of fault, empty for a sound frame."""
    magnitudes: NDArray[np.float64]
    """(n,): in the unit of the kind, NaN for a sound frame."""


class FaultyFrames:
    """A FrameSource seen through faults, which know a frame by its uniqueId."""

    def __init__(
        self, source: FrameSource, sensor: Sensor, faults: Callable[[], FrameFaults], drifts: Callable[[], Drifts]
    ) -> None:
        """`faults` and `drifts` give those in force. Frames that are not simulated one by one do not drift."""
        self._source = source
        self._sensor = sensor
        self._faults = faults
        self._drifts = drifts
        self._before: NDArray[Any] | None = None

    @property
    def raw_shape(self) -> tuple[int, int]:
        """Rows and columns of every frame."""
        return self._source.raw_shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Pixel type of every frame."""
        return self._source.dtype

    def fault_of(self, unique_id: int) -> Fault | None:
        """The fault that a frame has, if there is light."""
        faults = self._faults()
        return None if faults.are_none else faults.of(unique_id)

    def take(self, unique_id: int, index: int, exposure_s: float, there: Conditions) -> Taken:
        """Expose and read out one frame; `index` as for a FrameSource, `there` as the PVs tell it."""
        fault = self.fault_of(unique_id) if there.shutter_open else None
        if fault is not None and fault.kind is FaultKind.REPEATED and self._before is None:
            fault = None
        if fault is not None:
            there = replace(there, energy_eV=fault.energy_factor * there.energy_eV)
        if isinstance(self._source, SimulatedFrames):
            if there.shutter_open:
                deviation = self._drifts().at(unique_id)
                if fault is not None:
                    deviation = deviation.together(fault.deviation())
                there = replace(there, deviation=deviation)
            frame = self._source.frame(index, exposure_s, there)
        else:
            frame = self._source.frame(index, exposure_s, there)
            if fault is not None and fault.kind in LIGHT_KINDS:
                frame = disturbed(frame, fault.deviation(), self._sensor, fault.key)
        if fault is not None:
            frame = fault.read_out(frame, self._before, self._sensor.saturation_ADU)
        self._before = frame
        return Taken(frame, there.energy_eV, fault)

    def take_all(self, places: Sequence[Conditions], exposure_s: float) -> LabelledFrames:
        """Frames with the uniqueIds 1 to n, one for each of these conditions."""
        n = len(places)
        scan = LabelledFrames(
            np.empty((n, *self.raw_shape), self.dtype), np.empty(n), np.full(n, "", "U16"), np.full(n, np.nan)
        )
        for row, there in enumerate(places):
            taken = self.take(row + 1, row, exposure_s, there)
            scan.frames[row], scan.energy_eV[row] = taken.frame, taken.energy_eV
            if taken.fault is not None:
                scan.kinds[row], scan.magnitudes[row] = taken.fault.kind, taken.fault.magnitude
        return scan
