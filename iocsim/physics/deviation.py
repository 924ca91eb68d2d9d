"""Deviation of one exposure from a steady beamline: what the light did that no PV tells of.

A healthy beamline deviates a little all the time (`drifts`), a faulty exposure much and for once (`frame_faults`); the
sources of frames do not ask which it was.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

VIBRATION_M_PER_PX = 40e-9
"""Swing of the beam on the sample that goes with a pixel of the pattern: for 2 to 6 pixels 80 to 240 nm, what a pump
or a crane does to a microscope that is not locked."""
VIBRATION_STEPS = 12  # positions that stand for half a period: at most 1.6 pixels apart for 6 pixels of amplitude


@dataclass(frozen=True, slots=True)
class Deviation:
    """Deviation of one exposure; the default is none at all. Directions are (y, x) in stored axes."""

    flux: float = 1.0
    """Light on the optics, of what exposure time and ring current would give."""
    pointing_yx_px: tuple[float, float] = (0.0, 0.0)
    """By how much the whole pattern lies elsewhere on the detector."""
    blocked: float = 0.0
    """Share of the light that a blade in the beam holds back, upstream of the optics: it cuts the pupil, so the
    probe, and the bright-field cone ends at its edge."""
    blade_side: int = 0
    """Where the blade comes from: 0 low y, 1 high y, 2 low x, 3 high x."""
    vibration_px: float = 0.0
    """Amplitude of a vibration during the exposure; the beam swings on the sample and the pattern on the detector."""
    vibration_rad: float = 0.0
    """Its direction, from +x towards +y."""
    overexposure: float = 0.0
    """With a value above 0 the flux is such that the brightest pixel should read this many times what it can."""
    dark_ADU: float = 0.0
    """By how much the offset of the camera has drifted."""

    def together(self, other: Deviation) -> Deviation:
        """Both at once; blade, vibration and overexposure are those of `other`."""
        return replace(
            other.moved(*self.pointing_yx_px),
            flux=self.flux * other.flux,
            dark_ADU=self.dark_ADU + other.dark_ADU,
        )

    def moved(self, y_px: float, x_px: float) -> Deviation:
        """The same with the pattern elsewhere by so much."""
        y, x = self.pointing_yx_px
        return replace(self, pointing_yx_px=(y + y_px, x + x_px)) if y_px or x_px else self

    def swings_yx_px(self) -> tuple[tuple[float, float], ...]:
        """Shifts that the exposure is the mean of: half a period of a sine, in equal times; one of zero if at rest."""
        if not self.vibration_px:
            return ((0.0, 0.0),)
        phases = (np.arange(VIBRATION_STEPS) + 0.5) * math.pi / VIBRATION_STEPS - math.pi / 2
        y, x = (self.vibration_px * turn(self.vibration_rad) for turn in (math.sin, math.cos))
        return tuple((float(swing * y), float(swing * x)) for swing in np.sin(phases))


STEADY = Deviation()


def blade(light: NDArray[np.floating], blocked: float, side: int, penumbra_px: float = 0.5) -> NDArray[np.float32]:
    """Share of the light (ny, nx) that a blade lets pass each element: 0 in its shadow, 1 beside it.

    Its edge, of the half width `penumbra_px`, lies where `blocked` of the sum of `light` is behind it.
    """
    profile = light.sum(axis=1 if side < 2 else 0, dtype=np.float64)
    if side % 2:
        profile = profile[::-1]
    behind = np.cumsum(profile) / max(float(profile.sum()), np.finfo(float).tiny)
    edge_px = float(np.searchsorted(behind, blocked))
    passes = 0.5 + 0.5 * np.tanh((np.arange(profile.size) - edge_px) / penumbra_px)
    if side % 2:
        passes = passes[::-1]
    return np.broadcast_to(passes[:, np.newaxis] if side < 2 else passes, light.shape).astype(np.float32)
