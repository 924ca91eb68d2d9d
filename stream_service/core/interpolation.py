"""What a channel was at one moment: held while at rest, linear between updates while it moves.

Where the motion of an axis is a channel of its own, rest and motion are facts: the axis stands at its last update until
the motion began, and at its last update before the motion ended from then on. So a frame that catches the first or the
last instant of a move is never interpolated across the rest beside it. Without such a channel, updates that come close
together mean motion. Nothing is said before it is known: `None` means that an update that matters may still come.
"""

from __future__ import annotations

import math

from stream_service.core.exposure import Flag
from stream_service.core.readback import History, Knowledge, Readback

END_OF_TIME = 2**63

Reading = tuple[float, Flag]
"""A value in the channel's own unit, and why it is not to be trusted."""


def reading_with_motion(time_ns: int, channel: History, motion: History) -> Reading | None:
    """What a channel was at `time_ns`, with its motion known (non-zero: it moves); None if that is not known yet."""
    before, later = channel.at(time_ns)
    state, _ = motion.at(time_ns)
    if before is None:
        return _before_first(later, channel)
    knowledge = max(channel.knowledge(time_ns, time_ns), motion.knowledge(time_ns, time_ns))
    if knowledge is not Knowledge.KNOWN:
        return _unless_coming(knowledge, before)
    if state is None:
        return held(before, Flag.UNBRACKETED)
    if not state.is_valid:
        return held(before, Flag.INVALID)
    if not state.value:
        return held(before)
    end = next((update for update in motion.later_than(time_ns) if not update.value), None)
    if later is not None and (end is None or later.timestamp_ns <= end.timestamp_ns):
        until_ns = later.timestamp_ns - 1
        since_ns, looked_from_ns = _moving_since(motion, before.timestamp_ns, time_ns)
        knowledge = max(channel.knowledge(time_ns, until_ns), motion.knowledge(looked_from_ns, until_ns))
        reading = _on_line(time_ns, since_ns, before, later)
    elif end is not None:  # no update between this moment and the end of the motion: it was there already
        until_ns = end.timestamp_ns
        knowledge = max(channel.knowledge(time_ns, until_ns), motion.knowledge(time_ns, until_ns - 1))
        reading = held(before)
    else:
        knowledge = max(channel.knowledge(time_ns, END_OF_TIME), motion.knowledge(time_ns, END_OF_TIME))
        reading = held(before)
    return reading if knowledge is Knowledge.KNOWN else _unless_coming(knowledge, before)


def reading_by_gap(time_ns: int, channel: History, gap_ns: int) -> Reading | None:
    """What a channel was at `time_ns` if updates up to `gap_ns` apart mean motion; None if that is not known yet.

    With a `gap_ns` of 0 the channel is held from update to update.
    """
    before, later = channel.at(time_ns)
    if before is None:
        return _before_first(later, channel)
    until_ns = before.timestamp_ns + gap_ns
    if later is not None:
        until_ns = min(until_ns, later.timestamp_ns - 1)
    knowledge = channel.knowledge(time_ns, max(time_ns, until_ns))
    if knowledge is not Knowledge.KNOWN:
        return _unless_coming(knowledge, before)
    if later is not None and later.timestamp_ns - before.timestamp_ns <= gap_ns:
        return _on_line(time_ns, before.timestamp_ns, before, later)
    return held(before)


def best_guess(time_ns: int, channel: History) -> Reading:
    """What can be said when nobody waits any longer: the last value before, flagged; NaN where there is none."""
    before, later = channel.at(time_ns)
    readback = before or later
    return (math.nan, Flag.UNBRACKETED) if readback is None else held(readback, Flag.UNBRACKETED)


def held(readback: Readback, flag: Flag = Flag.NONE) -> Reading:
    """The value of an update as it stands."""
    return readback.value, flag if readback.is_valid else flag | Flag.INVALID


def _before_first(later: Readback | None, channel: History) -> Reading | None:
    if later is not None:
        return held(later, Flag.UNBRACKETED)
    return None if channel.is_connected else (math.nan, Flag.DISCONNECTED)


def _unless_coming(knowledge: Knowledge, before: Readback) -> Reading | None:
    return None if knowledge is Knowledge.COMING else held(before, Flag.DISCONNECTED)


def _on_line(time_ns: int, since_ns: int, before: Readback, later: Readback) -> Reading:
    """Linear from `before`, whose value was true until `since_ns`, to `later`."""
    fraction = (time_ns - since_ns) / (later.timestamp_ns - since_ns)
    value = before.value + (later.value - before.value) * fraction
    return value, Flag.NONE if before.is_valid and later.is_valid else Flag.INVALID


def _moving_since(motion: History, updated_ns: int, time_ns: int) -> tuple[int, int]:
    """When the axis that moves at `time_ns` left the value it was last seen at: at that update, or later from rest.

    With it the time from which on the motion must be known for that to be true.
    """
    since_ns = updated_ns
    for update in reversed(motion.between(updated_ns, time_ns)):
        if not update.value:
            return since_ns, update.timestamp_ns
        since_ns = update.timestamp_ns
    state, _ = motion.at(updated_ns)
    return (updated_ns if state is not None and state.value else since_ns), updated_ns
