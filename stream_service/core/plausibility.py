"""Plausibility of the numbers that every image depends on: each by itself, and the scan against its object's pixel.

The one place that says which numbers cannot be meant. `ingest`, `validate`, `recipe`, `reconstruct`, `probe`, `orient`,
the arming of a run and `check` ask here, so that none takes what another refuses. A number that is not known (NaN) is
no doubt here: whoever needs it asks for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

HC_EV_M = 1.2398419843320026e-6
"""Planck's constant times the speed of light, exact in the SI of 2019."""
MAX_EXTENT_M = 0.1
"""No scan of ptychography is wider; where it lies is another matter, as the zero of a long stage may be far away."""
MAX_POSITION_M = 1.0
"""No stage reaches further from its zero."""
FEWEST_POSITIONS = 4
"""With fewer, the extent of a scan says nothing of its unit."""
FEWEST_PIXELS_A_STEP = 0.1
"""Steps of real scans are 1 to 100 pixels of the object; units differ by a factor of 1000."""
MOST_WINDOWS_A_STEP = 10.0
"""A step of one window leaves no overlap; one of ten is not a step of a ptychographic scan in the far field."""

POSITION_OPTIONS = "--pos-unit, --unit or the unit in the profile"
OF_THE_GEOMETRY = "--energy-eV, --det-dist-m or --pixel-m, or the unit of the positions (--pos-unit)"


@dataclass(frozen=True, slots=True)
class Limits:
    """Between which values a number can be meant, and what is wrong with those outside."""

    low: float
    high: float
    unit: str
    question: str
    option: str
    """Of `ingest`, that corrects it."""

    @property
    def text(self) -> str:
        """`10 to 200000 eV`."""
        return f"{self.low:g} to {self.high:g} {self.unit}"


LIMITS: Mapping[str, Limits] = {
    "energy_eV": Limits(10.0, 2e5, "eV", "is it in keV or joules, or the ring's?", "--energy-eV"),
    "det_dist_m": Limits(1e-3, 100.0, "m", "is it in mm?", "--det-dist-m"),
    "pixel_m": Limits(1e-7, 1e-2, "m", "is it in um?", "--pixel-m"),
    "exposure_s": Limits(1e-7, 1e5, "s", "is it in ms?", "--exposure-s"),
}
"""Soft X-rays to hard, any detector. A wavelength has the limits of its energy."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """One number, or one relation between numbers, that is odd or cannot be."""

    name: str
    """Of the number: `energy_eV`, `det_dist_m`, `pixel_m`, `exposure_s`, `pos`."""
    is_impossible: bool
    """False: allowed, but worth a look."""
    message: str
    """The value, its limits and what may be wrong, to be put behind the name or path of the number."""
    correction: str
    """Options of `ingest` that correct it, in words: `--energy-eV`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanGeometry:
    """Numbers that decide how large a pixel of the object is."""

    energy_eV: float
    det_dist_m: float
    pixel_m: float
    """Of a stored frame."""
    frame_shape: tuple[int, int]
    is_near_field: bool | None = None
    """None: nobody said."""
    defocus_m: float | None = None
    """Sample minus focus; in the near field the magnification follows from it. None: not known."""

    @property
    def window_m(self) -> float:
        """Side of the field on the sample that a frame can hold, in the far field."""
        return HC_EV_M / self.energy_eV * self.det_dist_m / self.pixel_m

    @property
    def object_pixel_m(self) -> float:
        """Pixel of the object; NaN in a near field whose magnification is not known."""
        if not self.is_near_field:
            return self.window_m / max(self.frame_shape)
        if self.defocus_m is None or self.defocus_m <= 0:
            return math.nan
        return self.pixel_m * self.defocus_m / (self.defocus_m + self.det_dist_m)

    @property
    def is_known(self) -> bool:
        """True if its numbers are there, and each can be meant by itself."""
        numbers = {name: getattr(self, name) for name in ("energy_eV", "det_dist_m", "pixel_m")}
        return all(math.isfinite(value) and number_doubt(name, value) is None for name, value in numbers.items())


def number_doubt(name: str, value: float) -> Doubt | None:
    """Of one number by itself; None if it can be meant, or is not known (NaN)."""
    limits = LIMITS[name]
    if name == "exposure_s" and value == 0:
        return Doubt(name, False, "is 0 s; was it recorded?", limits.option)
    if math.isnan(value) or limits.low <= value <= limits.high:
        return None
    said = f"is {value:g} {limits.unit}, outside {limits.text}; {limits.question}"
    return Doubt(name, True, said, limits.option)


def number_doubts(numbers: Mapping[str, float]) -> Iterator[Doubt]:
    """Of each number that has limits, by name; others are passed over."""
    for name in LIMITS:
        if name in numbers and (doubt := number_doubt(name, numbers[name])) is not None:
            yield doubt


def scan_doubts(geometry: ScanGeometry, positions_m: npt.ArrayLike, *, is_whole: bool = True) -> Iterator[Doubt]:
    """Of a whole scan: its extent and its step, against the pixel and the window of the object.

    `positions_m` (N, 2) are the beam on the sample, of the rows that are used; unknown ones (NaN) are left out.
    Without `is_whole` (a scan that still grows, whose first rows lie together) it is only asked how far they lie.
    """
    positions = np.asarray(positions_m, np.float64).reshape(-1, 2)
    positions = positions[np.isfinite(positions).all(axis=1)]
    if not positions.size:
        return
    for said, length_m, most_m in (
        ("reaches", float(np.abs(positions).max()), MAX_POSITION_M),
        ("spans", float(np.ptp(positions, axis=0).max()), MAX_EXTENT_M),
    ):
        if length_m > most_m:
            yield Doubt("pos", True, f"{said} {length_m:g} m; positions are in metres: is it in um?", POSITION_OPTIONS)
            return
    if len(positions) < FEWEST_POSITIONS or not (is_whole and geometry.is_known):
        return
    sides_m = np.ptp(positions, axis=0)
    extent_m = float(sides_m.max())
    # the step of a scan that fills its rectangle, or of one along a line; rows repeated at one place hardly change it
    step_m = max(math.sqrt(float(sides_m.prod()) / len(positions)), extent_m / len(positions))
    if extent_m > 0:
        yield from _too_small(geometry, extent_m, step_m)
        yield from _too_large(geometry, step_m)


def _too_small(geometry: ScanGeometry, extent_m: float, step_m: float) -> Iterator[Doubt]:
    pixel_m = geometry.object_pixel_m
    if math.isnan(pixel_m):
        return
    by = f"a pixel of the object is {_length(pixel_m)}, by {_numbers(geometry)}"
    if extent_m < pixel_m:
        said = f"spans {_length(extent_m)} in all, less than one pixel of the object: {by}; "
        said += "is a length in another unit, or did the stage not move?"
        yield Doubt("pos", True, said, OF_THE_GEOMETRY)
    elif step_m < FEWEST_PIXELS_A_STEP * pixel_m:
        said = f"has steps of about {_length(step_m)}, {step_m / pixel_m:.2g} pixels of the object: {by}; "
        said += "is a length in another unit?"
        yield Doubt("pos", True, said, OF_THE_GEOMETRY)


def _too_large(geometry: ScanGeometry, step_m: float) -> Iterator[Doubt]:
    if geometry.is_near_field:
        window_m = geometry.pixel_m * max(geometry.frame_shape)  # of a parallel beam, which sees most
    else:
        window_m = geometry.window_m
    if step_m <= window_m:
        return
    said = (
        f"has steps of about {_length(step_m)}, {step_m / window_m:.2g} times the field of {_length(window_m)} that a "
        f"frame holds by {_numbers(geometry)}: nothing overlaps; is a length in another unit?"
    )
    if geometry.is_near_field is None:
        said += " Or, if the frames are of the near field, say so: optics.propagation of the profile, or --near-field"
    yield Doubt("pos", step_m > MOST_WINDOWS_A_STEP * window_m, said, OF_THE_GEOMETRY)


def _numbers(geometry: ScanGeometry) -> str:
    return f"{geometry.energy_eV:g} eV, {geometry.det_dist_m:g} m and {_length(geometry.pixel_m)} a detector pixel"


def _length(metres: float) -> str:
    for factor, unit in ((1.0, "m"), (1e-3, "mm"), (1e-6, "um")):
        if metres >= factor:
            return f"{metres / factor:.3g} {unit}"
    return f"{metres / 1e-9:.3g} nm"
