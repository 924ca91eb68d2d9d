"""Where the camera's frames come from: simulated one by one, or taken from a stack made beforehand.

Every source answers the same question, "what does the camera deliver for this exposure?", and knows nothing of EPICS,
clocks or threads. A frame depends only on the arguments of the call, never on the calls before it (ReplayFrames, which
hands out recorded frames once each, is the stated exception).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from iocsim.camera import Camera
from iocsim.optics import Optics
from iocsim.sample import Specimen


class FrameSource(Protocol):
    """What the detector of the simulated beamline asks of whoever makes its frames."""

    @property
    def raw_shape(self) -> tuple[int, int]:
        """Rows and columns of every frame, in the axes of the sensor as it is read out."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """The one pixel type of every frame, native byte order."""
        ...

    def frame(
        self,
        index: int,
        x_m: float,
        y_m: float,
        exposure_s: float,
        energy_eV: float,
        ring_current_mA: float,
        shutter_open: bool,
    ) -> NDArray[Any]:
        """One frame, `raw_shape`, `dtype`, C order; the caller must not write into it.

        `index` >= 0 numbers the exposures since the simulator started and seeds the noise; (x_m, y_m) is the beam on
        the sample in metres at mid-exposure.
        """
        ...


class SimulatedFrames:
    """Far-field diffraction of a zone-plate probe through a specimen, recorded by a camera."""

    def __init__(
        self,
        optics: Optics,
        specimen: Specimen,
        camera: Camera,
    ) -> None:
        raise NotImplementedError


class StackFrames:
    """A stack of raw frames played round and round: no physics per call, for the highest rates."""

    def __init__(self, stack: NDArray[Any], dark: NDArray[Any] | None = None) -> None:
        raise NotImplementedError

    @classmethod
    def from_source(
        cls,
        source: FrameSource,
        positions_m: Sequence[tuple[float, float]] | NDArray[np.float64],
        exposure_s: float,
        energy_eV: float,
        ring_current_mA: float,
    ) -> Self:
        """The frames of `source` at the given beam positions (n, 2), x then y, in metres."""
        raise NotImplementedError

    @classmethod
    def noise(cls, raw_shape: tuple[int, int], dtype: DTypeLike, n_frames: int, seed: int) -> Self:
        """`n_frames` different frames of random numbers, for measuring throughput alone."""
        raise NotImplementedError
