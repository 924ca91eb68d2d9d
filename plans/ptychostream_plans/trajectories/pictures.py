"""Pictures of a trajectory: the order of its positions, how far neighbours overlap, and how often each place is lit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ptychostream_plans.trajectories.trajectory import Trajectory
from stream_service.output_file import whole_file

UM = 1e6
MAP_PIXELS = 400
"""Longest side of the map of coverage."""
WANTED_OVERLAP = 0.6
"""Bunk et al., Ultramicroscopy 108 (2008) 481."""


def draw_trajectory(trajectory: Trajectory, probe_diameter_m: float, path: Path) -> None:
    """Write a picture of three panels, whole or not at all (PNG, or what the name ends in).

    Raises `ValueError` for a probe without a diameter, `OSError`.
    """
    figure = Figure(figsize=(15, 5), layout="constrained")
    positions, overlap, coverage = figure.subplots(1, 3)
    _draw_positions(positions, trajectory)
    _draw_overlap(overlap, trajectory, probe_diameter_m)
    _draw_coverage(coverage, trajectory, probe_diameter_m)
    figure.suptitle(trajectory.describe(probe_diameter_m))
    with whole_file(path) as unfinished, unfinished.open("xb") as file:
        figure.savefig(file, format=path.suffix[1:] or "png", dpi=100)


def coverage_map(
    trajectory: Trajectory, probe_diameter_m: float
) -> tuple[NDArray[np.int32], tuple[float, float, float, float]]:
    """Probes that light each place, (ny, nx) with y growing by rows; and left, right, bottom, top in metres."""
    if probe_diameter_m <= 0:
        raise ValueError(f"the probe's diameter is {probe_diameter_m} m; it must be greater than 0")
    radius_m = probe_diameter_m / 2
    left, right = trajectory.x_m.min() - radius_m, trajectory.x_m.max() + radius_m
    bottom, top = trajectory.y_m.min() - radius_m, trajectory.y_m.max() + radius_m
    pixel_m = max(right - left, top - bottom) / MAP_PIXELS
    nx, ny = max(1, round((right - left) / pixel_m)), max(1, round((top - bottom) / pixel_m))
    x_m = left + (np.arange(nx) + 0.5) * (right - left) / nx
    y_m = bottom + (np.arange(ny) + 0.5) * (top - bottom) / ny
    lit = np.zeros((ny, nx), np.int32)
    for x, y in trajectory.positions_m:
        lit += (x_m[None] - x) ** 2 + (y_m[:, None] - y) ** 2 <= radius_m**2
    return lit, (float(left), float(right), float(bottom), float(top))


def _draw_positions(axes: Axes, trajectory: Trajectory) -> None:
    axes.plot(UM * trajectory.x_m, UM * trajectory.y_m, "-", color="0.8", linewidth=0.7, zorder=0)
    points = axes.scatter(UM * trajectory.x_m, UM * trajectory.y_m, s=8, c=np.arange(len(trajectory)), cmap="viridis")
    axes.figure.colorbar(points, ax=axes, label="position")
    axes.set(title="order", xlabel="x (µm)", ylabel="y (µm)", aspect="equal")


def _draw_overlap(axes: Axes, trajectory: Trajectory, probe_diameter_m: float) -> None:
    overlaps = 1 - trajectory.nearest_neighbours_m() / probe_diameter_m
    axes.hist(100 * overlaps, bins=40, color="tab:blue")
    axes.axvline(100 * WANTED_OVERLAP, color="tab:green", label=f"{WANTED_OVERLAP:.0%}: what ptychography wants")
    axes.axvline(0, color="tab:red", label="0: probes only touch")
    axes.set(title="overlap with the nearest neighbour", xlabel="of the diameter (%)", ylabel="positions")
    axes.legend(loc="upper right")  # "best" takes seconds with many positions


def _draw_coverage(axes: Axes, trajectory: Trajectory, probe_diameter_m: float) -> None:
    lit, (left, right, bottom, top) = coverage_map(trajectory, probe_diameter_m)
    extent_um = (UM * left, UM * right, UM * bottom, UM * top)
    shown = axes.imshow(lit, origin="lower", extent=extent_um, cmap="magma")
    axes.figure.colorbar(shown, ax=axes, label="probes")
    axes.set(title=f"coverage, probe {UM * probe_diameter_m:.3g} µm", xlabel="x (µm)", ylabel="y (µm)")
