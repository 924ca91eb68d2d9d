"""Which row of a table belongs to which frame: by what both sides say of themselves, and never by a guess.

Three ways, of which `auto` takes the first that both sides can prove:

- `unique_id`: both sides know the detector's uniqueId.
- `number`: a row's `frame_index` is the number of its frame's file. Proved if the two sets of numbers are the same, or
  begin with the same number: what is missing on either side then shifts nothing.
- `order`: the n-th row is the n-th frame. Proved only if neither side has a hole, both are equally long, and the rows
  are counted from 0 or 1, from their own beginning; so rows from 0 meet files from 1.

Everything else is refused, and the operator must say which it is. Losses at the very ends can look like another way of
counting, and the other way round: a table counted from 1 beside files counted from 0 of which the first one is lost
begins alike and is believed; a table that lacks its last row beside files that lack their first one is equally long.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from stream_service.errors import SourceError

Ints = npt.NDArray[np.int64]
NONE = -1
"""In place of an index: there is none."""
BEGINNINGS = (0, 1)
"""Where one counts from who does not take the number of a file."""
MOST_KEY = 2**53
"""No counter comes this far, and beyond it a float does not hold every whole number."""


class Match(StrEnum):
    """How rows and frames find each other."""

    AUTO = "auto"
    UNIQUE_ID = "unique_id"
    NUMBER = "number"
    ORDER = "order"


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """What a table says of the identity of its rows."""

    n: int
    frame_index: Ints | None = None
    """(n,) None if there is no such column."""
    unique_id: Ints | None = None
    """(n,) likewise."""


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """What files say of the identity of their frames."""

    numbers: Ints | None
    """(n,) strictly increasing: of the file, or of the image in a stack; None where numbering is not known."""
    n: int
    unique_id: Ints | None = None
    """(n,) None unless all frames have one."""


@dataclass(frozen=True, slots=True, eq=False)
class Matching:
    """Which row belongs to which frame."""

    by: Match
    row_of_frame: Ints
    """(frames,) -1 for a frame without a row."""
    n_rows: int

    @property
    def frame_of_row(self) -> Ints:
        """(rows,) -1 for a row without a frame."""
        inverse = np.full(self.n_rows, NONE, np.int64)
        frames = np.flatnonzero(self.row_of_frame != NONE)
        inverse[self.row_of_frame[frames]] = frames
        return inverse

    @property
    def frames_without_row(self) -> Ints:
        """Their indices, increasing."""
        return np.flatnonzero(self.row_of_frame == NONE)

    @property
    def rows_without_frame(self) -> Ints:
        """Their indices, increasing."""
        return np.flatnonzero(self.frame_of_row == NONE)


def match_rows(rows: Rows, frames: Frames, how: Match = Match.AUTO) -> Matching:
    """Pair every row with its frame, one to one. Raises `SourceError` where that would be a guess."""
    if rows.n == 0 or frames.n == 0:
        raise SourceError(f"there are {rows.n} rows and {frames.n} frames: nothing can be matched")
    if how is Match.AUTO:
        how = _proved_way(rows, frames)
    if how is Match.ORDER:
        return _by_order(rows, frames)
    if how is Match.UNIQUE_ID:
        return _by_key(how, rows.unique_id, frames.unique_id)
    return _by_key(how, rows.frame_index, frames.numbers)


def _proved_way(rows: Rows, frames: Frames) -> Match:
    if rows.unique_id is not None and frames.unique_id is not None:
        return Match.UNIQUE_ID
    index, numbers = rows.frame_index, frames.numbers
    if numbers is None:
        raise _refusal("the files are stacks of which one is missing, so their frames cannot be numbered")
    if index is None:
        if rows.n == frames.n and _has_no_hole(numbers):
            return Match.ORDER
        raise _refusal(
            f"the rows have neither frame_index nor unique_id, and there are {rows.n} rows for {frames.n} frames "
            f"numbered {_range(numbers)}"
        )
    if len(np.unique(index)) != len(index):
        raise _refusal(f"the frame_index {_twice(index)} is there more than once")
    if index.min() == numbers.min():  # as equal sets do, too
        return Match.NUMBER
    if rows.n == frames.n and index.min() in BEGINNINGS and _has_no_hole(np.sort(index)) and _has_no_hole(numbers):
        return Match.ORDER
    raise _refusal(
        f"the rows' frame_index runs over {_range(np.sort(index))} and the frames' numbers over {_range(numbers)}, "
        "which do not begin alike, and do not correspond one to one from the first to the last"
    )


def _by_key(how: Match, of_rows: Ints | None, of_frames: Ints | None) -> Matching:
    """Rows and frames with the same key are a pair."""
    name = "unique_id" if how is Match.UNIQUE_ID else "frame_index"
    other = "--match number or --match order" if how is Match.UNIQUE_ID else "--match order"
    if of_rows is None:
        raise SourceError(f"rows cannot be matched by {how.value}: they have no {name}; try {other}")
    if of_frames is None:
        raise SourceError(f"rows cannot be matched by {how.value}: the frames have none; try {other}")
    for keys, side in ((of_rows, "rows"), (of_frames, "frames")):
        if len(np.unique(keys)) != len(keys):
            raise SourceError(f"{_twice(keys)} is the {name} of several {side}; say how they are paired: {other}")
    order = np.argsort(of_rows)
    place = np.minimum(np.searchsorted(of_rows, of_frames, sorter=order), len(of_rows) - 1)
    candidate = order[place]
    row_of_frame = np.where(of_rows[candidate] == of_frames, candidate, NONE).astype(np.int64)
    if not (row_of_frame != NONE).any():
        raise SourceError(
            f"no row belongs to a frame: {name} of the rows runs over {_range(np.sort(of_rows))}, that of the frames "
            f"over {_range(np.sort(of_frames))}; if rows and frames stand in one order, {other}"
        )
    return Matching(how, row_of_frame, len(of_rows))


def _by_order(rows: Rows, frames: Frames) -> Matching:
    """The rows in the order of their frame_index, if each has its own; else as they stand."""
    if rows.n != frames.n:
        raise SourceError(
            f"rows cannot be matched by order: there are {rows.n} rows for {frames.n} frames, and nothing says which "
            "ones are missing; number the rows as the files are numbered (frame_index), and use --match number"
        )
    order = np.arange(rows.n, dtype=np.int64)
    if rows.frame_index is not None and len(np.unique(rows.frame_index)) == rows.n:
        order = np.argsort(rows.frame_index, kind="stable").astype(np.int64)
    return Matching(Match.ORDER, order, rows.n)


def _refusal(why: str) -> SourceError:
    return SourceError(
        f"which row belongs to which frame cannot be told: {why}. Say it: --match number if frame_index is the number "
        "of the file, --match order if the n-th row is the n-th frame"
    )


def _has_no_hole(ascending: Ints) -> bool:
    return int(ascending[-1]) - int(ascending[0]) == len(ascending) - 1


def _range(ascending: Ints) -> str:
    first, last = int(ascending[0]), int(ascending[-1])
    n_missing = last - first + 1 - len(ascending)
    return f"{first} to {last}" + (f" with {n_missing} missing" if n_missing > 0 else "")


def _twice(keys: Ints) -> int:
    values, counts = np.unique(keys, return_counts=True)
    return int(values[counts > 1][0])
