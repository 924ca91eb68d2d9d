"""Verdicts on rows: a score, its reason and two numbers of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream_service.core.reason import Reason, Side, words
from stream_service.qc.deviations import Deviations
from stream_service.qc.row_table import (
    COM_X,
    COM_Y,
    LOG_CONTRAST,
    LOG_FINE,
    LOG_INTENSITY,
    LOG_MAX,
    LOG_SATURATED,
    LOWER,
    N_FEATURES,
    RIGHT,
    ZERO_SHARE,
    RowTable,
)

Floats = npt.NDArray[np.float64]

DEVIATION_AT_HALF = 4.5
"""The deviation with a score of 0.5, in units of what is usual."""
WORTH_A_REASON = 2.0
"""A smaller deviation is usual, and no reason is given for it."""
PRECEDENCE = 0.4
"""An earlier kind of reason is preferred to a later one that is stronger, down to this share of the strongest, or to
what is a fault by itself: light that is lost shows in the pattern, too."""
LEFT_IN_THE_DARK = 0.3
"""Of its usual light is left in a half that is called dark, at the most."""
LEFT_BY_A_BLADE = 0.05
"""Of the light of the neighbours, at the least: with less it is not a half that is dark."""
BRIGHTER = 2.0
"""The brightest pixel of a hot frame, relative to that of its neighbours, at the least."""


@dataclass(frozen=True, slots=True, eq=False)
class Verdicts:
    """Of n rows, from row `first` on."""

    score: Floats
    """(n,) 0: as its neighbours, to 1: rejected by a gate."""
    reason: npt.NDArray[np.uint8]
    """(n,) `Reason`."""
    numbers: Floats
    """(n, 2), as the reason says."""
    gates: npt.NDArray[np.uint32]
    """(n,) bit `1 << reason` of each gate that rejects the row."""
    is_rejected: npt.NDArray[np.bool_]
    """(n,) by the threshold of the settings."""
    first: int = 0

    def __len__(self) -> int:
        return len(self.score)

    def since(self, row: int) -> Verdicts:
        """Those from a row on."""
        at = slice(row - self.first, None)
        return Verdicts(
            self.score[at], self.reason[at], self.numbers[at], self.gates[at], self.is_rejected[at], first=row
        )

    def words(self, i: int) -> str:
        """The reason of verdict `i` as a person says it; empty for none."""
        return words(int(self.reason[i]), *self.numbers[i].tolist())


def score_of(deviation: npt.NDArray[np.floating]) -> Floats:
    """0 to 1, growing with the deviation."""
    square = np.square(deviation.astype(np.float64))
    return square / (square + DEVIATION_AT_HALF**2)


def reasons_of(table: RowTable, deviations: Deviations) -> tuple[npt.NDArray[np.uint8], Floats]:
    """What is most unlike its neighbours: codes (m,) and numbers (m, 2)."""
    ratio, difference = deviations.ratio, deviations.difference
    m = len(ratio)
    values = table["values"][deviations.first : deviations.first + m]
    reasons, numbers = np.zeros(m, np.uint8), np.zeros((m, 2))
    pattern = np.abs(ratio[:, RIGHT + 1 :]).max(axis=1)
    strongest = np.maximum(np.abs(ratio[:, :N_FEATURES]).max(axis=1), pattern)
    side, left = _darkest_side(values, difference)
    darkening = np.abs(ratio[:, LOWER : RIGHT + 1]).max(axis=1)
    moved = np.hypot(difference[:, COM_Y], difference[:, COM_X])
    times = np.exp(np.minimum(difference[:, LOG_MAX] + difference[:, LOG_INTENSITY], 80.0).astype(np.float64))
    saturated = np.expm1(values[:, LOG_SATURATED].astype(np.float64)) / table.n_pixels
    is_lit = difference[:, LOG_INTENSITY] > np.log(LEFT_BY_A_BLADE)
    size = np.abs(ratio)
    candidates = (
        (Reason.CLIPPED, np.maximum(ratio[:, LOG_SATURATED], 0), saturated),
        (Reason.HOT, np.where(times > BRIGHTER, ratio[:, LOG_MAX], 0), times),
        (Reason.HALF_DARK, np.where((left < LEFT_IN_THE_DARK) & is_lit, darkening, 0), side),
        (Reason.INTENSITY, size[:, LOG_INTENSITY], np.expm1(difference[:, LOG_INTENSITY].astype(np.float64))),
        (Reason.CENTRE, size[:, COM_Y : COM_X + 1].max(axis=1), moved),
        (Reason.FINE, size[:, LOG_FINE], np.expm1(difference[:, LOG_FINE].astype(np.float64))),
        (Reason.CONTRAST, size[:, LOG_CONTRAST], np.expm1(difference[:, LOG_CONTRAST].astype(np.float64))),
        (Reason.EMPTY_PIXELS, size[:, ZERO_SHARE], difference[:, ZERO_SHARE]),
        (Reason.PATTERN, strongest, strongest),
    )
    for reason, strength, number in reversed(candidates):
        enough = np.minimum(PRECEDENCE * strongest, DEVIATION_AT_HALF)
        chosen = (strength >= enough) & (strongest >= WORTH_A_REASON)
        reasons[chosen] = reason
        numbers[chosen, 0] = number[chosen]
        numbers[chosen, 1] = left[chosen] if reason == Reason.HALF_DARK else strength[chosen]
    return reasons, numbers


def _darkest_side(values: npt.NDArray[np.float32], difference: npt.NDArray[np.float32]) -> tuple[Floats, Floats]:
    """The half of the frame (n,) that has lost most of its share of the light, and how much of it is left there."""
    sides = {Side.LOWER: (LOWER, 1), Side.UPPER: (LOWER, -1), Side.RIGHT: (RIGHT, 1), Side.LEFT: (RIGHT, -1)}
    side, least = np.zeros(len(values)), np.full(len(values), np.inf)
    for name, (column, sign) in sides.items():
        share = values[:, column].astype(np.float64)
        usual = share - difference[:, column]
        if sign < 0:
            share, usual = 1 - share, 1 - usual
        with np.errstate(invalid="ignore", divide="ignore"):
            left = np.where(usual > 0, share / usual, np.inf)
        side[left < least] = name
        least = np.minimum(left, least)
    return side, least
