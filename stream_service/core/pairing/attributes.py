"""The NDAttribute of a frame as a reading of its channel, and the doubt that the PV behind it casts on it.

The driver takes the last value it has heard of when the frame is ready: one that the PV had within the exposure or
shortly after. If the PV changed within the exposure, that says little of mid-exposure.
"""

from __future__ import annotations

import math

from stream_service.core.exposure import Flag
from stream_service.core.frame import NS_PER_S, Frame, Window
from stream_service.core.pairing.history import History, Knowledge
from stream_service.core.pairing.interpolation import Reading

ATTRIBUTE_SLACK_NS = NS_PER_S // 20
"""From the end of an exposure until a driver has taken the NDAttributes of its frame, and what well kept clocks
differ."""
SAME_VALUE = 1e-6
"""Relative: what a double keeps of a value that went through a float."""


def attribute_reading(frame: Frame, attribute: str) -> Reading:
    """The value that a frame carries, in the channel's own unit."""
    if attribute not in frame.attributes:
        return Reading(math.nan, Flag.MISSING)
    value = frame.attributes[attribute]
    if value is None:
        return Reading(math.nan, Flag.DISCONNECTED)
    try:
        number = float(value)
    except (TypeError, ValueError):
        return Reading(math.nan, Flag.INVALID)
    return Reading(number, Flag.NONE if math.isfinite(number) else Flag.INVALID)


def attribute_doubt(value: float, window: Window, history: History, tolerance: float) -> Flag | None:
    """The flag of an attribute's value by the history of its PV; None if that is not known yet."""
    to_ns = window.end_ns + ATTRIBUTE_SLACK_NS
    before, _ = history.at(window.start_ns)
    within = ([before] if before else []) + history.between(window.start_ns, window.end_ns)
    near = max(SAME_VALUE * abs(value), tolerance if math.isfinite(tolerance) else 0.0)
    exposed = [update.value for update in within if update.is_valid]
    if math.isfinite(tolerance) and exposed and max(exposed) - min(exposed) > near:
        return Flag.UNCERTAIN
    values = [*exposed, *(update.value for update in history.between(window.end_ns, to_ns) if update.is_valid)]
    if any(abs(value - had) <= near for had in values):
        return Flag.NONE
    knowledge = history.knowledge(window.start_ns, to_ns)
    if knowledge is Knowledge.COMING:
        return None
    return Flag.STALE if values and knowledge is Knowledge.KNOWN else Flag.NONE
