"""Frames that leave late, by so many frames or seconds, beyond the end of their series, too."""

from __future__ import annotations

from dataclasses import dataclass

from iocsim.fault_values import MOST_FRAMES, MOST_S
from iocsim.unique_ids import FaultError, parse_ids


@dataclass(frozen=True, slots=True)
class Delay:
    """How late a frame leaves: after so many others were taken, and not before so many seconds have passed."""

    n_frames: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Delays:
    """Which frames are late."""

    parts: tuple[tuple[Delay, frozenset[int]], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Delays:
        """From text such as `20@100-104,1.5s@7`: 20 frames, and 1.5 s. Raises FaultError."""
        return cls(tuple(_parse_part(part) for part in filter(None, text.replace(" ", "").split(","))))

    def of(self, unique_id: int) -> Delay | None:
        """How late this frame is; None if it is not."""
        return next((delay for delay, ids in self.parts if unique_id in ids), None)


def _parse_part(part: str) -> tuple[Delay, frozenset[int]]:
    amount, _, ids = part.partition("@")
    try:
        delay = Delay(seconds=float(amount[:-1])) if amount.endswith("s") else Delay(n_frames=int(amount))
        unique_ids = parse_ids(ids)
    except ValueError:
        delay, unique_ids = Delay(), frozenset()
    if not unique_ids or not (0 < delay.n_frames <= MOST_FRAMES or 0.0 < delay.seconds <= MOST_S):
        raise FaultError(
            f"{part!r} is no delay: write frames (1 to {MOST_FRAMES:,}) or seconds (to {MOST_S:,g}), and uniqueIds, as "
            "20@100-104 or 1.5s@7"
        )
    return delay, unique_ids
