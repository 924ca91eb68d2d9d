"""The zone plate, the detector's geometry, and the probe they make on the sample.

Conventions, on which the whole simulation stands: arrays are (y, x) with the index growing with +y and +x; the optical
axis is at index n//2; a wave travelling downstream gains phase exp(+ikz); the far field is the forward transform,
exp(-2 pi i q r), so a sample with phase exp(+i a x), a > 0, moves the pattern towards larger x. A zone plate of
diameter D and outermost zone width w has the focal length D w / wavelength and the numerical aperture wavelength / 2w
(Attwood, Soft X-Rays and Extreme Ultraviolet Radiation, section 9.2).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

HC_EV_M = 1.2398419843320026e-6  # Planck constant x speed of light, exact in the SI of 2019
LARGEST_CONE = 0.98  # of half the shorter side of the sensor
SMALLEST_CONE_PX = 4.0  # below this the ring of the central stop is not resolved


@dataclass(frozen=True, slots=True)
class Optics:
    """Everything between the beam and the detector that decides the probe and the sampling."""

    shape: tuple[int, int] = (128, 160)
    """Rows and columns of the frame, in stored axes."""
    energy_eV: float = 710.0
    """Photon energy; 710 eV is the L3 edge of iron."""
    det_dist_m: float = 0.1
    pixel_m: float = 75e-6
    """Detector pixel, square."""
    zone_plate_diameter_m: float = 120e-6
    outermost_zone_width_m: float = 40e-9
    central_stop_m: float = 45e-6
    """Diameter of the central stop."""
    defocus_m: float = 16e-6
    """How far the sample is downstream of the focus; negative: upstream."""

    @property
    def wavelength_m(self) -> float:
        """Wavelength of the light."""
        return HC_EV_M / self.energy_eV

    @property
    def focal_length_m(self) -> float:
        """First-order focal length of the zone plate."""
        return self.zone_plate_diameter_m * self.outermost_zone_width_m / self.wavelength_m

    @property
    def sample_pixel_y_m(self) -> float:
        """Pixel at the sample along y; it differs from the one along x when the sensor is not square."""
        return self.wavelength_m * self.det_dist_m / (self.shape[0] * self.pixel_m)

    @property
    def sample_pixel_x_m(self) -> float:
        """Pixel at the sample along x."""
        return self.wavelength_m * self.det_dist_m / (self.shape[1] * self.pixel_m)

    @property
    def cone_radius_px(self) -> float:
        """Radius of the bright-field cone on the detector."""
        return self.zone_plate_diameter_m / (2 * self.focal_length_m) * self.det_dist_m / self.pixel_m

    @property
    def probe_diameter_m(self) -> float:
        """Diameter of the defocused probe by geometrical optics."""
        return abs(self.defocus_m) * self.zone_plate_diameter_m / self.focal_length_m

    def at_energy(self, energy_eV: float) -> Optics:
        """The same beamline at another energy, the zone plate moved along the beam so that the defocus stays."""
        return replace(self, energy_eV=energy_eV)

    def check(self) -> None:
        """Raise ValueError, in one sentence, if the probe or the cone cannot be represented on this detector."""
        for name in ("energy_eV", "det_dist_m", "pixel_m", "zone_plate_diameter_m", "outermost_zone_width_m"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} = {getattr(self, name)}: it must be positive")
        if not 0 <= self.central_stop_m < self.zone_plate_diameter_m:
            raise ValueError(
                f"central_stop_m = {self.central_stop_m:g} must be at least 0 and smaller than "
                f"zone_plate_diameter_m = {self.zone_plate_diameter_m:g}"
            )
        limit_px = LARGEST_CONE * min(self.shape) / 2
        if not SMALLEST_CONE_PX <= self.cone_radius_px <= limit_px:
            raise ValueError(
                f"the bright-field cone has a radius of {self.cone_radius_px:.1f} pixels, and this simulation takes "
                f"{SMALLEST_CONE_PX:g} to {limit_px:.1f} on a sensor of {self.shape[0]} x {self.shape[1]}: "
                "change det_dist_m, pixel_m or outermost_zone_width_m"
            )
        window_m = self.wavelength_m * self.det_dist_m / self.pixel_m
        if self.probe_diameter_m > window_m / 2:
            raise ValueError(
                f"the probe has a diameter of {self.probe_diameter_m * 1e6:.2f} um, more than half of the "
                f"{window_m * 1e6:.2f} um that this detector can sample: make defocus_m smaller"
            )


def zone_plate_probe(optics: Optics) -> NDArray[np.complex128]:
    """The probe on the sample: complex (ny, nx), centred at n//2, sum of |probe|^2 = 1.

    The annular pupil is laid down on the detector's own grid of angles, given the defocus by the angular spectrum
    and transformed to the sample plane; so its transform is exactly the bright-field cone on the detector. Its edges
    are hard, as those of a zone plate and its stop are: some light reaches the edge of the window, and a reconstruction
    that does without it fails (the recipe's `probe_support`).
    """
    ny, nx = optics.shape
    angle_per_pixel = optics.pixel_m / optics.det_dist_m
    rows = (np.arange(ny) - ny // 2)[:, np.newaxis]
    columns = (np.arange(nx) - nx // 2)[np.newaxis, :]
    radius_px = np.hypot(rows, columns)
    stop_radius_px = optics.cone_radius_px * optics.central_stop_m / optics.zone_plate_diameter_m
    pupil = radius_px <= optics.cone_radius_px
    if optics.central_stop_m > 0:
        pupil &= radius_px > stop_radius_px
    sine_squared = np.minimum((angle_per_pixel * radius_px) ** 2, 1.0)
    path_m = optics.defocus_m * (np.sqrt(1.0 - sine_squared) - 1.0)
    field = pupil * np.exp(2j * np.pi / optics.wavelength_m * path_m)
    probe = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(field)))
    return probe / np.sqrt(np.sum(np.abs(probe) ** 2))
