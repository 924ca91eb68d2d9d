"""A first probe from the frames alone, for a scan whose optics nobody wrote down.

The mean frame is the pupil, seen through a sample that has been averaged away; what it lacks is the curvature of the
wave, that is how far the sample is out of focus, and on which side. The in-line hologram of the sample tells both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.ptycho.optics.inline_hologram import bright_field_cone, plateau
from stream_service.ptycho.optics.probe import propagated_pupil
from stream_service.ptycho.optics.scan_holograms import ScanHolograms
from stream_service.ptycho.scan_file import ScanFile

Floats = npt.NDArray[np.floating[Any]]

LEAST_CORRELATION = 0.15
"""Of frames laid onto each other; chance gives 0.1 at the most."""
NEIGHBOURS = ((-1, 0), (1, 0), (0, -1), (0, 1))
"""Rows and columns to the pixels around one."""


@dataclass(frozen=True, slots=True)
class Defocus:
    """Distance of the sample behind the focus (negative: before it), from its in-line hologram."""

    defocus_m: float
    correlation: float

    @property
    def is_seen(self) -> bool:
        """False where the sample is in focus, or makes no in-line hologram: then `defocus_m` means nothing."""
        return self.correlation >= LEAST_CORRELATION


@dataclass(frozen=True, slots=True, eq=False)
class ProbeEstimate:
    """A probe, and how it was found."""

    probe: npt.NDArray[np.complex64]
    """(n, n) for the square that PtyPy takes of a frame; sum |probe|^2 = 1."""
    defocus: Defocus
    sentence: str


def estimate_defocus(scan: ScanFile, seen: ScanHolograms) -> Defocus:
    """From the scale of the hologram: by rays, a pixel sees the sample at defocus x its angle from the focus."""
    best = seen.holograms.best_scale(scan.upright.matrix)
    scale_m = best.metres_per_pixel
    return Defocus(scale_m * scan.det_dist_m / (scan.pixel_m - scale_m), best.correlation)


def estimate_probe(scan: ScanFile, seen: ScanHolograms) -> ProbeEstimate:
    """The pupil from the mean frame, the defocus from the in-line hologram."""
    defocus = estimate_defocus(scan, seen)
    used_m = defocus.defocus_m if defocus.is_seen else 0.0
    half = scan.square_px // 2
    pupil = scan.upright.apply(_pupil(seen)[scan.square])
    angle = np.arange(-half, half) * scan.pixel_m / scan.det_dist_m
    probe = propagated_pupil(pupil, angle[:, np.newaxis], angle[np.newaxis, :], used_m, scan.wavelength_m)
    return ProbeEstimate(probe, defocus, _sentence(scan, pupil, defocus))


def _pupil(seen: ScanHolograms) -> Floats:
    """Amplitude in the pupil, (y, x): the root of the mean frame in the cone, its level where a pixel is bad."""
    level = plateau(seen.mean, seen.good)
    amplitude = np.sqrt(np.where(bright_field_cone(seen.mean, seen.good), np.maximum(seen.mean, 0), 0) / level)
    padded = np.pad(amplitude, 1)
    ny, nx = amplitude.shape
    around = np.stack([padded[1 + dy : 1 + dy + ny, 1 + dx : 1 + dx + nx] for dy, dx in NEIGHBOURS])
    return np.where(seen.good, amplitude, np.median(around, axis=0))


def _sentence(scan: ScanFile, pupil: Floats, defocus: Defocus) -> str:
    across_px = max(np.ptp(lit) for lit in np.nonzero(pupil > 0)) + 1
    angle_mrad = across_px * scan.pixel_m / scan.det_dist_m * 1e3
    found = f"first probe estimated from the mean frame, a cone of {angle_mrad:.3g} mrad"
    if defocus.is_seen:
        side = "behind" if defocus.defocus_m > 0 else "before"
        return (
            f"{found}; by its in-line hologram the sample is {abs(defocus.defocus_m) * 1e6:.3g} um {side} the focus "
            f"(cross-correlation {defocus.correlation:.2f})"
            + _near_field_doubt(scan, angle_mrad * 1e-3 * abs(defocus.defocus_m))
        )
    return f"{found}; no in-line hologram of the sample is seen, so it was taken to be in focus"


def _near_field_doubt(scan: ScanFile, beam_m: float) -> str:
    """Doubt about the far field, in which a beam that wide on the sample must fit into the window."""
    window_m = scan.wavelength_m * scan.det_dist_m / scan.pixel_m
    if beam_m <= window_m:
        return ""
    return (
        f". So the beam is {beam_m * 1e6:.3g} um wide on the sample, and in the far field the detector samples no more "
        f"than {window_m * 1e6:.3g} um: are these frames of the near field? Then say --near-field"
    )
