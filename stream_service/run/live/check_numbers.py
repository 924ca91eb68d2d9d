"""The numbers of a run to come, as far as they are known before its first frame: can they be meant?

`check` and the arming of a run ask here. They tell, and do not hold a run up: frames with a wrong number are good
frames, and `ingest` can give the right one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from stream_service.core.frame import AttributeValue
from stream_service.core.plausibility import ScanGeometry, number_doubt, scan_doubts
from stream_service.run.live.check_attributes import Latest
from stream_service.run.live.check_finding import Finding
from stream_service.settings.profile import Profile
from stream_service.settings.request import ScanRequest
from stream_service.text.units import is_same_unit

ENERGY = "energy"


def energy_now(profile: Profile, attributes: Mapping[str, AttributeValue], latest: Mapping[str, Latest]) -> float:
    """The photon energy in eV, by the last frame's NDAttribute or by the PV; NaN if neither tells."""
    channel = profile.channels[ENERGY]
    raw = attributes.get(channel.attribute) if channel.attribute else None
    if raw is None and ENERGY in latest:
        raw = latest[ENERGY].value
    return float(raw) * profile.scale_of(ENERGY) if isinstance(raw, int | float) else math.nan


def unit_problem(profile: Profile, channel: str, unit: str) -> str:
    """A sentence if the IOC says another unit of a channel than the profile; `unit` is empty where it says none."""
    settings = profile.channels[channel]
    if not unit or is_same_unit(unit, settings.unit):
        return ""
    return f"the profile says {settings.pv} is in {settings.unit}, the IOC says {unit}: correct the profile"


def check_energy(
    profile: Profile, attributes: Mapping[str, AttributeValue], latest: Mapping[str, Latest]
) -> Iterator[Finding]:
    """True if the energy is one that photons have."""
    channel, energy_eV = profile.channels[ENERGY], energy_now(profile, attributes, latest)
    source = channel.pv or f"NDAttribute {channel.attribute}"
    if (doubt := number_doubt("energy_eV", energy_eV)) is not None:
        text = f"the photon energy ({source}, in {channel.unit} by the profile) {doubt.message}"
        yield Finding("error", f"channel {ENERGY}", text)
    elif math.isnan(energy_eV) and (ENERGY in latest or channel.attribute in attributes):
        text = f"the photon energy is not known: {source} has no value; rows are stored without it"
        yield Finding("error", f"channel {ENERGY}", text)


def planned_doubts(
    profile: Profile, request: ScanRequest, frame_shape: tuple[int, int], energy_eV: float
) -> Iterator[str]:
    """Doubts about the planned positions; `frame_shape` is that of a stored frame."""
    geometry = ScanGeometry(
        energy_eV=energy_eV,
        det_dist_m=profile.detector.distance_m,
        pixel_m=profile.detector.pixel_m * profile.preprocessing.bin,
        frame_shape=frame_shape,
        is_near_field=profile.optics.propagation == "near_field",
        defocus_m=profile.optics.defocus_m,
    )
    planned_m = list(zip(request.planned_x_m, request.planned_y_m, strict=True))
    for doubt in scan_doubts(geometry, planned_m):
        yield f"the planned scan {doubt.message} (see detector.distance_m and pixel_m of the profile)"
