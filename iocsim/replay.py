"""Frames of a recorded scan, sent again: a CXI file or an `/entry` file through the simulated beamline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class ReplayError(ValueError):
    """The file cannot be replayed; the message names the file, what is wrong and what is expected."""


class ReplayFrames:
    """A FrameSource: for each exposure the recorded frame nearest to the present beam position."""

    positions_m: NDArray[np.float64]
    energy_eV: float
    det_dist_m: float
    pixel_m: float
    mask: NDArray[np.uint8] | None

    def __init__(self, path: Path) -> None:
        raise NotImplementedError

    @property
    def raw_shape(self) -> tuple[int, int]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    def frame(
        self,
        index: int,
        x_m: float,
        y_m: float,
        exposure_s: float,
        energy_eV: float,
        ring_current_mA: float,
        shutter_open: bool,
    ) -> NDArray[Any]: ...
    def close(self) -> None: ...
