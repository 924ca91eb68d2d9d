"""Matching of a raw file with a run: whether it holds its frames, and which of its rows are wanted. Pure.

The ids of every scan begin anew, so an id proves nothing: yesterday's file has it, too. A file is that of the run if
frames that came live are in it with the same id *and* the same stamp. Nanosecond stamps of two scans do not meet by
chance, so one agreement is enough, if little speaks against it. Frames that came and were let go (their group never
filled) tell as much as those that are held.

A frame that came speaks against the file if its id is in it with other stamps only, although the file was written when
it was taken. One that was taken before the file's first frame, or after its last, does not: the detector may have
reset its counter before this file was begun, or the file may hold one part of the scan. Of the frames that were taken
meanwhile, one in ten may contradict, and one always: a stamp may be wrong on one of the two ways, and nothing else
explains the others, which agree to the nanosecond.

A file may hold other scans before and after that of the run. Between the first and the last frame that came, stamps
tell them apart; what lies outside is of the run as long as no id comes a second time: the counter has begun anew there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

ODD_SHARE = 0.1
"""Of the agreeing frames, so many may contradict; one always may."""

Column = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Identities:
    """Ids and stamps of frames, (n,) each."""

    ids: Column
    ns: Column

    def __len__(self) -> int:
        return len(self.ids)

    def at(self, rows: Any) -> Identities:
        """Those of some of the frames, by anything that picks from an array."""
        return Identities(self.ids[rows], self.ns[rows])

    def with_those(self, others: Identities) -> Identities:
        """These and others."""
        return Identities(np.concatenate([self.ids, others.ids]), np.concatenate([self.ns, others.ns]))


@dataclass(frozen=True, slots=True)
class Agreement:
    """Comparison of the frames that came with those of a file."""

    n_compared: int
    """Frames that came whose id is in the file."""
    n_agree: int
    n_contradict: int

    @property
    def is_same_scan(self) -> bool:
        return self.n_agree > 0 and self.n_contradict <= max(1, int(ODD_SHARE * self.n_agree))


def compared(came: Identities, file: Identities, tolerance_ns: int) -> Agreement:
    """Compare; `file` are the usable rows of a file."""
    if not len(file):
        return Agreement(0, 0, 0)
    agrees = paired(came, file, tolerance_ns)
    is_known = np.isin(came.ids, file.ids)
    is_meanwhile = (came.ns >= file.ns.min()) & (came.ns <= file.ns.max())
    return Agreement(
        int(np.count_nonzero(is_known)),
        int(np.count_nonzero(agrees)),
        int(np.count_nonzero(is_known & ~agrees & is_meanwhile)),
    )


def wanted_rows(wanted: Column, held: Identities, file: Identities, tolerance_ns: int) -> npt.NDArray[np.intp]:
    """Rows of the file with a wanted id that are not held, each frame once, in the order of the file."""
    rows = np.flatnonzero(np.isin(file.ids, wanted))
    rows = rows[~paired(file.at(rows), held, tolerance_ns)]
    return np.sort(rows[_first_of_each(file.at(rows), tolerance_ns)])


def is_without_reset(
    rows: npt.NDArray[np.intp], file: Identities, came: Identities, tolerance_ns: int
) -> npt.NDArray[np.bool_]:
    """For some rows of the file whether no other scan begins between them and the nearest frame that came."""
    rows_that_came = np.flatnonzero(paired(file, came, tolerance_ns))
    if not len(rows_that_came):
        return np.zeros(len(rows), np.bool_)
    came_ns, rows_ns = file.ns[rows_that_came], file.ns[rows]
    if rows_ns.min(initial=came_ns.min()) >= came_ns.min() and rows_ns.max(initial=came_ns.max()) <= came_ns.max():
        return np.ones(len(rows), np.bool_)
    counts = _counts_of(file, tolerance_ns)
    of_run = counts[rows_that_came]
    return (counts[rows] >= of_run.min()) & (counts[rows] <= of_run.max())


def is_past(file: Identities, came: Identities) -> bool:
    """True if a file has been written to for longer than frames came: those of the run would be in it."""
    return len(file) > 0 and len(came) > 0 and bool(file.ns.max() > came.ns.max())


def is_between(frames: Identities, came: Identities) -> npt.NDArray[np.bool_]:
    """For each of the frames, whether it was taken between the first and the last of those that came."""
    if not len(came):
        return np.zeros(len(frames), np.bool_)
    return (frames.ns > came.ns.min()) & (frames.ns < came.ns.max())


def paired(frames: Identities, others: Identities, tolerance_ns: int) -> npt.NDArray[np.bool_]:
    """For each of the frames, whether it is among the others: the same id, and stamps that differ by no more."""
    runs = _runs(frames.with_those(others), tolerance_ns)
    has_other = np.zeros(runs.max(initial=-1) + 1, bool)
    has_other[runs[len(frames) :]] = True
    return has_other[runs[: len(frames)]]


def _counts_of(file: Identities, tolerance_ns: int) -> npt.NDArray[np.intp]:
    """How often the counter had begun anew before each row, by time: an id came that this count had already."""
    runs = _runs(file, tolerance_ns)
    by_time = np.lexsort((file.ids, file.ns))
    first = by_time[np.sort(np.unique(runs[by_time], return_index=True)[1])]
    """Each frame once, by time."""
    ids = file.ids[first]
    by_id = np.argsort(ids, kind="stable")
    before = np.full(len(ids), -1)
    """The place of the frame before with the same id."""
    is_again = np.flatnonzero(np.diff(ids[by_id]) == 0) + 1
    before[by_id[is_again]] = by_id[is_again - 1]
    begins, count_began = np.zeros(len(ids), np.intp), 0
    again = np.flatnonzero(before >= 0)
    for place, place_before in zip(again.tolist(), before[again].tolist(), strict=True):
        if place_before >= count_began:
            begins[place], count_began = 1, place
    counts = np.empty(runs.max(initial=-1) + 1, np.intp)
    counts[runs[first]] = np.cumsum(begins)
    return counts[runs]


def _first_of_each(frames: Identities, tolerance_ns: int) -> npt.NDArray[np.intp]:
    return np.unique(_runs(frames, tolerance_ns), return_index=True)[1]


def _runs(frames: Identities, tolerance_ns: int) -> npt.NDArray[np.intp]:
    """Numbers of the frames that are the same for those of one id whose stamps differ by no more."""
    order = np.lexsort((frames.ns, frames.ids))
    ids, ns = frames.ids[order], frames.ns[order]
    is_other = (np.diff(ids) != 0) | (np.diff(ns) > tolerance_ns)
    runs = np.empty(len(order), np.intp)
    runs[order] = np.concatenate([[0], np.cumsum(is_other)])[: len(order)]
    return runs
