"""Travel of a channel during an exposure: how far apart the values lie that it had from the start to the end."""

from __future__ import annotations

import math
from collections.abc import Callable

from stream_service.core.exposure import Flag
from stream_service.core.frame import Window
from stream_service.core.pairing.history import History
from stream_service.core.pairing.interpolation import Reading


def travel_over(window: Window, channel: History, reading_at: Callable[[int], Reading | None]) -> float | None:
    """Of a channel over `window`, in its own unit; None if it is not known yet, NaN if it never will be.

    `reading_at` gives the value at one moment: those at the two ends count, and every update between them.
    """
    values = []
    for time_ns in (window.start_ns, window.end_ns):
        reading = reading_at(time_ns)
        if reading is None:
            return None
        if reading.flag & ~Flag.UNCERTAIN:
            return math.nan
        values.append(reading.value)
    values += [update.value for update in channel.between(window.start_ns, window.end_ns)]
    return max(values) - min(values) if all(map(math.isfinite, values)) else math.nan


def further(one: float, other: float) -> float:
    """The larger of two travels; one that is known, if only one is."""
    return one if one > other or other != other else other
