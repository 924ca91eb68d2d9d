"""Rows without pixels, whose features are made up: a disk of light that changes smoothly over the sample.

Quicker to make than frames by some hundred times: for scans of many thousand rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.core.row import CELLS_SIDE, FEATURES_DTYPE, row_dtype

SHAPE = (256, 256)
STEP_M = 1e-7
PIXELS = 256
"""In a cell."""

Steps = npt.NDArray[Any]


def raster(n: int, line: int, first: int = 0) -> tuple[Steps, Steps]:
    """Places (n,) in steps, from row `first` on."""
    rows = np.arange(first, first + n)
    return rows % line, rows // line


def spiral(n: int) -> tuple[Steps, Steps]:
    """Places (n,) of a Fermat spiral, about a step from each other."""
    rows = np.arange(n)
    radius, angle = 0.56 * np.sqrt(rows), rows * np.pi * (3 - np.sqrt(5))
    return radius * np.cos(angle), radius * np.sin(angle)


def rows_at(i: Steps, j: Steps, light: npt.ArrayLike = 1.0, seed: int = 1) -> np.ndarray[Any, Any]:
    """Rows (n,) at places in steps, with a share (n,) of the light."""
    dice, n = np.random.default_rng(seed), len(i)
    y, x = np.mgrid[:CELLS_SIDE, :CELLS_SIDE] - (CELLS_SIDE - 1) / 2
    disk = 1 / (1 + np.exp((np.hypot(y, x) - 5) / 0.5))
    shades = np.random.default_rng(0).normal(0, 0.3, (3, CELLS_SIDE, CELLS_SIDE))
    waves = np.stack([np.sin(i / 6), np.cos(j / 8), np.sin((i + j) / 10)], axis=1)
    sample = np.broadcast_to(light, n) * (1 + 0.2 * np.sin(i / 9) * np.cos(j / 7))
    cells = disk * np.exp(np.tensordot(waves, shades, 1)) * sample[:, None, None]
    cells = dice.poisson(200 * PIXELS * cells) / PIXELS
    total = cells.sum(axis=(1, 2))
    rows = np.zeros(n, row_dtype(1))
    features = np.zeros(n, FEATURES_DTYPE)
    features["cells"], features["intensity"] = cells, total * PIXELS
    features["com_y"] = 16 * (cells * y).sum(axis=(1, 2)) / total + dice.normal(0, 0.05, n)
    features["com_x"] = 16 * (cells * x).sum(axis=(1, 2)) / total + dice.normal(0, 0.05, n)
    features["square_sum"] = (cells**2).sum(axis=(1, 2)) * PIXELS
    features["neighbour_sum"] = features["square_sum"] * dice.normal(1.8, 0.005, n)
    features["max_counts"] = cells.max(axis=(1, 2)) * dice.normal(1.3, 0.02, n)
    features["n_zero"] = 20_000
    rows["x_m"], rows["y_m"], rows["keep"], rows["energy_eV"] = STEP_M * i, STEP_M * j, 1, 710.0
    rows["features"] = features
    return rows
