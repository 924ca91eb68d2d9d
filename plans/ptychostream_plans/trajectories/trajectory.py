"""The positions of one scan: where the beam goes on the sample, in metres, x then y, in the order of the scan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stream_service.text.counted import counted

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
        return float(np.median(self.nearest_neighbours_m()))

    def nearest_neighbours_m(self) -> NDArray[np.float64]:
        """(N,) distance from each position to the one nearest to it; raises `ValueError` for a single position."""
        positions_m = self.positions_m
        if len(positions_m) < 2:
            raise ValueError("one position alone has no neighbour: a ptychography scan needs at least two")
        nearest_m = np.empty(len(positions_m))
        for start in range(0, len(positions_m), BLOCK):
            block_m = positions_m[start : start + BLOCK]
            distances_m = np.hypot(*(block_m[:, None] - positions_m[None]).transpose(2, 0, 1))
            distances_m[np.arange(len(block_m)), start + np.arange(len(block_m))] = np.inf
            nearest_m[start : start + BLOCK] = distances_m.min(axis=1)
        return nearest_m

    def overlap(self, probe_diameter_m: float) -> float:
        """Linear overlap of neighbouring probes, 1 - distance / diameter: 0 when they do not touch.

        Ptychography wants about 0.6 (Bunk et al., Ultramicroscopy 108 (2008) 481).
        """
        return max(0.0, 1 - self._distance_in_diameters(probe_diameter_m))

    def area_overlap(self, probe_diameter_m: float) -> float:
        """Share of a round probe's area that its nearest neighbour lights, too: 0 when they do not touch."""
        distance = min(1.0, self._distance_in_diameters(probe_diameter_m))
        return float(2 / np.pi * (np.arccos(distance) - distance * np.sqrt(1 - distance**2)))

    def describe(self, probe_diameter_m: float | None = None) -> str:
        """One line for an operator: how many positions, over what field, and how far neighbours overlap."""
        width_um, height_um = 1e6 * np.ptp(self.x_m), 1e6 * np.ptp(self.y_m)
        text = f"{self.name}: {counted(len(self), 'position')} over {width_um:.3g} x {height_um:.3g} µm"
        if len(self) > 1:
            text += f", neighbours {1e6 * self.nearest_neighbour_m():.3g} µm apart"
            if probe_diameter_m is not None:
                overlap, area = self.overlap(probe_diameter_m), self.area_overlap(probe_diameter_m)
                text += (
                    f": {overlap:.0%} overlap ({area:.0%} of the area) of a probe of {1e6 * probe_diameter_m:.3g} µm"
                )
        return text

    def _distance_in_diameters(self, probe_diameter_m: float) -> float:
        if probe_diameter_m <= 0:
            raise ValueError(f"the probe's diameter is {probe_diameter_m} m; it must be greater than 0")
        return self.nearest_neighbour_m() / probe_diameter_m


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
