"""Optics of a beamline, as a profile or the options of a command describe them."""

from __future__ import annotations

from typing import Literal

from stream_service.settings.base import Settings


class Optics(Settings):
    """Optics that make the probe; written into the file so that a reconstruction can start from it."""

    kind: Literal["zone_plate", "kb", "unknown"] = "unknown"
    """What focuses the beam; the fields below that belong to it are read."""
    propagation: Literal["far_field", "near_field"] = "far_field"
    """From sample to detector: `near_field` where the detector sees a magnified in-line hologram of the sample."""
    zone_plate_diameter_m: float | None = None
    """Diameter of the zone plate."""
    outermost_zone_width_m: float | None = None
    """Width of its outermost zone: the focal spot's scale; with the diameter it gives the focal length."""
    central_stop_m: float | None = None
    """Diameter of the central stop."""
    osa_diameter_m: float | None = None
    """Diameter of the order-sorting aperture, if it may cut into the cone."""
    osa_to_sample_m: float | None = None
    """How far before the sample it stands."""
    focal_length_m: tuple[float, ...] | None = None
    """One for a zone plate; horizontal and vertical for a KB pair, from each mirror to the common focus."""
    aperture_m: tuple[float, ...] | None = None
    """Opening of a KB pair, horizontal and vertical."""
    defocus_m: float | None = None
    """Sample minus focus along the beam: positive when the sample is downstream of the focus.

    In the near field the magnification follows from it; without it the beam is parallel there."""
