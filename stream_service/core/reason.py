"""Reasons why a row is doubted: a code and two numbers, from which the words are made; and the columns of verdicts."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from stream_service.core.row import Column


class Reason(IntEnum):
    """Why a row is unlike others, or is rejected. The numbers are stored in `/entry/qc`."""

    NONE = 0
    POSITION = 1
    """Gate: its position is not known, or not to be trusted."""
    REPEATED = 2
    """Gate: its frame is that of an earlier row, bit for bit; numbers: that row."""
    ENERGY = 3
    """Gate: off the requested photon energy, or that of most rows; numbers: energy and that one, eV."""
    SHUTTER = 4
    """Gate: the shutter was not open."""
    RING_CURRENT = 5
    """Gate: too little stored current; numbers: current and limit, mA."""
    SATURATED = 6
    """Gate: too many pixels saturated; numbers: share of the pixels and limit."""
    PARTIAL = 7
    """Gate: a side of the frame reads nothing where others read something; numbers: `Side`, share of the frame."""
    INTENSITY = 8
    """Numbers: relative change against its neighbours, and how many times the usual deviation that is."""
    HALF_DARK = 9
    """A side of the frame has lost its light; numbers: `Side`, share of the light left there."""
    CENTRE = 10
    """Numbers: pixels by which the centre of mass moved, and how many times the usual deviation that is."""
    HOT = 11
    """Numbers: brightest pixel relative to that of its neighbours, and how many times the usual deviation that is."""
    CLIPPED = 12
    """More pixels saturated than in its neighbours; numbers: share of the pixels, and times the usual deviation."""
    FINE = 13
    """Numbers: relative change of the fine structure, and times the usual deviation."""
    CONTRAST = 14
    """Numbers: relative change of the speckle contrast, and times the usual deviation."""
    EMPTY_PIXELS = 15
    """Numbers: change of the share of pixels that read nothing, and times the usual deviation."""
    PATTERN = 16
    """The distribution over the frame (rings, embedding); number: how many times the usual deviation that is."""


class Side(IntEnum):
    """A side of the stored frame, drawn with its first row on top."""

    UPPER = 0
    LOWER = 1
    LEFT = 2
    RIGHT = 3
    MIDDLE = 4


KINDS = {reason: reason.name.lower().replace("_", " ") for reason in Reason} | {
    Reason.REPEATED: "repeated frame",
    Reason.SATURATED: "saturation",
    Reason.PARTIAL: "empty part",
    Reason.HALF_DARK: "dark part",
    Reason.CENTRE: "centre of mass",
    Reason.HOT: "brightest pixel",
    Reason.CLIPPED: "saturation",
    Reason.FINE: "fine structure",
    Reason.CONTRAST: "speckle contrast",
}
"""Reasons without their numbers, as they are counted in a sentence."""
GATES = tuple(reason for reason in Reason if Reason.NONE < reason <= Reason.PARTIAL)
"""Each rejects a row by itself, whatever the score; of several the first one is the reason."""

VERDICT_COLUMNS = (
    Column("score", np.float64, "0: as its neighbours, to 1: rejected by a gate; NaN: not judged."),
    Column("reason", np.uint8, "Why the score is not 0; of gates the first one.", codes=Reason),
    Column("number", np.float64, "What the reason is made of: its meaning goes with `reason`, see file-format.md."),
    Column("second", np.float64, "Another number of it."),
    Column("gates", np.uint32, "Bit 2**reason of every gate that rejects the row."),
)
"""The verdict on a row, as it is stored."""


def words(reason: int, first: float, second: float) -> str:
    """The reason as a person says it: `intensity -62 % against its neighbours`; empty for none."""
    match Reason(reason):
        case Reason.NONE:
            return ""
        case Reason.POSITION:
            return "position not to be trusted"
        case Reason.REPEATED:
            return f"the same frame as row {first:.0f}"
        case Reason.ENERGY:
            return f"energy {first:.6g} eV, not {second:.6g} eV"
        case Reason.SHUTTER:
            return "shutter not open"
        case Reason.RING_CURRENT:
            return f"ring current {first:.4g} mA, below {second:.4g} mA"
        case Reason.SATURATED:
            return f"{100 * first:.2g} % of the pixels saturated, more than {100 * second:.2g} %"
        case Reason.PARTIAL:
            return f"{_part(first, second)} empty"
        case Reason.INTENSITY:
            return f"intensity {_percent(first)} against its neighbours"
        case Reason.HALF_DARK:
            return f"{Side(int(first)).name.lower()} half dark, {100 * second:.0f} % of the light left there"
        case Reason.CENTRE:
            return f"centre of mass moved {first:.2g} px" if first < 10 else f"centre of mass moved {first:.0f} px"
        case Reason.HOT:
            return f"brightest pixel {_times(first)} that of its neighbours"
        case Reason.CLIPPED:
            return f"{100 * first:.2g} % of the pixels saturated, unlike its neighbours"
        case Reason.FINE:
            return f"fine structure {_percent(first)} against its neighbours"
        case Reason.CONTRAST:
            return f"speckle contrast {_percent(first)} against its neighbours"
        case Reason.EMPTY_PIXELS:
            return f"{100 * first:+.2g} % of the pixels read nothing against its neighbours"
        case Reason.PATTERN:
            return f"pattern unlike its neighbours, {first:.2g} times the usual difference"


def _part(side: float, share: float) -> str:
    name = Side(int(side)).name.lower()
    return f"{name} half" if 0.45 <= share <= 0.55 else f"{name} {100 * share:.0f} % of the frame"


def _percent(change: float) -> str:
    return f"{100 * change:+.0f} %" if abs(change) >= 0.095 else f"{100 * change:+.1f} %"


def _times(ratio: float) -> str:
    return f"{ratio:.2g} times" if ratio < 10 else f"{ratio:.0f} times"
