"""A simulated scan that shares no code with the product or with iocsim: its own optics, sample, detector and truth.

What it does that iocsim does not: the pupil of the zone plate has hard edges, the sample is known on a grid twice as
fine as the reconstruction's (light that it scatters beyond the detector is lost), and a detector pixel is the sum of
2 x 2 smaller ones (the wave is followed in a window twice as wide as the one that the detector samples).

Arrays are (y, x), indices grow with +y and +x, the axis is at n // 2; a wave that travels on gains phase exp(+ikz).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

Complex = npt.NDArray[np.complex128]
Floats = npt.NDArray[np.float64]

PLANCK_EV_S, LIGHT_M_S = 4.135667696e-15, 299792458.0
OVERSAMPLED = 2
"""Finer grid on the sample, and finer pixels on the detector."""
GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))


@dataclass(frozen=True)
class HardEdgedScan:
    """Numbers of the experiment; those of another beamline than the simulated one's."""

    n_px: int = 128
    n_rows: int = 150
    energy_eV: float = 850.0
    distance_m: float = 0.12
    pixel_m: float = 75e-6
    diameter_m: float = 180e-6
    zone_m: float = 35e-9
    stop_m: float = 60e-6
    defocus_m: float = 12e-6
    step_m: float = 0.11e-6
    photons: float = 5e6
    """In a frame without a sample."""
    seed: int = 5

    @property
    def wavelength_m(self) -> float:
        return PLANCK_EV_S * LIGHT_M_S / self.energy_eV

    @property
    def fine_m(self) -> float:
        """Pixel of the wave on the sample as it is simulated."""
        return self.wavelength_m * self.distance_m / (OVERSAMPLED * self.n_px * self.pixel_m)

    @property
    def profile(self) -> dict[str, Any]:
        """Profile as a user would write it for this beamline."""
        return {
            "beamline": "another beamline",
            "service": {"prefix": "X:", "data_root": "."},
            "detector": {
                "frames": {"pva": "X:Pva1:Image"},
                "acquire_pv": "X:cam1:Acquire_RBV",
                "counter_pv": "X:cam1:ArrayCounter_RBV",
                "exposure_pv": "X:cam1:AcquireTime_RBV",
                "distance_m": self.distance_m,
                "pixel_m": self.pixel_m,
            },
            "channels": {
                "x": {"how": "attribute", "attribute": "x", "unit": "m"},
                "y": {"how": "attribute", "attribute": "y", "unit": "m"},
                "energy": {"how": "attribute", "attribute": "energy", "unit": "eV"},
            },
            "stage_map": [[1, 0], [0, 1]],
            "optics": {
                "kind": "zone_plate",
                "zone_plate_diameter_m": self.diameter_m,
                "outermost_zone_width_m": self.zone_m,
                "central_stop_m": self.stop_m,
                "defocus_m": self.defocus_m,
            },
        }

    def positions_yx_m(self) -> Floats:
        """(rows, 2) along a spiral, none of them on a grid."""
        number = np.arange(self.n_rows) + 0.5
        radius, angle = self.step_m * np.sqrt(number), GOLDEN_ANGLE * number
        return radius[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)

    def spectrum(self) -> Complex:
        """The pupil over the fine detector's pixels, curved by the defocus; |.|^2 sums to the photons of a frame."""
        n = 2 * OVERSAMPLED * self.n_px
        angle = (np.arange(n) - n // 2) * self.pixel_m / (OVERSAMPLED * self.distance_m)
        squared = angle[:, None] ** 2 + angle[None, :] ** 2
        focal_m = self.diameter_m * self.zone_m / self.wavelength_m
        lens = squared <= (self.diameter_m / 2 / focal_m) ** 2
        stop = squared <= (self.stop_m / 2 / focal_m) ** 2
        phase = 2 * np.pi / self.wavelength_m * self.defocus_m * (np.sqrt(1 - squared) - 1)
        pupil = (lens & ~stop) * np.exp(1j * phase)
        return pupil * np.sqrt(self.photons / np.sum(np.abs(pupil) ** 2))

    def sample(self) -> tuple[Complex, float]:
        """A square of random polygons and a swell: amplitude 0.5 to 1, phase 0 to 2; where element [0, 0] is."""
        reach_m = self.step_m * np.sqrt(self.n_rows)
        n = int(2 * reach_m / self.fine_m) + 2 * OVERSAMPLED * self.n_px + 8
        n += -n % 4
        axis_m = (np.arange(n) - n // 2) * self.fine_m
        y, x = axis_m[:, None], axis_m[None, :]
        dice = np.random.default_rng(self.seed)
        thickness = 0.25 * (1 + np.sin(x / 0.31e-6 + 0.4) * np.sin(y / 0.47e-6))
        half_m = reach_m + 0.4e-6
        for _ in range(int(10 * (2 * half_m * 1e6) ** 2)):
            at_x, at_y = dice.uniform(-half_m, half_m, 2)
            size_m, tilt, sides = dice.uniform(50e-9, 250e-9), dice.uniform(0, 2 * np.pi), dice.integers(3, 6)
            rows = slice(*np.searchsorted(axis_m, [at_y - 2.2 * size_m, at_y + 2.2 * size_m]))
            columns = slice(*np.searchsorted(axis_m, [at_x - 2.2 * size_m, at_x + 2.2 * size_m]))
            normals = tilt + 2 * np.pi * np.arange(sides) / sides
            away = [(x[:, columns] - at_x) * np.cos(a) + (y[rows] - at_y) * np.sin(a) for a in normals]
            thickness[rows, columns] += dice.uniform(0.2, 0.8) * (np.max(away, axis=0) < size_m)
        share = 1 - np.exp(-thickness)
        transmission = ((1 - 0.35 * share) * np.exp(1.5j * share)).astype(np.complex128)
        return transmission, -(n // 2) * self.fine_m

    def frames(self, sample: Complex, origin_m: float) -> npt.NDArray[np.uint32]:
        """(rows, n, n) photons counted."""
        dice = np.random.default_rng(self.seed + 1)
        spectrum = self.spectrum()
        n = len(spectrum)
        frequency = (np.arange(n) - n // 2) / n
        counted = np.zeros((self.n_rows, self.n_px, self.n_px), np.uint32)
        for frame, place_m in zip(counted, self.positions_yx_m(), strict=True):
            place = (place_m - origin_m) / self.fine_m
            nearest = np.rint(place).astype(int)
            dy, dx = place - nearest
            shifted = spectrum * np.exp(-2j * np.pi * (frequency[:, None] * dy + frequency[None, :] * dx))
            top, left = nearest - n // 2
            leaving = _inverse(shifted) * sample[top : top + n, left : left + n]
            fine = np.abs(_forward(leaving)) ** 2
            frame[...] = dice.poisson(_binned(fine, self.n_px))
        return counted


def _binned(fine: Floats, n_px: int) -> Floats:
    """Pixels of 2 finer ones each way, the middle one of which is on the axis: 1/2, 1, 1/2 of three."""
    for axis in (0, 1):
        fine = fine + 0.5 * (np.roll(fine, 1, axis) + np.roll(fine, -1, axis))
    middle = len(fine) // 2
    kept = np.arange(-n_px // 2, n_px // 2) * OVERSAMPLED + middle
    return fine[np.ix_(kept, kept)]


def _forward(wave: Complex) -> Complex:
    """To the detector, unitary."""
    return np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(wave), norm="ortho"))


def _inverse(spectrum: Complex) -> Complex:
    """To the sample, unitary."""
    return np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(spectrum), norm="ortho"))


def write_hard_edged_scan(scan: HardEdgedScan, raw: Path, truth: Path) -> None:
    """The frames as a file to ingest, and the sample as `object_truth` reads it."""
    sample, origin_m = scan.sample()
    positions_yx_m = scan.positions_yx_m()
    with h5py.File(raw, "w") as file:
        file["entry/data"] = scan.frames(sample, origin_m)
        file["entry/pos"] = positions_yx_m[:, ::-1]
        file["entry/pos"].attrs["units"] = "m"
        file["entry/energy_eV"] = scan.energy_eV
        file["entry/det_dist_m"] = scan.distance_m
        file["entry/pixel_m"] = scan.pixel_m
        file["entry/exposure_s"] = 0.1
    pixel_m = OVERSAMPLED * scan.fine_m
    np.savez(truth, object=_as_sampled(sample), object_pixel_yx_m=[pixel_m] * 2, object_origin_yx_m=[origin_m] * 2)


def _as_sampled(sample: Complex) -> Complex:
    """The sample by the pixel of a reconstruction: what is finer cannot be in one, and would be taken for an error."""
    n = len(sample)
    kept = n // OVERSAMPLED
    start = n // 2 - kept // 2
    spectrum = np.fft.fftshift(np.fft.fft2(sample))[start : start + kept, start : start + kept]
    return np.fft.ifft2(np.fft.ifftshift(spectrum)) / OVERSAMPLED**2
