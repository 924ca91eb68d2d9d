"""Types of PVs as clients see them: kind, unit, digits, limits, choices."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

UNKNOWN = "–"
"""Instead of a value that is not known."""
TEXT_BYTES = 4096
REQUEST_BYTES = 4 << 20
"""Some 100,000 planned positions as JSON."""


class Kind(StrEnum):
    """Types of values, as Channel Access names them; PVA has the same."""

    CHAR = "char"
    """A waveform that holds a text, UTF-8: a string of CA would be cut at 39 characters."""
    ENUM = "enum"
    LONG = "long"
    DOUBLE = "double"


@dataclass(frozen=True, slots=True)
class PVType:
    """Type and metadata of a PV, for clients over CA and PVA."""

    kind: Kind
    unit: str = ""
    """7 characters at most."""
    precision: int = 0
    """Digits after the point of a double; it is rounded to them."""
    limits: tuple[int, int] | None = None
    """For displays."""
    choices: tuple[str, ...] = ()
    """Of an enum; the first is its value before the service has one."""
    max_bytes: int = 0
    """Of a text, with its NUL."""

    def in_words(self, value: str | float) -> str:
        """A value with its unit, a real number with the digits that it has; a dash for one that is not known."""
        if self.kind is not Kind.DOUBLE:
            return f"{value} {self.unit}".rstrip()
        if not math.isfinite(float(value)):
            return UNKNOWN
        return f"{float(value):.{self.precision}f} {self.unit}".rstrip()


TEXT = PVType(Kind.CHAR, max_bytes=TEXT_BYTES)
SWITCH = PVType(Kind.LONG, limits=(0, 1))
COUNT = PVType(Kind.LONG)
SHARE = PVType(Kind.DOUBLE, precision=3, limits=(0, 1))
IN_ROWS = PVType(Kind.LONG, "rows")
IN_FRAMES = PVType(Kind.LONG, "frames")
IN_SECONDS = PVType(Kind.LONG, "s")
IN_BYTES = PVType(Kind.DOUBLE, "bytes")
PER_SECOND = PVType(Kind.DOUBLE, "1/s", precision=1)
IN_MICROMETRES = PVType(Kind.DOUBLE, "um", precision=3)
IN_PERCENT = PVType(Kind.DOUBLE, "%", precision=1, limits=(0, 100))


def one_of(choices: Iterable[str]) -> PVType:
    """An enum of these words."""
    return PVType(Kind.ENUM, choices=tuple(map(str, choices)))
