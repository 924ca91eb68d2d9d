"""Rows of a raster scan of a made-up sample: a blurred disk with speckle that changes smoothly from row to row."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stream_service.core.row import row_dtype
from stream_service.kernels import measure_rows

STEP_M = 1e-7


class Scan:
    """Frames (n, 64, 64) to be changed, and the rows that follow from them."""

    def __init__(self, side: int = 18, seed: int = 1) -> None:
        self.side = side
        self.x_px, self.y_px = np.tile(np.arange(side), side), np.repeat(np.arange(side), side)
        self._random = np.random.default_rng(seed)
        y, x = np.mgrid[:64, :64] - 31.5
        disk = 1 / (1 + np.exp((np.hypot(y, x) - 18) / 1.5))
        shades = self._random.normal(0, 0.4, (3, 64, 64))
        waves = [np.sin(self.x_px / 3), np.cos(self.y_px / 4), np.sin((self.x_px + self.y_px) / 5)]
        sample = 1 + 0.2 * np.cos(self.x_px / 6) * np.sin(self.y_px / 5)
        speckle = np.exp(sum(wave[:, None, None] * shade for wave, shade in zip(waves, shades, strict=True)))
        self._expected = 200 * sample[:, None, None] * disk * speckle + 0.5
        self.frames = self._random.poisson(self._expected).astype(np.float32)
        self.n_saturated = np.zeros(side**2, np.uint32)
        self.energy_eV = np.full(side**2, 710.0)

    def exposed(self, row: int, flux: float) -> npt.NDArray[np.float32]:
        """The frame of a row with so much of the light."""
        return self._random.poisson(flux * self._expected[row]).astype(np.float32)

    def rows(self) -> np.ndarray:
        """(n,) of `row_dtype`."""
        rows = np.zeros(len(self.frames), row_dtype(1))
        rows["x_m"], rows["y_m"] = STEP_M * self.x_px, STEP_M * self.y_px
        rows["keep"], rows["energy_eV"] = 1, self.energy_eV
        features = np.zeros(len(rows), rows["features"].dtype)
        features["n_saturated"] = self.n_saturated
        measure_rows(self.frames, np.ones(self.frames.shape[1:], bool), features)
        rows["features"] = features
        return rows
