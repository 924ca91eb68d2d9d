"""The parallel-beam experiment that a cone beam in the near field is equal to."""

from __future__ import annotations

from dataclasses import dataclass

from stream_service.errors import ConfigError
from stream_service.settings.optics import Optics


@dataclass(frozen=True, slots=True)
class NearField:
    """By the Fresnel scaling theorem (Paganin, Coherent X-Ray Optics, appendix B)."""

    distance_m: float
    """Effective distance from sample to detector."""
    pixel_m: float
    """Of the detector, on the sample."""
    magnification: float

    @classmethod
    def of(cls, optics: Optics, det_dist_m: float, pixel_m: float) -> NearField:
        """With the focus `defocus_m` before the sample; without it the beam is parallel. Raises `ConfigError`."""
        z1_m = optics.defocus_m
        if z1_m is None:
            return cls(det_dist_m, pixel_m, 1.0)
        if z1_m <= 0:
            raise ConfigError(
                f"in the near field the sample is behind the focus, but defocus_m = {z1_m:g} says that it is before it"
            )
        magnification = (z1_m + det_dist_m) / z1_m
        return cls(det_dist_m / magnification, pixel_m / magnification, magnification)
