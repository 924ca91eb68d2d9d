"""The zone plate, the detector's geometry, and the probe they make on the sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Optics:
    """Everything between the beam and the detector that decides the probe and the sampling."""

    shape: tuple[int, int] = (128, 160)
    energy_eV: float = 710.0
    det_dist_m: float = 0.1
    pixel_m: float = 75e-6
    zone_plate_diameter_m: float = 120e-6
    outermost_zone_width_m: float = 40e-9
    central_stop_m: float = 45e-6
    defocus_m: float = 16e-6

    @property
    def wavelength_m(self) -> float: ...
    @property
    def focal_length_m(self) -> float: ...
    @property
    def sample_pixel_y_m(self) -> float: ...
    @property
    def sample_pixel_x_m(self) -> float: ...
    def at_energy(self, energy_eV: float) -> Optics: ...


def zone_plate_probe(optics: Optics) -> NDArray[np.complex128]:
    """Complex probe (ny, nx) on the sample, centred at n//2, sum |probe|^2 = 1."""
    raise NotImplementedError
