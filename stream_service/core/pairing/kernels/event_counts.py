"""The least cost at which the frames of a run can be explained, up to each pair of a frame and an entry.

An explanation is a chain of pairs, in order. Between two pairs of it, what went wrong costs something: a burst of
missed triggers, or of spurious ones (the number of entries is not that of frames); a step of the frames' clock; each
frame in between that has no entry, though no trigger was missed.
"""

from __future__ import annotations

import numpy as np

from stream_service.kernels.machine_code import compiled, part

NEVER, NOWHERE = 1 << 20, -1
EVENT = 8
"""Cost of what happens once: a missed trigger, a spurious one, a frame with a wrong stamp."""
MORE = 14
"""A burst of triggers costs one more for each further one, and no more than this in all."""
STEP = 2 * EVENT + MORE
"""Of a step of the clock: it can look like two bursts, and these like it, which cost at most as much more or less as
`MARGIN` of who decides."""
MOST_BAD = 20
"""Frames with wrong stamps in a row cost no more than so many."""
FROM_START, FROM_FIRST, FROM_ANYWHERE, FROM_APART = range(4)
"""A chain begins: after a pair before the first frame and entry; with the first frame at a known shift; at any frame;
at any number of entries, or of frames, left out."""


@part()
def _cost(n_frames: int, n_entries: int, n_between: int) -> int:
    """Of two pairs so many frames and entries apart, with `n_between` stamped frames in between."""
    apart = abs(n_frames - n_entries)
    bad = n_between - max(0, n_frames - n_entries)
    return (EVENT + min(MORE, apart - 1) if apart else 0) + EVENT * min(MOST_BAD, max(0, bad))


@part()
def _begin(how: int, n_frames: int, n_entries: int, n_between: int) -> int:
    if how == FROM_START:
        return _cost(n_frames, n_entries, n_between)
    if how == FROM_ANYWHERE:
        return EVENT * min(MOST_BAD, n_between)
    if how == FROM_APART:
        return 0 if n_between == 0 or n_entries == 1 else EVENT * min(MOST_BAD, n_between)
    return NEVER


@compiled()
def least_costs(ordinals, stamps_s, times_s, shifts, how, known, tolerance_s, drift):
    """(n, k) cost up to the pair of frame n with the entry at its ordinal plus shift k; `NEVER` if there is none.

    `ordinals` (n,) int64 ascend, `stamps_s` are theirs; `times_s` (N,) ascend; `shifts` (k,) int64. `how` a chain
    begins: with the first frame, `known` is its shift's place. Intervals of the two clocks agree if they differ by no
    more than `tolerance_s`, and `drift` of them.
    """
    n, k = len(ordinals), len(shifts)
    n_entries = len(times_s)
    costs = np.full((n, k), NEVER, np.int32)
    pairs = np.full((3, k), NOWHERE, np.int64)
    for i in range(n):
        for q in range(k):
            if i > 1 and costs[i - 2, q] < NEVER:
                for older in (1, 2):
                    j = pairs[older, q]
                    dearer = EVENT * (i - 2 - j) if older == 1 else min(EVENT * (i - 2 - j), STEP - 1)
                    if j == NOWHERE or costs[i - 2, q] <= costs[j, q] + dearer:
                        pairs[older, q] = i - 2
            pairs[0, q] = i - 1 if i > 0 and costs[i - 1, q] < NEVER else NOWHERE
        for p in range(k):
            entry = ordinals[i] + shifts[p]
            if entry < 0 or entry >= n_entries:
                continue
            if how == FROM_FIRST:
                best = 0 if i == 0 and p == known else NEVER
            else:
                best = _begin(how, ordinals[i] + 1, entry + 1, i)
            for turn in range(-1, k):
                q = p if turn < 0 else turn  # the same shift first: it leaves little to the others
                more = 0 if q == p else EVENT
                for older in range(3):
                    j = pairs[older, q]
                    if j == NOWHERE or costs[j, q] + more >= best:
                        continue
                    other = ordinals[j] + shifts[q]
                    if other >= entry:
                        continue
                    of_frames, of_entries = stamps_s[i] - stamps_s[j], times_s[entry] - times_s[other]
                    found = costs[j, q] + _cost(ordinals[i] - ordinals[j], entry - other, i - j - 1)
                    if abs(of_frames - of_entries) > tolerance_s + drift * of_entries:
                        found += STEP
                    best = min(best, found)
            costs[i, p] = best
    return costs
