"""The wave on the sample that the optics of a profile make: zone plate or KB pair, in the far field of the detector.

The pupil is laid down on the detector's own grid of angles, given the curvature of the defocus, and transformed to the
sample plane (Goodman, Introduction to Fourier Optics, sections 4.2 and 5.2: a lens shows the transform of its aperture
in its focus). On that grid nothing is undersampled as long as the probe fits into the window that the detector can
sample, wavelength x distance / pixel; one that does not fit is refused. Sum of |probe|^2 = 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from stream_service.errors import ConfigError
from stream_service.settings.optics import Optics

Complex = npt.NDArray[np.complex64]
Floats = npt.NDArray[np.floating[Any]]

FOCAL_SPOT = 1.22
"""Radius of the Airy disc in wavelengths per numerical aperture (diameter / focal length)."""


@dataclass(frozen=True, slots=True)
class Cone:
    """The cone of light behind the optics: half its opening angles, in radians."""

    is_round: bool
    """A zone plate's; else a KB pair's, with two slits."""
    outer_y: float
    outer_x: float
    inner: float
    """Shadow of the central stop."""
    defocus_m: float
    focal_length_m: float
    """Of the zone plate, or of the horizontal mirror."""

    @classmethod
    def of(cls, optics: Optics, wavelength_m: float) -> Self:
        """Raises `ConfigError` naming the number that is missing."""
        if optics.kind == "zone_plate":
            return cls._of_zone_plate(optics, wavelength_m)
        if optics.kind == "kb":
            return cls._of_kb(optics)
        raise ConfigError("the optics are not known (kind: unknown): describe them under `optics` of the profile")

    @classmethod
    def _of_zone_plate(cls, optics: Optics, wavelength_m: float) -> Self:
        diameter_m = optics.zone_plate_diameter_m
        if diameter_m is None:
            raise ConfigError("the zone plate's diameter is not known: give zone_plate_diameter_m under `optics`")
        focal_m = zone_plate_focal_length_m(optics, wavelength_m)
        outer = diameter_m / (2 * focal_m)
        if optics.osa_diameter_m is not None:
            outer = min(outer, _osa_angle(optics))
        inner = (optics.central_stop_m or 0.0) / (2 * focal_m)
        if inner >= outer:
            raise ConfigError("the central stop is not smaller than the zone plate, or than what the OSA lets through")
        return cls(True, outer, outer, inner, optics.defocus_m or 0.0, focal_m)

    @classmethod
    def _of_kb(cls, optics: Optics) -> Self:
        """Two mirrors with one focus: the shorter focal length is that of the mirror nearer to it."""
        focal_m, opening_m = optics.focal_length_m or (), optics.aperture_m or ()
        if len(focal_m) != 2 or len(opening_m) != 2:
            raise ConfigError(
                "a KB pair needs focal_length_m and aperture_m with two numbers each, horizontal and vertical, under "
                "`optics` of the profile"
            )
        across_x, across_y = (opening / focal for opening, focal in zip(opening_m, focal_m, strict=True))
        return cls(False, across_y / 2, across_x / 2, 0.0, optics.defocus_m or 0.0, focal_m[0])

    def check_fit(self, shape: tuple[int, int], pixel_yx_m: tuple[float, float], wavelength_m: float) -> None:
        """Raises `ConfigError` if the detector cannot sample the probe."""
        for axis, n, pixel_m, outer in zip("yx", shape, pixel_yx_m, (self.outer_y, self.outer_x), strict=True):
            window_m = n * pixel_m
            width_m = abs(self.defocus_m) * 2 * outer + FOCAL_SPOT * wavelength_m / outer
            if width_m > window_m:
                raise ConfigError(
                    f"the probe is {width_m * 1e6:.3g} um wide in {axis}, and the detector can sample "
                    f"{window_m * 1e6:.3g} um (wavelength x distance / pixel): check defocus_m and the optics; or is "
                    "this a near-field experiment?"
                )

    def pupil(self, angle_y: Floats, angle_x: Floats) -> Floats:
        """(y, x) 1 inside, 0 outside, at the edges the share of a pixel that is inside."""
        step_y, step_x = float(angle_y[1, 0] - angle_y[0, 0]), float(angle_x[0, 1] - angle_x[0, 0])
        if self.is_round:
            radius, step = np.hypot(angle_y, angle_x), max(step_y, step_x)
            return _inside(self.outer_y, radius, step) - (_inside(self.inner, radius, step) if self.inner else 0.0)
        return _inside(self.outer_y, np.abs(angle_y), step_y) * _inside(self.outer_x, np.abs(angle_x), step_x)


def optics_probe(
    optics: Optics, *, shape: tuple[int, int], pixel_yx_m: tuple[float, float], wavelength_m: float
) -> Complex:
    """(ny, nx) centred at n // 2, with the `pixel_yx_m` of the far field of frames of `shape`.

    Raises `ConfigError` naming the number that is missing, or that cannot be.
    """
    cone = Cone.of(optics, wavelength_m)
    cone.check_fit(shape, pixel_yx_m, wavelength_m)
    angle_y, angle_x = (
        np.fft.fftshift(np.fft.fftfreq(n, pixel_m)) * wavelength_m for n, pixel_m in zip(shape, pixel_yx_m, strict=True)
    )
    angle_y, angle_x = angle_y[:, np.newaxis], angle_x[np.newaxis, :]
    return propagated_pupil(cone.pupil(angle_y, angle_x), angle_y, angle_x, cone.defocus_m, wavelength_m)


def propagated_pupil(pupil: Floats, angle_y: Floats, angle_x: Floats, defocus_m: float, wavelength_m: float) -> Complex:
    """The wave `defocus_m` behind the focus (before it if negative) of a pupil given over angles, zero at n // 2."""
    squared = np.minimum(angle_y**2 + angle_x**2, 1.0)
    path_m = defocus_m * (np.sqrt(1.0 - squared) - 1.0)
    wave = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(pupil * np.exp(2j * np.pi / wavelength_m * path_m))))
    return (wave / np.sqrt(np.sum(np.abs(wave) ** 2))).astype(np.complex64)


def zone_plate_focal_length_m(optics: Optics, wavelength_m: float) -> float:
    """First order: D w / wavelength (Attwood, Soft X-Rays, section 9.2), unless the profile gives it."""
    if optics.focal_length_m:
        return optics.focal_length_m[0]
    diameter_m, zone_m = optics.zone_plate_diameter_m, optics.outermost_zone_width_m
    if diameter_m is None or zone_m is None:
        raise ConfigError(
            "the zone plate's focal length is not known: give zone_plate_diameter_m and outermost_zone_width_m, or "
            "focal_length_m, under `optics` of the profile"
        )
    return diameter_m * zone_m / wavelength_m


def _osa_angle(optics: Optics) -> float:
    """Half the angle that an order-sorting aperture lets through, by rays: it stands far from the focus."""
    if optics.osa_to_sample_m is None:
        raise ConfigError("osa_diameter_m is given without osa_to_sample_m, how far before the sample the aperture is")
    to_focus_m = optics.osa_to_sample_m - (optics.defocus_m or 0.0)
    if to_focus_m <= 0:
        raise ConfigError(
            f"the order-sorting aperture, {optics.osa_to_sample_m:g} m before the sample, is behind the focus: it must "
            "stand between zone plate and focus"
        )
    assert optics.osa_diameter_m is not None
    return optics.osa_diameter_m / (2 * to_focus_m)


def _inside(edge: float, angle: Floats, step: float) -> Floats:
    """1 inside, 0 outside, and the share of the pixel's width that is inside at the edge."""
    return np.clip(0.5 + (edge - angle) / step, 0.0, 1.0)
