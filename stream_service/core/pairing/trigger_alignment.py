"""Alignment of frames with the entries of a hardware-captured array, by the intervals of their times (ADR 0045).

The two clocks have no common zero: a frame and an entry belong together as part of a chain of pairs whose intervals
agree. Of all chains those of the least cost (missed and spurious triggers, steps of the frames' clock, frames that are
stamped wrongly) count, and all that cost hardly more: a frame has an entry for certain if no such chain gives it
another one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stream_service.core.pairing.kernels.event_counts import (
    EVENT,
    FROM_ANYWHERE,
    FROM_APART,
    FROM_FIRST,
    FROM_START,
    MORE,
    NEVER,
    STEP,
    least_costs,
)

UNSURE, NONE = -2, -1
"""In the place of an entry: it cannot be told which one, or whether there is one; there is none."""
MOST_TOLERANCE_S = 0.02
"""Stamps of frames, which software makes, are as good as this at least."""
TOLERANCE_SHARE, LOW_SHARE = 0.25, 0.1
"""Of the shorter intervals between entries; these are the tenth part of all."""
DRIFT = 2e-4
"""Of an interval: clocks that are slewed by NTP."""
REACH, REACH_SO_FAR = 8, 32
"""Triggers missed, or too many, at once, that are looked for around what the numbers tell; while a run goes on, around
what it was before."""
MARGIN = MORE
"""A chain that costs no more beyond the least counts. Less than two events: a scan at a constant rate with as many
entries as frames is one in which nothing went wrong."""
MARGIN_APART = EVENT - 1
"""In its place, where the end may be uneven, as who knows the hardware says: less than one event, since at a constant
rate a first trigger that was missed looks like a last one that was."""
MARGIN_OF_BROKEN = 2 * STEP
"""In its place, where the clock of the frames was seen to stand or to step back: it may have stepped ahead, too."""
SHORT = 1.5
"""Of the shorter intervals between entries: two intervals between frames are not as short."""
FIRM = 2
"""Frames in a row with nothing wrong between them: a single one may fit by chance."""
MOST_EVENTS_SHARE = 0.5
"""Of the frames; where more is wrong, nothing is told."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def tolerance_of(times_s: Floats) -> float:
    """By how much intervals of frames and entries may differ."""
    if len(times_s) < 2:
        return MOST_TOLERANCE_S
    return min(MOST_TOLERANCE_S, TOLERANCE_SHARE * float(np.quantile(np.diff(times_s), LOW_SHARE)))


def warm_up() -> None:
    """Have the machine code ready before a frame waits for it."""
    least_costs(np.arange(2), np.arange(2.0), np.arange(2.0), np.arange(1), FROM_START, 0, MOST_TOLERANCE_S, DRIFT)


def entries_of_run(
    ordinals: Ints,
    stamps_s: Floats,
    times_s: Floats,
    n_exposed: int,
    *,
    may_end_apart: bool = False,
    is_cut_off: bool = False,
) -> Ints:
    """(n,) the entry of each frame of a run that is over, or `NONE`, or `UNSURE`.

    `ordinals` (n,) ascend, of those of `n_exposed` frames whose stamps are known; `times_s` (N,) ascend. With
    `may_end_apart` entries at the end, or frames, that are too many are none of the events; nor are they in a run that
    `is_cut_off`, or of whose last frames nobody tells, but nobody says that nothing else was amiss.
    """
    if not len(ordinals) or not len(times_s):
        return np.full(len(ordinals), UNSURE if len(times_s) else NONE, np.int64)
    excess = len(times_s) - n_exposed
    around = np.arange(-REACH, REACH + 1)
    shifts = np.unique(np.concatenate([around, around + excess]))
    accuracy = tolerance_of(times_s), DRIFT
    before = least_costs(ordinals, stamps_s, times_s, shifts, FROM_START, 0, *accuracy)
    is_apart = (may_end_apart or is_cut_off) and excess != 0
    end = FROM_APART if is_apart else FROM_START
    after = _from_the_end(ordinals, stamps_s, times_s, shifts, n_exposed, end, accuracy)
    margin = MARGIN_APART if may_end_apart and excess else MARGIN
    if _is_broken(stamps_s, accuracy[0]):
        margin = MARGIN_OF_BROKEN
    return _without_entry(_decided(ordinals, shifts, before + after, margin), len(times_s))


def entries_so_far(
    ordinals: Ints, stamps_s: Floats, times_s: Floats, first_entry: int | None, tolerance_s: float
) -> Ints:
    """The same of frames of a run that goes on, as far as what has come tells; to be looked at once more at its end.

    `first_entry` is that of the first frame, where it is known.
    """
    n_seen = max(int(ordinals[-1]) + 1, len(times_s))
    shift = 0 if first_entry is None else first_entry - int(ordinals[0])
    shifts = np.arange(shift - REACH_SO_FAR, shift + REACH_SO_FAR + 1)
    how = FROM_START if first_entry is None else FROM_FIRST
    accuracy = tolerance_s, DRIFT
    before = least_costs(ordinals, stamps_s, times_s, shifts, how, REACH_SO_FAR, *accuracy)
    after = _from_the_end(ordinals, stamps_s, times_s, shifts, n_seen, FROM_ANYWHERE, accuracy)
    return _without_entry(_decided(ordinals, shifts, before + after, 0), NEVER)


def _is_broken(stamps_s: Floats, tolerance_s: float) -> bool:
    """True if stamps repeat, or step back, and not because a single one is wrong."""
    least_s = SHORT * tolerance_s / TOLERANCE_SHARE
    for n in np.flatnonzero(np.diff(stamps_s) <= tolerance_s).tolist():
        before, after = stamps_s[max(0, n - 1)], stamps_s[min(len(stamps_s) - 1, n + 2)]
        is_single = (n == 0 or stamps_s[n + 1] - before >= least_s) or (
            n + 2 >= len(stamps_s) or after - stamps_s[n] >= least_s
        )
        if not is_single:
            return True
    return False


def _from_the_end(
    ordinals: Ints, stamps_s: Floats, times_s: Floats, shifts: Ints, n: int, how: int, accuracy: tuple[float, float]
) -> npt.NDArray[np.int32]:
    """(n, k) events from each pair to the end, where `n` frames were exposed: the same chains, read backwards."""
    excess = len(times_s) - n
    found = least_costs(
        (n - 1 - ordinals)[::-1].copy(),
        -stamps_s[::-1],
        -times_s[::-1],
        (excess - shifts)[::-1].copy(),
        how,
        0,
        *accuracy,
    )
    return found[::-1, ::-1]


def _decided(ordinals: Ints, shifts: Ints, costs: npt.NDArray[np.int32], margin: int) -> Ints:
    """The entries that are the only ones by the chains of least cost, and of `margin` more."""
    of_frames = costs.min(axis=1)
    least = int(of_frames.min())
    entries = np.full(len(ordinals), UNSURE, np.int64)
    if least > max(MARGIN, EVENT * MOST_EVENTS_SHARE * len(ordinals)):
        return entries
    is_only = ((costs <= least + margin).sum(axis=1) == 1) & (of_frames == least)
    chosen = shifts[costs.argmin(axis=1)]
    is_only &= _is_firm(is_only, chosen)
    told = ordinals[is_only] + chosen[is_only]
    if (np.diff(told) > 0).all():  # else the frames are told by chains that exclude each other
        entries[is_only] = told
    return entries


def _is_firm(is_only: npt.NDArray[np.bool_], shifts: Ints) -> npt.NDArray[np.bool_]:
    """(n,) True in a row of enough frames with the same shift."""
    is_next = is_only[1:] & is_only[:-1] & (shifts[1:] == shifts[:-1])
    row = np.concatenate([[0], np.cumsum(~is_next)])
    return np.bincount(row)[row] >= min(FIRM, len(shifts))


def _without_entry(entries: Ints, n_entries: int) -> Ints:
    """Frames between two whose entries follow each other have none, nor have those before the first, after the last."""
    places = np.flatnonzero(entries >= 0)
    if not len(places):
        return entries
    ends = np.concatenate([[-1], entries[places], [n_entries]])
    bounds = np.concatenate([[-1], places, [len(entries)]])
    for n in np.flatnonzero((np.diff(ends) == 1) & (np.diff(bounds) > 1)).tolist():
        entries[bounds[n] + 1 : bounds[n + 1]] = NONE
    return entries
