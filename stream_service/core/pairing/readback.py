"""A readback: one measured value of a channel, as its IOC posted it, or an array of them as hardware captured it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Readback:
    """One measured value of a channel, in the channel's own unit."""

    channel: str
    value: float
    timestamp_ns: int
    """The IOC's stamp: since when the value is true."""
    is_valid: bool = True
    """False for alarm severity INVALID or a value that is not a finite number."""
    is_after_gap: bool = False
    """True for the first update after a disconnection: what was between it and the one before is not known."""
    received_ns: int | None = None
    """When it came, on a clock of ours that never steps; None for one that was recorded, or that tells an old state."""


class Unheard(NamedTuple):
    """A stretch of a channel of which its record does not tell: it was disconnected."""

    channel: str
    from_ns: int | None
    """What was posted after this time may be lost."""
    to_ns: int | None
    """Up to and with this one; both None: its record does not tell what it was, since not all stamps were times, or
    not all values valid."""


@dataclass(frozen=True, slots=True, eq=False)
class Entries:
    """An array that hardware captured, as it is now."""

    channel: str
    values: npt.NDArray[np.float64]
    """(n,) from its first entry, in the channel's own unit; nobody writes into it."""
    is_from_before: bool = False
    """It was so before the run."""
    is_exact: bool = False
    """It holds entries alone, and no room for more: a dataset of a file is as long as what was written to it."""
