"""Drifts of a healthy beamline, which no frame should be rejected for: functions of seed and uniqueId alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

from iocsim.physics.deviation import STEADY, Deviation
from iocsim.unique_ids import chance

TOP_UP_FRAMES = 150  # between two injections: a minute of a scan at 2.5 Hz
SLOW_PERIODS = (400.0, 1100.0)  # frames; of the two waves that a drift is the sum of


@dataclass(frozen=True, slots=True)
class Drifts:
    """Amplitudes of the drifts; the defaults are a beamline that stands still."""

    intensity: float = 0.0
    """Largest relative change of the flux by slow drift, to either side."""
    top_up: float = 0.0
    """Relative step of the flux at an injection: in between it decays by as much."""
    pointing_px: float = 0.0
    """Largest shift of the pattern on the detector, along y and along x."""
    dark_ADU: float = 0.0
    """Largest change of the camera's offset."""
    seed: int = 1

    @classmethod
    def healthy(cls, seed: int, *, dark_ADU: float = 2.0) -> Drifts:
        """Usual ones of a soft X-ray beamline: 3 % of intensity, 1 % top-up, a pixel, the dark by its read noise."""
        return cls(intensity=0.03, top_up=0.01, pointing_px=1.0, dark_ADU=dark_ADU, seed=seed)

    def at(self, unique_id: int) -> Deviation:
        """The deviation of a frame."""
        if not (self.intensity or self.top_up or self.pointing_px or self.dark_ADU):
            return STEADY
        phase = chance(self.seed, 0, salt=10)
        decayed = self.top_up * ((unique_id / TOP_UP_FRAMES + phase) % 1.0)
        return Deviation(
            flux=(1.0 + self.intensity * self._wave(unique_id, 11)) * (1.0 - decayed),
            pointing_yx_px=(
                self.pointing_px * self._wave(unique_id, 13),
                self.pointing_px * self._wave(unique_id, 15),
            ),
            dark_ADU=self.dark_ADU * self._wave(unique_id, 17),
        )

    def _wave(self, unique_id: int, salt: int) -> float:
        """Between -1 and 1: two slow sines, whose periods and phases the seed decides."""
        total = 0.0
        for number, period in enumerate(SLOW_PERIODS):
            stretch = 0.75 + 0.5 * chance(self.seed, number, salt)
            start = chance(self.seed, number, salt + 1)
            total += math.sin(2 * math.pi * (unique_id / (stretch * period) + start)) / len(SLOW_PERIODS)
        return total
