"""Value of a channel at one moment: linear between updates while it moves, the last value at rest.

Where the motion of an axis is a channel of its own, rest and motion are facts: the axis stands at its last update until
the motion began, and at its last update before the motion ended from then on. So a frame that catches the first or the
last instant of a move is never interpolated across the rest beside it. Without such a channel, updates that come close
together mean motion, and what lies between distant ones is not known if they differ. Nothing is said before it is
known: `None` means that an update that matters may still come.

A line between two updates is exact at constant speed only. How far the axis may have been from it follows from how much
the speed changes from the stretch before to the one after (`_deviation`): this is the uncertainty of the reading, and
beyond `tolerance` it is flagged `UNCERTAIN`. A motor record stamps `DMOV=0` with the end of the *previous* move: such a
start is not a time (ADR 0010).
"""

from __future__ import annotations

import math
from typing import NamedTuple

from stream_service.core.exposure import Flag
from stream_service.core.pairing.history import END_OF_TIME, History, Knowledge
from stream_service.core.pairing.readback import Readback


class Reading(NamedTuple):
    """Value of a channel for one exposure, in the channel's own unit, and what it is worth."""

    value: float
    flag: Flag = Flag.NONE
    """Why it is not to be trusted."""
    uncertainty: float = math.nan
    """How far the channel may have been from it, by its updates; NaN = not known. 0 at rest. What is wrong with the
    readback itself, or with the clocks, is not in it."""
    bracket_ns: float = math.nan
    """Of a channel that moved: from the update before to the one after, or from the start of the motion to the first
    update; NaN at rest, and where it is not known."""


REST_JITTER = 5
"""Times the tolerance: what a good encoder shows of an axis at rest is a few nanometres."""
AT_REST = 0.0
"""The slope of a stretch in which the axis stands."""
WITHOUT_KNOWLEDGE = {
    Knowledge.ENDED: Flag.UNBRACKETED,
    Knowledge.LOST: Flag.DISCONNECTED,
    Knowledge.UNTIMED: Flag.NO_TIME,
}


class Leg(NamedTuple):
    """The stretch of a move between two updates."""

    since_ns: int
    """Until when the axis stood at `before`."""
    before: Readback
    later: Readback
    has_timeless_start: bool = False
    """True if the axis left `before` at a moment that is not known."""

    def is_longer_than(self, tolerance: float) -> bool:
        """True if it matters at all where in the leg the axis was."""
        return abs(self.later.value - self.before.value) > tolerance

    @property
    def slope(self) -> float:
        """Channel's unit per nanosecond; infinite for a jump."""
        step = self.later.value - self.before.value
        length_ns = self.later.timestamp_ns - self.since_ns
        return step / length_ns if length_ns > 0 else math.copysign(math.inf, step) if step else AT_REST


def reading_with_motion(time_ns: int, channel: History, motion: History, tolerance: float = math.inf) -> Reading | None:
    """Value of a channel at `time_ns`, with its motion known (non-zero: it moves); None if that is not known yet."""
    before, later = channel.at(time_ns)
    state, _ = motion.at(time_ns)
    if before is None:
        return _before_first(later, channel)
    knowledge = max(channel.knowledge(time_ns, time_ns), motion.knowledge(time_ns, time_ns))
    if knowledge is not Knowledge.KNOWN:
        return _unless_coming(knowledge, before)
    if state is None:
        return last_value(before, Flag.UNBRACKETED)
    if not state.is_valid:
        return last_value(before, Flag.INVALID)
    if not state.value:
        return at_rest(before, _doubt_of_rest(state, before, later, channel, motion, tolerance))
    end = next((update for update in motion.later_than(time_ns) if not update.value), None)
    if later is not None and (end is None or later.timestamp_ns <= end.timestamp_ns):
        leg, known_from_ns = _leg_of_move(motion, before, later, time_ns)
        slope_before, slope_after, until_ns = AT_REST, AT_REST, later.timestamp_ns - 1
        if leg.is_longer_than(tolerance) and not leg.has_timeless_start:
            slope_before = _slope_before(leg, channel, motion)
            slope_after, until_ns = _slope_after(leg, channel, end)
        knowledge = max(channel.knowledge(time_ns, until_ns), motion.knowledge(known_from_ns, until_ns))
        reading = _on_line(time_ns, leg, slope_before, slope_after, tolerance, channel)
    elif end is not None:  # no update between this moment and the end of the motion: it was there already
        until_ns = end.timestamp_ns
        knowledge = max(channel.knowledge(time_ns, until_ns), motion.knowledge(time_ns, until_ns - 1))
        reading = at_rest(before, _doubt_of_stamp(before, channel, tolerance))
    else:
        knowledge = max(channel.knowledge(time_ns, END_OF_TIME), motion.knowledge(time_ns, END_OF_TIME))
        reading = last_value(before)
    return reading if knowledge is Knowledge.KNOWN else _unless_coming(knowledge, before)


def reading_by_gap(
    time_ns: int,
    channel: History,
    gap_ns: int,
    tolerance: float = math.inf,
    *,
    rests_in_silence: bool = True,
    is_sampled: bool = False,
) -> Reading | None:
    """Value of a channel at `time_ns` if updates up to `gap_ns` apart mean motion; None if that is not known yet.

    With a `gap_ns` of 0 the last value holds until the next update. `rests_in_silence` says that a moving axis never
    posts more seldom than that, so that silence is rest; where that is not known, only updates that agree tell of rest.
    Of a channel that `is_sampled` updates come by the clock, and tell nothing of what was between two that differ.
    """
    before, later = channel.at(time_ns)
    if before is None:
        return _before_first(later, channel)
    is_strict = gap_ns > 0 and math.isfinite(tolerance)
    horizon_ns = time_ns + gap_ns if is_strict else max(time_ns, before.timestamp_ns + gap_ns)
    until_ns = horizon_ns if later is None else min(horizon_ns, later.timestamp_ns - 1)
    knowledge = channel.knowledge(time_ns, max(time_ns, until_ns))
    if later is not None and later.timestamp_ns - before.timestamp_ns <= gap_ns:
        leg, slopes = Leg(before.timestamp_ns, before, later), (AT_REST, AT_REST)
        if leg.is_longer_than(tolerance):
            *slopes, until_ns = _slopes_within(gap_ns, leg, channel)
            knowledge = max(knowledge, channel.knowledge(time_ns, until_ns))
        reading = _on_line(time_ns, leg, slopes[0], slopes[1], tolerance, channel)
    else:
        is_near = later is not None and (is_sampled or later.timestamp_ns <= horizon_ns)
        step = abs(later.value - before.value) if is_strict and is_near and later is not None else 0.0
        reading = at_rest(before, _doubt_of_stamp(before, channel, tolerance), step)
        if is_strict and not (step <= tolerance if is_near else rests_in_silence):
            reading = last_value(before, Flag.UNCERTAIN)
    return reading if knowledge is Knowledge.KNOWN else _unless_coming(knowledge, before)


def best_guess(time_ns: int, channel: History) -> Reading:
    """Best guess when the wait is over: the last value before, flagged; NaN where there is none."""
    before, later = channel.at(time_ns)
    readback = before or later
    return Reading(math.nan, Flag.UNBRACKETED) if readback is None else last_value(readback, Flag.UNBRACKETED)


def last_value(readback: Readback, flag: Flag = Flag.NONE) -> Reading:
    """The value of an update as it stands; what it is worth is not known."""
    return Reading(readback.value, flag if readback.is_valid else flag | Flag.INVALID)


def at_rest(readback: Readback, doubt: Flag, uncertainty: float = 0.0) -> Reading:
    """The value of an update that a channel stands at, unless there is a doubt."""
    if doubt or not readback.is_valid:
        return last_value(readback, doubt)
    return Reading(readback.value, Flag.NONE, uncertainty)


def _before_first(later: Readback | None, channel: History) -> Reading | None:
    if later is not None:
        return last_value(later, Flag.UNBRACKETED)
    return None if channel.is_connected else Reading(math.nan, Flag.DISCONNECTED)


def _unless_coming(knowledge: Knowledge, before: Readback) -> Reading | None:
    if knowledge is Knowledge.COMING:
        return None
    return last_value(before, WITHOUT_KNOWLEDGE[knowledge])


def _doubt_of_rest(
    rest: Readback, before: Readback, later: Readback | None, channel: History, motion: History, tolerance: float
) -> Flag:
    """An axis that goes somewhere while its motion channel says that it rests: from then on it is not trusted.

    A motion that ends too early, or another axis's. What an encoder shows at rest is less than `REST_JITTER`.
    """
    if math.isinf(tolerance):
        return Flag.NONE
    steps = ((channel.before(before), before), (before, later)) if before.timestamp_ns >= rest.timestamp_ns else ()
    for one, other in steps:
        if one is None or other is None or one.timestamp_ns < rest.timestamp_ns:
            continue
        if motion.knowledge(one.timestamp_ns, other.timestamp_ns) is not Knowledge.KNOWN:
            continue  # the start of a motion may still come
        is_resting = not any(update.value for update in motion.between(one.timestamp_ns, other.timestamp_ns))
        if is_resting and abs(other.value - one.value) > REST_JITTER * tolerance:
            channel.moves_at_rest = True
    return Flag.UNCERTAIN if channel.moves_at_rest else _doubt_of_stamp(before, channel, tolerance)


def _doubt_of_stamp(update: Readback, channel: History, tolerance: float) -> Flag:
    """Two different values with one stamp: since when the second was true is not known."""
    if math.isinf(tolerance):
        return Flag.NONE
    for other in channel.stamped_alike(update):
        if abs(other.value - update.value) > tolerance:
            return Flag.NO_TIME
    return Flag.NONE


def _on_line(
    time_ns: int, leg: Leg, slope_before: float, slope_after: float, tolerance: float, channel: History
) -> Reading:
    """Linear along a leg, with what is in doubt of it."""
    before, later = leg.before, leg.later
    since_ns, length_ns = leg.since_ns, later.timestamp_ns - leg.since_ns
    value = before.value + (later.value - before.value) * (time_ns - since_ns) / length_ns
    flag, uncertainty = Flag.NONE, abs(later.value - before.value)
    if leg.is_longer_than(tolerance) and not leg.has_timeless_start:
        uncertainty = _deviation(leg, slope_before, slope_after, time_ns - since_ns, length_ns)
    if tolerance < uncertainty:
        flag = Flag.UNCERTAIN
    if doubt := _doubt_of_stamp(before, channel, tolerance):
        flag, uncertainty = flag | doubt, math.nan
    if not (before.is_valid and later.is_valid):
        flag, uncertainty = flag | Flag.INVALID, math.nan
    return Reading(value, flag, uncertainty, length_ns)


def _deviation(leg: Leg, slope_before: float, slope_after: float, passed_ns: int, length_ns: int) -> float:
    """Largest distance of the axis from the line.

    The speed within the leg goes from that before to that after. A speed that changes by c in one instant between two
    points that are known leaves their chord by c·t·(T-t)/T at the most, if t is when it changes.
    """
    change = abs(leg.slope - slope_before) + abs(slope_after - leg.slope)
    return change * passed_ns * (length_ns - passed_ns) / length_ns


def _leg_of_move(motion: History, before: Readback, later: Readback, time_ns: int) -> tuple[Leg, int]:
    """The leg in which the axis moves at `time_ns`, and the time from which on the motion must be known for it.

    It left the value it was last seen at with that update, or later, when the motion began.
    """
    updated_ns = before.timestamp_ns
    since_ns = updated_ns
    for update in reversed(motion.between(updated_ns, time_ns)):
        if not update.value:
            return Leg(since_ns, before, later, since_ns == update.timestamp_ns), update.timestamp_ns
        since_ns = update.timestamp_ns
    state, _ = motion.at(updated_ns)
    if state is None or not state.value:
        return Leg(since_ns, before, later), updated_ns
    rest = motion.before(state)
    is_timeless = rest is not None and not rest.value and rest.timestamp_ns == state.timestamp_ns == updated_ns
    return Leg(updated_ns, before, later, is_timeless), updated_ns


def _slope_before(leg: Leg, channel: History, motion: History) -> float:
    updated_ns = leg.before.timestamp_ns
    earlier, (state, _) = channel.before(leg.before), motion.at(updated_ns - 1)
    if leg.since_ns > updated_ns or earlier is None or state is None or not state.value:
        return AT_REST
    if channel.knowledge(earlier.timestamp_ns, updated_ns - 1) is not Knowledge.KNOWN:
        return AT_REST
    return _leg_of_move(motion, earlier, leg.before, updated_ns - 1)[0].slope


def _slope_after(leg: Leg, channel: History, end: Readback | None) -> tuple[float, int]:
    """The slope, and until when everything must be known for it to be true."""
    following = channel.after(leg.later)
    if end is not None and (following is None or following.timestamp_ns > end.timestamp_ns):
        return AT_REST, max(end.timestamp_ns, leg.later.timestamp_ns - 1)
    if following is None:
        return AT_REST, END_OF_TIME
    return Leg(leg.later.timestamp_ns, leg.later, following).slope, following.timestamp_ns - 1


def _slopes_within(gap_ns: int, leg: Leg, channel: History) -> tuple[float, float, int]:
    """The slopes before and after, and until when everything must be known for them to be true.

    Where the history begins or a recording ends, one neighbour must do.
    """
    earlier, following = channel.before(leg.before), channel.after(leg.later)
    until_ns = leg.later.timestamp_ns + gap_ns
    slope_before = slope_after = AT_REST
    if earlier is not None and leg.before.timestamp_ns - earlier.timestamp_ns <= gap_ns:
        slope_before = Leg(earlier.timestamp_ns, earlier, leg.before).slope
    if following is not None and following.timestamp_ns <= until_ns:
        slope_after = Leg(leg.later.timestamp_ns, leg.later, following).slope
        until_ns = following.timestamp_ns - 1
    is_first, is_last = earlier is None, following is None and channel.ends_ns < until_ns
    if is_first and not is_last:
        slope_before = leg.slope
    elif is_last and not is_first:
        slope_after = leg.slope
    return slope_before, slope_after, until_ns
