"""Where the first probe of a reconstruction comes from, as the lines of a recipe that make it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stream_service.errors import ConfigError
from stream_service.ptycho.scan_file import ScanFile

Complex = npt.NDArray[np.complex64]


@dataclass(frozen=True, slots=True)
class NearField:
    """The parallel-beam experiment that a cone beam is equal to (Fresnel scaling theorem, Paganin 2006, app. B)."""

    distance_m: float
    pixel_m: float
    magnification: float

    @classmethod
    def of(cls, scan: ScanFile) -> NearField:
        """With the focus `defocus_m` before the sample; without it the beam is parallel."""
        z1_m, z2_m = scan.optics.defocus_m, scan.det_dist_m
        if z1_m is None:
            return cls(z2_m, scan.pixel_m, 1.0)
        if z1_m <= 0:
            raise ConfigError(f"{scan.path}: in the near field the sample is after the focus, but defocus_m = {z1_m:g}")
        magnification = (z1_m + z2_m) / z1_m
        return cls(z2_m / magnification, scan.pixel_m / magnification, magnification)


@dataclass(frozen=True, slots=True)
class Illumination:
    """`scan.illumination` of a recipe."""

    code: str
    """Lines of the script."""
    remarks: tuple[str, ...] = ()
    """What the user should know of it, in sentences."""
    near_field: NearField | None = None


def zone_plate_illumination(scan: ScanFile) -> Illumination:
    """The zone plate as PtyPy's own parameters: what a user would write by hand."""
    optics = scan.optics
    diameter_m = optics.zone_plate_diameter_m
    focal_m = zone_plate_focal_length_m(scan)
    if diameter_m is None or focal_m is None:
        raise ConfigError(
            f"{scan.path}: its zone plate is not described: zone_plate_diameter_m and outermost_zone_width_m (or "
            "focal_length_m) are needed under `optics` of the profile"
        )
    stop = f"{optics.central_stop_m / diameter_m:.6g}" if optics.central_stop_m else "None"
    return Illumination(
        f"""
# zone plate of {diameter_m * 1e6:g} um, focal length {focal_m * 1e3:.4g} mm; central_stop is a fraction of its size
scan.illumination = u.Param()
scan.illumination.aperture = u.Param(form="circ", size={diameter_m!r}, central_stop={stop})
# parallel: from the focus to the sample; the sign tells which of the two twins is reconstructed
scan.illumination.propagation = u.Param(focussed={focal_m!r}, parallel={optics.defocus_m or 0.0!r}, antialiasing=2)
"""
    )


def zone_plate_focal_length_m(scan: ScanFile) -> float | None:
    """D w / wavelength (Attwood, section 9.2), unless it is given; None if neither is known."""
    optics = scan.optics
    if optics.focal_length_m:
        return optics.focal_length_m[0]
    if optics.zone_plate_diameter_m is None or optics.outermost_zone_width_m is None:
        return None
    return optics.zone_plate_diameter_m * optics.outermost_zone_width_m / scan.wavelength_m


def near_field_illumination(scan: ScanFile) -> Illumination:
    """What is left of the frames when the sample is averaged away, propagated back to it."""
    near = NearField.of(scan)
    return Illumination(
        """
# near field: the mean frame, propagated back to the sample
scan.illumination = u.Param(model="stxm", aperture=None, propagation=None)
""",
        (
            f"cone beam: magnification {near.magnification:.5g}, so {near.pixel_m * 1e9:.4g} nm per pixel and an "
            f"effective distance of {near.distance_m * 1e3:.5g} mm"
            if near.magnification != 1
            else "near field with a parallel beam",
        ),
        near,
    )


def array_illumination(probe: Complex, beside: Path, made_of: str) -> Illumination:
    """A probe as an array, saved at `beside` (`.npy`), which the script reads."""
    np.save(beside, probe)
    return Illumination(
        f"""
# {made_of}
scan.illumination = u.Param(model=np.load({str(beside.resolve())!r}), aperture=None, propagation=None)
"""
    )
