"""Flags of rows in the words of the control room."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from stream_service.core.exposure import Flag

WORDS = {
    Flag.DISCONNECTED: "a readback was not connected",
    Flag.INVALID: "a readback was INVALID, or the frame held no measurement",
    Flag.UNBRACKETED: "no readback on one side of the exposure",
    Flag.MISSING: "the value did not come with the frame",
    Flag.UNCERTAIN: "the stage moved, and its readbacks do not tell where it was",
    Flag.NO_TIME: "the stamp is not a time",
    Flag.CLOCKS_DISAGREE: "the clocks of frames and readbacks differ",
    Flag.STALE: "the value on the frame does not follow its PV",
    Flag.SPREAD: "its frames were taken too far apart",
    Flag.MOVING: "taken while the stage moved from position to position",
    Flag.UNMATCHED: "which entry of the hardware-captured array is its own cannot be told",
}


def flag_words(flags: Flag) -> str:
    """All flags of a row."""
    return "; ".join(_said(flag) for flag in flags)


def counted_flags(flags: npt.NDArray[np.uint32]) -> list[tuple[str, int]]:
    """Rows with each flag, the most frequent first."""
    counts: Counter[str] = Counter()
    for value, n in zip(*np.unique(flags[flags != 0], return_counts=True), strict=True):
        for flag in Flag(int(value)):
            counts[_said(flag)] += int(n)
    return counts.most_common()


def _said(flag: Flag) -> str:
    return f"{WORDS[flag]} ({(flag.name or '').lower()})"
