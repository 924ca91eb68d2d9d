"""Where the beam goes on the sample: pure geometry, in metres, x then y, in the order of the scan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

GOLDEN_ANGLE_RAD = np.pi * (3 - np.sqrt(5))

BLOCK = 512  # positions whose distances to all others are held in memory at once


@dataclass(frozen=True, slots=True, eq=False)
class Trajectory:
    """The positions of one scan, and how they were made."""

    x_m: NDArray[np.float64]
    """(N,) position of the beam on the sample; cannot be written to."""
    y_m: NDArray[np.float64]
    """(N,) likewise."""
    name: str
    """What kind of trajectory this is, for example `fermat_spiral`."""
    parameters: Mapping[str, object] = field(default_factory=dict)
    """The arguments it was made with."""

    def __len__(self) -> int:
        return len(self.x_m)

    @property
    def positions_m(self) -> NDArray[np.float64]:
        """(N, 2) positions, x then y."""
        return np.column_stack([self.x_m, self.y_m])

    def nearest_neighbour_m(self) -> float:
        """Median distance from a position to the one nearest to it; raises `ValueError` for a single position."""
        positions_m = self.positions_m
        if len(positions_m) < 2:
            raise ValueError("one position alone has no neighbour: a ptychography scan needs at least two")
        nearest_m = np.empty(len(positions_m))
        for start in range(0, len(positions_m), BLOCK):
            block_m = positions_m[start : start + BLOCK]
            distances_m = np.hypot(*(block_m[:, None] - positions_m[None]).transpose(2, 0, 1))
            distances_m[np.arange(len(block_m)), start + np.arange(len(block_m))] = np.inf
            nearest_m[start : start + BLOCK] = distances_m.min(axis=1)
        return float(np.median(nearest_m))

    def overlap(self, probe_diameter_m: float) -> float:
        """Linear overlap of neighbouring probes, 1 - distance / diameter: 0 when they do not touch.

        Ptychography wants about 0.6 (Bunk et al., Ultramicroscopy 108 (2008) 481).
        """
        if probe_diameter_m <= 0:
            raise ValueError(f"the probe's diameter is {probe_diameter_m} m; it must be greater than 0")
        return max(0.0, 1 - self.nearest_neighbour_m() / probe_diameter_m)


def fermat_spiral(
    n_points: int, step_size: float = 100e-9, center_m: tuple[float, float] = (0.0, 0.0)
) -> NDArray[np.float64]:
    """Positions of a Fermat spiral, (n_points, 2) in metres: radius = step_size · √i, angle = i · golden angle.

    It covers a disk evenly, without the period that a raster leaves in a reconstruction. One position has an area
    of π·step_size² to itself, so neighbours are about 1.7 step_size apart. Raises `ValueError`.
    """
    if n_points < 1:
        raise ValueError(f"n_points is {n_points}; a scan has at least one position")
    if not step_size > 0:
        raise ValueError(f"step_size is {step_size} m; it must be greater than 0")
    indices = np.arange(n_points)
    radii_m = step_size * np.sqrt(indices)
    angles_rad = GOLDEN_ANGLE_RAD * indices
    return np.column_stack([radii_m * np.cos(angles_rad), radii_m * np.sin(angles_rad)]) + np.asarray(center_m)


def fermat(n_points: int, step_m: float, center_m: tuple[float, float] = (0.0, 0.0)) -> Trajectory:
    """The Fermat spiral as a trajectory."""
    return from_positions(
        fermat_spiral(n_points, step_m, center_m),
        name="fermat_spiral",
        parameters={"n_points": n_points, "step_m": step_m, "center_m": tuple(center_m)},
    )


def from_positions(
    positions_m: ArrayLike, *, name: str = "positions", parameters: Mapping[str, object] | None = None
) -> Trajectory:
    """Positions as they are: (N, 2) or more columns, of which the first two are x and y in metres.

    Raises `ValueError` when they are not finite numbers of that shape.
    """
    positions = np.array(positions_m, dtype=np.float64)
    if positions.ndim != 2 or positions.shape[1] < 2 or len(positions) == 0:
        raise ValueError(f"positions have shape {positions.shape}; they must be N rows of x and y in metres")
    if not np.isfinite(positions).all():
        bad_row = int(np.flatnonzero(~np.isfinite(positions).all(axis=1))[0])
        raise ValueError(f"position {bad_row} is {positions[bad_row, :2]}; positions must be finite, in metres")
    x_m, y_m = np.ascontiguousarray(positions[:, 0]), np.ascontiguousarray(positions[:, 1])
    x_m.flags.writeable = y_m.flags.writeable = False
    return Trajectory(x_m, y_m, name, dict(parameters or {}))
