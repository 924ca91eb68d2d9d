"""A clock that only a test moves, for whatever takes a `clock`: no waiting, and the same every time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class ManualClock:
    """Seconds, as of `time.monotonic`."""

    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s
