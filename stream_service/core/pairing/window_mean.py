"""Mean of a channel over an exposure, instead of its value in the middle: of its path as a whole, piece by piece.

Between two updates of the channel, or of what tells its motion, the path is a line, of which the middle is the mean. So
the mean over an exposure is exact for the path that `interpolation` draws, at the cost of one reading for each piece.
At constant speed it is the value at mid-exposure; where the axis starts, stops or turns within the exposure it is not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from stream_service.core.exposure import Flag
from stream_service.core.frame import Window
from stream_service.core.pairing.history import History, Knowledge
from stream_service.core.pairing.interpolation import WITHOUT_KNOWLEDGE, Reading, best_guess


def mean_over(
    window: Window, histories: Sequence[History], reading_at: Callable[[int], Reading | None], tolerance: float
) -> Reading | None:
    """Mean of a channel over `window`; None if it is not known yet.

    `histories` are that of the channel and, if there is one, of its motion; `reading_at` gives the value at one moment.
    Its uncertainty is the mean of those of the pieces, each taken in its middle, where it is no less than its own mean:
    the largest distance from a line is a parabola. Beyond `tolerance` it is flagged `UNCERTAIN`.
    """
    knowledge = max(history.knowledge(window.start_ns, window.end_ns) for history in histories)
    if knowledge is Knowledge.COMING:
        return None
    if knowledge is not Knowledge.KNOWN:
        guess = best_guess(window.mid_ns, histories[0])
        return Reading(guess.value, WITHOUT_KNOWLEDGE[knowledge] | guess.flag & Flag.INVALID)
    length_ns = window.end_ns - window.start_ns
    if length_ns <= 0:
        return reading_at(window.mid_ns)
    value, uncertainty, flag, bracket_ns = 0.0, 0.0, Flag.NONE, math.nan
    from_ns = window.start_ns
    for to_ns in _ends_of_pieces(window, histories):
        piece = reading_at((from_ns + to_ns) // 2)
        if piece is None:
            return None
        share = (to_ns - from_ns) / length_ns
        value += share * piece.value
        uncertainty += share * piece.uncertainty
        flag |= piece.flag
        if math.isnan(bracket_ns) or piece.bracket_ns > bracket_ns:
            bracket_ns = piece.bracket_ns
        from_ns = to_ns
    if uncertainty <= tolerance:
        flag &= ~Flag.UNCERTAIN
    return Reading(value, flag, uncertainty, bracket_ns)


def _ends_of_pieces(window: Window, histories: Sequence[History]) -> list[int]:
    """Moments within the window from which on another line holds, and its end."""
    inside = {
        update.timestamp_ns for history in histories for update in history.between(window.start_ns, window.end_ns - 1)
    }
    return [*sorted(inside), window.end_ns]


def worst(one: float, other: float) -> float:
    """The larger of two uncertainties; NaN, which is not known, is larger than any."""
    return one if one > other or one != one else other
