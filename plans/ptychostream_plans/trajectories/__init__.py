"""The usual trajectories as pure geometry: raster, Fermat spiral, concentric rings, jittered grid.

Each comes twice: as positions, (N, 2) in metres, x then y, under the name and with the parameters that the field knows
it by, and as a `Trajectory`, which remembers how it was made. A centre moves all of it; it is (0, 0) if not given.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ptychostream_plans.trajectories.trajectory import Trajectory, from_positions

GOLDEN_ANGLE_RAD = math.pi * (3 - math.sqrt(5))

Positions = NDArray[np.float64]
"""(N, 2) in metres, x then y, in the order of the scan."""
Center = tuple[float, float]


def fermat_spiral(n_points: int, step_size: float = 100e-9, center_m: Center = (0.0, 0.0)) -> Positions:
    """Positions of a Fermat spiral, (n_points, 2) in metres: radius = step_size · √i, angle = i · golden angle.

    It covers a disk evenly, without the period that a raster leaves in a reconstruction. One position has an area
    of π·step_size² to itself, so neighbours are about 1.7 step_size apart. Raises `ValueError`.
    """
    _check(step_size, n_points=n_points)
    indices = np.arange(n_points)
    radii_m = step_size * np.sqrt(indices.astype(np.float64))
    angles_rad = GOLDEN_ANGLE_RAD * indices
    return np.column_stack([radii_m * np.cos(angles_rad), radii_m * np.sin(angles_rad)]) + np.asarray(center_m)


def fermat(n_points: int, step_m: float, center_m: Center = (0.0, 0.0)) -> Trajectory:
    """The Fermat spiral as a trajectory."""
    return from_positions(
        fermat_spiral(n_points, step_m, center_m),
        name="fermat_spiral",
        parameters={"n_points": n_points, "step_m": step_m, "center_m": tuple(center_m)},
    )


def raster_grid(
    n_x: int, n_y: int, step_size: float = 100e-9, center_m: Center = (0.0, 0.0), *, snake: bool = True
) -> Positions:
    """Positions of a regular grid, (n_x·n_y, 2) in metres: along x, line after line; every other line back if `snake`.

    Its period leaves a pattern in the reconstruction (the raster grid pathology): a spiral or a jittered grid does not.
    Raises `ValueError`.
    """
    _check(step_size, n_x=n_x, n_y=n_y)
    x_m = (np.arange(n_x, dtype=np.float64) - (n_x - 1) / 2) * step_size
    y_m = (np.arange(n_y, dtype=np.float64) - (n_y - 1) / 2) * step_size
    columns: Positions = np.tile(x_m, (n_y, 1))
    if snake:
        columns[1::2] = columns[1::2, ::-1]
    return np.column_stack([columns.ravel(), np.repeat(y_m, n_x)]) + np.asarray(center_m, np.float64)


def concentric_rings(
    nrings: int, points_per_ring: int = 5, step_size: float = 100e-9, center_m: Center = (0.0, 0.0)
) -> Positions:
    """Positions on rings `step_size` apart around one in the middle, (N, 2) in metres.

    Ring i has i·points_per_ring positions, N = 1 + points_per_ring·nrings·(nrings + 1)/2 in all, so that they lie
    equally far apart on each ring (with 5 or 6 about as far as the rings). Every other ring is turned by half a step,
    so that no lines run outwards. Raises `ValueError`.
    """
    _check(step_size, nrings=nrings, points_per_ring=points_per_ring)
    positions = [np.zeros((1, 2))]
    for ring in range(1, nrings + 1):
        n = ring * points_per_ring
        angles_rad = 2 * np.pi * (np.arange(n) + 0.5 * (ring % 2)) / n
        positions.append(ring * step_size * np.column_stack([np.cos(angles_rad), np.sin(angles_rad)]))
    return np.concatenate(positions) + np.asarray(center_m)


def random_jittered(
    n_x: int,
    n_y: int,
    step_size: float = 100e-9,
    jitter_amplitude: float = 30e-9,
    center_m: Center = (0.0, 0.0),
    *,
    seed: int = 0,
) -> Positions:
    """Positions of a snaking raster, each moved by up to `jitter_amplitude` along x and y, (n_x·n_y, 2) in metres.

    The same seed gives the same positions. Raises `ValueError`.
    """
    if not 0 <= jitter_amplitude < np.inf:
        raise ValueError(f"jitter_amplitude is {jitter_amplitude} m; it must be 0 or greater")
    grid = raster_grid(n_x, n_y, step_size, center_m)
    return grid + np.random.default_rng(seed).uniform(-jitter_amplitude, jitter_amplitude, grid.shape)


def raster(n_x: int, n_y: int, step_m: float, center_m: Center = (0.0, 0.0), *, snake: bool = True) -> Trajectory:
    """The raster as a trajectory."""
    parameters = {"n_x": n_x, "n_y": n_y, "step_m": step_m, "center_m": tuple(center_m), "snake": snake}
    return from_positions(raster_grid(n_x, n_y, step_m, center_m, snake=snake), name="raster", parameters=parameters)


def concentric(nrings: int, points_per_ring: int, step_m: float, center_m: Center = (0.0, 0.0)) -> Trajectory:
    """The concentric rings as a trajectory."""
    parameters = {
        "nrings": nrings,
        "points_per_ring": points_per_ring,
        "step_m": step_m,
        "center_m": tuple(center_m),
    }
    positions_m = concentric_rings(nrings, points_per_ring, step_m, center_m)
    return from_positions(positions_m, name="concentric_rings", parameters=parameters)


def jittered(
    n_x: int, n_y: int, step_m: float, jitter_m: float, center_m: Center = (0.0, 0.0), *, seed: int = 0
) -> Trajectory:
    """The jittered grid as a trajectory."""
    parameters = {
        "n_x": n_x,
        "n_y": n_y,
        "step_m": step_m,
        "jitter_m": jitter_m,
        "center_m": tuple(center_m),
        "seed": seed,
    }
    positions_m = random_jittered(n_x, n_y, step_m, jitter_m, center_m, seed=seed)
    return from_positions(positions_m, name="random_jittered", parameters=parameters)


def _check(step_size: float, **counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} is {count}; it must be at least 1: a scan has at least one position")
    if not 0 < step_size < np.inf:
        raise ValueError(f"step_size is {step_size} m; it must be greater than 0")
