"""Dumps of the beam that last longer than neighbours can tell: several lines of a raster, or thousands of rows.

Within one every row has neighbours like itself. But it begins at one moment: nearly all pairs of neighbours of which
one is older than that and one is newer differ, all over the line, or the ring, that is scanned, and those a line before
and after it do not. An edge of the sample that lies along the lines comes over several of them, since the beam on them
overlaps. So a dump is told by its beginning; it ends with the opposite step, or when rows are as bright again as half
of that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

N_NEAREST = 8
"""Neighbours of a row that it makes pairs with."""
LEAST_STEP = -math.log(0.7)
"""Of the logarithm of the intensity of a pair: smaller ones are the sample's."""
LEAST_SHARE = 0.9
"""Of the pairs across a moment, that differ so: the others are of the sample's edges, or of faults of single rows."""
FEWEST_PAIRS = 100
"""Across a moment, of a line of 16 rows: with fewer an edge of the sample may look the same."""
SUDDEN = 0.25
"""Of its size a line before and after it, at the most."""
LARGEST_STEP = 3.0
"""Counts in a mean; light that is gone is 14 below."""
ROWS_BEFORE = 256
"""Of which the usual intensity before a dump is the median."""
ROWS_BACK = 15
"""Of which the median is to be as bright again as before: not the odd one that is."""

Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.floating[Any]]


class _Step(NamedTuple):
    """The light changes between two rows."""

    place: int
    """The first of the rows after it."""
    size: float
    """Mean change of the logarithm of the intensity."""


@dataclass(frozen=True, slots=True)
class Dump:
    """Rows without the usual light, from `first` to before `last`, None as long as it goes on."""

    first: int
    last: int | None
    step: float
    """Logarithm of the share of light that is left."""
    back: float
    """Logarithm of an intensity that is none of a dump's."""


@dataclass(frozen=True, slots=True)
class Dumps:
    """Those of a scan so far."""

    dumps: tuple[Dump, ...] = ()

    def with_rows(
        self, log_intensity: Floats, found: npt.NDArray[np.int32], counts: Flags, first: int, begin: int
    ) -> Dumps:
        """Those of a window, too, of which the first is row `first`, and those before row `begin` are known.

        `found` (n, k) are the neighbours of its rows (n,), `counts` (n,) those that are no other fault.
        """
        dumps, at, n = list(self.dumps), begin - first, len(log_intensity)
        steps = _steps_of(log_intensity, found, counts)
        if dumps and dumps[-1].last is None:
            end = _end_of(dumps[-1].back, at, steps, log_intensity)
            dumps[-1] = replace(dumps[-1], last=None if end is None else first + end)
            at = n if end is None else end
        elif begin == 0 and steps and steps[0].size > 0 and steps[0].place <= n // 2:  # it began without light
            at = steps[0].place
            after = float(np.median(log_intensity[at : at + ROWS_BEFORE]))
            dumps.append(Dump(0, at, -steps[0].size, after - steps[0].size / 2))
        for step in steps:
            if step.place < at or step.size > 0:
                continue
            before = float(np.median(log_intensity[max(0, step.place - ROWS_BEFORE) : step.place]))
            back = before + step.size / 2
            end = _end_of(back, step.place, steps, log_intensity)
            dumps.append(Dump(first + step.place, None if end is None else first + end, step.size, back))
            at = n if end is None else end
        return Dumps(tuple(dumps))

    def until(self, row: int) -> Dumps:
        """As they are known at a row."""
        return Dumps(
            tuple(
                dump if dump.last is not None and dump.last <= row else replace(dump, last=None)
                for dump in self.dumps
                if dump.first < row
            )
        )

    def sizes(self, first: int, n: int) -> npt.NDArray[np.float32]:
        """(n,) the step down into the dump in which each row is; the first one is row `first`. 0 in none."""
        sizes = np.zeros(n, np.float32)
        for dump in self.dumps:
            end = n if dump.last is None else max(dump.last - first, 0)
            sizes[max(dump.first - first, 0) : end] = dump.step
        return sizes


def _steps_of(log_intensity: Floats, found: npt.NDArray[np.int32], counts: Flags) -> list[_Step]:
    n = len(log_intensity)
    one, other = np.repeat(np.arange(n), N_NEAREST), found[:, :N_NEAREST].ravel()
    is_pair = (other >= 0) & counts[one] & counts[other]
    older, newer = np.minimum(one, other)[is_pair], np.maximum(one, other)[is_pair]
    change = np.clip(log_intensity[newer] - log_intensity[older], -LARGEST_STEP, LARGEST_STEP)

    def across(weights: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """(n,) sums over the pairs of a row before and one at or after each."""
        begins, ends = (np.bincount(rows + 1, weights, n + 1)[:n] for rows in (older, newer))
        return np.cumsum(begins - ends).astype(np.float64)

    n_pairs = across(np.ones(len(change)))
    n_steps = np.maximum(across(change < -LEAST_STEP), across(change > LEAST_STEP))
    places = np.flatnonzero((n_pairs >= FEWEST_PAIRS) & (n_steps >= LEAST_SHARE * n_pairs))
    if not len(places):
        return []
    sizes, lags = across(change)[places] / n_pairs[places], across(newer - older)[places] / n_pairs[places]
    begins = np.flatnonzero((np.diff(places) > 1) | (np.diff(np.sign(sizes)) != 0)) + 1
    best = (of_step[np.abs(sizes[of_step]).argmax()] for of_step in np.split(np.arange(len(places)), begins))
    steps = [(_Step(int(places[at]), float(sizes[at])), int(lags[at])) for at in best]

    def is_sudden(step: _Step, line: int) -> bool:
        place = step.place
        before = (older < place - line) & (newer >= place - line) & (newer < place)
        after = (older >= place) & (older < place + line) & (newer >= place + line)
        return all(
            np.count_nonzero(pairs) >= FEWEST_PAIRS / 2 and abs(change[pairs].mean()) <= SUDDEN * abs(step.size)
            for pairs in (before, after)
        )

    return [step for step, line in steps if is_sudden(step, line)]


def _end_of(back: float, place: int, steps: list[_Step], log_intensity: Floats) -> int | None:
    """The row, counted like `place`, with which a dump is over that goes on there."""
    ends = [step.place for step in steps if step.place > place and step.size > 0][:1]
    if len(log_intensity) - place >= ROWS_BACK:
        medians = np.median(np.lib.stride_tricks.sliding_window_view(log_intensity[place:], ROWS_BACK), axis=1)
        ends += (place + ROWS_BACK // 2 + np.flatnonzero(medians >= back)[:1]).tolist()
    return min(ends, default=None)
