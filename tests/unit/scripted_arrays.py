"""Hardware-captured arrays of a scripted run: x and y by index, with the entries 0, 1, 2 ... micrometres."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scripted_run import Bench, profile_for

from stream_service.core.pairing.readback import Entries
from stream_service.settings.profile import Profile

DATASETS = {"x": "/INENC1.VAL.Mean", "y": "/INENC2.VAL.Mean"}


def by_index(folder: Path, **more: Any) -> Profile:
    settings = profile_for(folder).model_dump()
    for axis in "xy":
        of_axis = {"how": "index", "pv": f"PANDA:{axis}", "dataset": DATASETS[axis], "unit": "um"}
        settings["channels"][axis] = of_axis | more
    return Profile.model_validate(settings)


def captured(n: int, first: int = 0) -> np.ndarray[Any, Any]:
    return np.arange(first, first + n, dtype=float)


def tell(bench: Bench, n: int, **more: bool) -> Callable[[], None]:
    """Both arrays have so many entries by now."""

    def happen() -> None:
        bench.sources.readbacks.events += [Entries(axis, captured(n), **more) for axis in "xy"]

    return happen


def come_later(bench: Bench, *told: tuple[float, int]) -> None:
    """Both arrays have so many entries so many seconds from now on, whether frames still come or not."""
    readbacks, left = bench.sources.readbacks, [(bench.clock.now_s + later_s, n) for later_s, n in told]
    take = readbacks.take

    def take_at() -> list[Any]:
        while left and bench.clock.now_s >= left[0][0]:
            tell(bench, left.pop(0)[1])()
        return take()

    readbacks.take = take_at  # type: ignore[method-assign]
