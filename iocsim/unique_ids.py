"""uniqueIds that are singled out: listed in a text, or by a chance that belongs to each of them."""

from __future__ import annotations

MASK64 = (1 << 64) - 1
MOST_IDS = 1_000_000
"""In one list; a range of more is a slip of the finger."""


class FaultError(ValueError):
    """A value that a fault cannot have."""


def parse_ids(text: str) -> frozenset[int]:
    """uniqueIds from text such as `1,7,100-104`; empty text is no id. Raises FaultError."""
    ids: set[int] = set()
    for part in text.replace(" ", "").split(","):
        if not part:
            continue
        first, _, last = part.partition("-")
        if not first.isdecimal() or (last and not last.isdecimal()):
            raise FaultError(f"{part!r} is no uniqueId: write them as 1,7,100-104")
        n_ids = int(last or first) - int(first) + 1
        if n_ids < 1:
            raise FaultError(f"{part!r} is no range of uniqueIds: write the first one, then the last one, as 100-104")
        if len(ids) + n_ids > MOST_IDS:
            raise FaultError(f"{part!r} makes it more than {MOST_IDS:,} uniqueIds: give fewer")
        ids.update(range(int(first), int(last or first) + 1))
    return frozenset(ids)


def seed_of(unique_id: int) -> int:
    """A seed that belongs to the frame: what it is to C without a sign, since a counter that runs over is negative."""
    return unique_id % (1 << 32)


def chance(seed: int, unique_id: int, salt: int) -> float:
    """A number in [0, 1) that belongs to the frame: the SplitMix64 generator, one step from its own state."""
    state = (seed * 0x9E3779B97F4A7C15 + unique_id * 0xD1B54A32D192ED03 + salt) & MASK64
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK64
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK64
    return (state ^ (state >> 31)) / 2.0**64
