"""The values that a fault can be meant to have: any other is refused with its range, from wherever it comes."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection
from typing import Any

from iocsim.pv import PutHook
from iocsim.unique_ids import FaultError

MOST_CLOCK_S = 1e9
"""By which a clock is off: 31 years, so its stamps stay times that EPICS has."""
MOST_GAIN_PPM = 1e6
"""A clock that stands, or goes at twice the speed."""
MOST_S = 86400.0
"""Of delays and absences: a day."""
SHORTEST_POLL_S = 1e-4
MOST_COUNTER = (1 << 31) - 1
MOST_FRAMES = 100_000
"""Shuffled, or in a file that is written at once."""


def fraction(value: float) -> float:
    """A share of all. Raises FaultError, as all here do."""
    return _within(value, 0.0, 1.0)


def duration_s(value: float) -> float:
    """Seconds for which something waits, or is away."""
    return _within(value, 0.0, MOST_S, " s")


def poll_period_s(value: float) -> float:
    """Seconds between two polls; 0: a fast controller, which has its own."""
    if value and not SHORTEST_POLL_S <= value <= MOST_S:
        raise FaultError(f"{value:.15g} cannot be: give 0, or a number from {SHORTEST_POLL_S:g} to {MOST_S:,g} s")
    return value


def clock_error_s(value: float) -> float:
    """Seconds by which a clock is ahead, or behind."""
    return _within(value, -MOST_CLOCK_S, MOST_CLOCK_S, " s")


def clock_gain_ppm(value: float) -> float:
    """Microseconds that a clock gains, or loses, in each second."""
    return _within(value, -MOST_GAIN_PPM, MOST_GAIN_PPM, " ppm")


def amplitude(value: float) -> float:
    """How far something goes to either side."""
    if not 0.0 <= value < float("inf"):
        raise FaultError(f"{value:g} cannot be: give an amplitude, 0 or more")
    return value


def n_frames(value: int) -> int:
    """A number of frames."""
    return int(_within(value, 0, MOST_FRAMES, " frames"))


def counter_value(value: float) -> float:
    """What a counter is set to."""
    if not float(value).is_integer():
        raise FaultError(f"{value:.15g} cannot be: give a whole number from 0 to {MOST_COUNTER:,}")
    return _within(value, 0, MOST_COUNTER)


def pv_names(names: str, prefix: str, pvs: Collection[str]) -> frozenset[str]:
    """Full names of the PVs that a text names below the prefix, as `X.RBV,Energy_RBV`; all are among `pvs`."""
    found = set()
    for name in filter(None, (part.strip() for part in names.split(","))):
        if prefix + name not in pvs:
            near = difflib.get_close_matches(prefix + name, pvs, 1)
            hint = f"did you mean {near[0].removeprefix(prefix)}?" if near else "write them as X.RBV,Energy_RBV"
            raise FaultError(f"there is no PV {prefix}{name}: {hint}")
        found.add(prefix + name)
    return frozenset(found)


def checked(read: Callable[[Any], Any]) -> PutHook:
    """A hook that takes what `read` makes of a client's value."""

    async def put(value: Any) -> Any:
        return read(value)

    return put


def _within(value: Any, low: float, high: float, unit: str = "") -> Any:
    if not low <= value <= high:
        raise FaultError(f"{value:.15g} cannot be: give a number from {low:,.15g} to {high:,.15g}{unit}")
    return value
