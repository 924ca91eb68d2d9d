"""Matching of rows of a table with frames: by what both sides say of themselves, and never by a guess.

Three ways, of which `auto` takes the first that both sides can prove:

- `unique_id`: both sides know the detector's uniqueId, and not one of them alone counts from 0.
- `number`: a row's `frame_index` is the number of its frame (of its file, or its place in the scan). Proved if the two
  sets of numbers are the same, or begin with the same number: what is missing on either side then shifts nothing.
- `order`: the n-th row is the n-th frame. Proved only if neither side has a hole, both are equally long, and the rows
  are counted from 0 or 1, from their own beginning (so rows from 0 meet files from 1); or if ids that repeat are the
  same on both sides, one after the other.

Everything else is refused with the offsets that would fit, and the operator must say which it is. Losses at the very
ends can look like another way of counting, and the other way round: a table counted from 1 beside files counted from 0
of which the first one is lost begins alike and is accepted; a table that lacks its last row beside files that lack
their first one is equally long.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream_service.errors import SourceError
from stream_service.settings.recorded_choices import Match
from stream_service.sources.tables.row_offsets import describe_offsets, offsets_that_fit
from stream_service.text.counted import agrees, counted

Ints = npt.NDArray[np.int64]
NONE = -1
"""In place of an index: there is none."""
BEGINNINGS = (0, 1)
"""Where one counts from who does not take the number of a file."""
MOST_KEY = 2**53
"""No counter comes this far, and beyond it a float does not hold every whole number."""
MOST_KEYS = 5
"""Repeated keys that a message lists."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Identity of rows by their table."""

    n: int
    frame_index: Ints | None = None
    """(n,) None if there is no such column."""
    unique_id: Ints | None = None
    """(n,) likewise."""


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """Identity of frames by their files."""

    numbers: Ints | None
    """(n,) strictly increasing: of the file, or of the image in a stack; None where numbering is not known."""
    n: int
    unique_id: Ints | None = None
    """(n,) None unless all frames have one."""
    number_is: str = "the number of the file"
    """What `numbers` are, in words."""
    is_begin_known: bool = True
    """False where `numbers` begin at 0 with the first frame that is there, which may not be the first of the scan."""
    n_lost_before: int = 0
    """Frames of the scan before the first one that is there, where it is known that there were any."""


@dataclass(frozen=True, slots=True, eq=False)
class Matching:
    """A matching of rows and frames."""

    by: Match
    row_of_frame: Ints
    """(frames,) -1 for a frame without a row."""
    n_rows: int
    offset: int = 0
    """Key of a row minus key of its frame, as the operator said it."""

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


def match_rows(rows: Rows, frames: Frames, how: Match = Match.AUTO, offset: int | None = None) -> Matching:
    """Pair every row with its frame, one to one. Raises `SourceError` where that would be a guess.

    `offset` is what the operator says: the key of a row minus that of its frame.
    """
    if rows.n == 0 or frames.n == 0:
        raise SourceError(
            f"there {agrees(rows.n, 'is')} {counted(rows.n, 'row')} and {counted(frames.n, 'frame')}: "
            f"nothing can be matched"
        )
    if offset is not None and how is Match.ORDER:
        raise SourceError("--row-offset and --match order contradict each other: give one of them")
    if how is Match.AUTO and offset is not None:
        both_have_ids = rows.unique_id is not None and frames.unique_id is not None
        how = Match.UNIQUE_ID if both_have_ids else Match.NUMBER
    elif how is Match.AUTO:
        how = _proved_way(rows, frames)
    if how is Match.ORDER:
        return _by_order(rows, frames)
    return _by_key(how, rows, frames, offset or 0)


def _proved_way(rows: Rows, frames: Frames) -> Match:
    if rows.unique_id is not None and frames.unique_id is not None:
        return _proved_by_ids(rows, frames, rows.unique_id, frames.unique_id)
    index, numbers = rows.frame_index, frames.numbers
    if numbers is None:
        raise _refusal("the files are stacks of which one is missing, so their frames cannot be numbered", rows, frames)
    if index is None:
        if rows.n == frames.n and _has_no_hole(numbers):
            return Match.ORDER
        raise _refusal(
            f"the rows have neither frame_index nor unique_id, and there {agrees(rows.n, 'is')} "
            f"{counted(rows.n, 'row')} for {counted(frames.n, 'frame')} numbered {_range(numbers)}",
            rows,
            frames,
        )
    if _repeated(index).size:
        raise _refusal(f"the frame_index {_repeated(index)[0]} is there more than once", rows, frames)
    begin_alike = bool(index.min() == numbers.min() - frames.n_lost_before)  # as equal sets do, too
    if begin_alike and (frames.is_begin_known or np.array_equal(np.sort(index), numbers)):
        return Match.NUMBER
    rows_are_whole = _has_no_hole(np.sort(index))
    if rows.n == frames.n and index.min() in BEGINNINGS and rows_are_whole and _has_no_hole(numbers):
        return Match.ORDER
    fits = offsets_that_fit(index, numbers)
    if begin_alike and fits == [0] and not (rows.n == frames.n and rows_are_whole):
        return Match.NUMBER  # as many whole rows as frames with a hole could also be a row for each frame that is left
    why = "which do not begin alike and"
    if begin_alike:
        why = "the first frame may not be the first of the scan (--first-id says which uniqueId began it), and they"
    raise _refusal(
        f"there {agrees(rows.n, 'is')} {counted(rows.n, 'row')} for {counted(frames.n, 'frame')}, the rows' "
        f"frame_index runs over {_range(np.sort(index))} and "
        f"the frames' numbers over {_range(numbers)}, {why} do not correspond one to one from the first to the last",
        rows,
        frames,
        describe_offsets(fits, "frame_index"),
    )


def _proved_by_ids(rows: Rows, frames: Frames, of_rows: Ints, of_frames: Ints) -> Match:
    """Ids are identities, unless one side counts from 0 and the other does not, as people do who count themselves."""
    if _repeated(of_frames).size and np.array_equal(of_rows, of_frames):
        return Match.ORDER
    first_row, first_frame = int(of_rows.min()), int(of_frames.min())
    if first_row not in BEGINNINGS or first_row == first_frame or 0 not in (first_row, first_frame):
        return Match.UNIQUE_ID
    if _repeated(of_rows).size or _repeated(of_frames).size:
        return Match.UNIQUE_ID  # which refuses them
    is_whole = _has_no_hole(np.sort(of_rows)) and _has_no_hole(np.sort(of_frames))
    if len(of_rows) == len(of_frames) and is_whole and first_frame in BEGINNINGS:
        return Match.ORDER
    fits = offsets_that_fit(of_rows, of_frames)
    if fits == [0] or _numbers_say_the_same(rows, frames, _by_key(Match.UNIQUE_ID, rows, frames, 0)):
        return Match.UNIQUE_ID
    raise SourceError(
        f"which row belongs to which frame cannot be told: there are {len(of_rows)} rows for {len(of_frames)} frames, "
        f"the rows' unique_id runs over {_range(np.sort(of_rows))} and that of the frames over "
        f"{_range(np.sort(of_frames))}: one side may be counted from 0. Say it: --match unique_id if they are the "
        f"detector's{describe_offsets(fits, 'unique_id')}"
    )


def _numbers_say_the_same(rows: Rows, frames: Frames, matching: Matching) -> bool:
    """True if rows and frames that one counting pairs are paired by another one, too."""
    if rows.frame_index is None or frames.numbers is None or rows.unique_id is None:
        return False
    if np.array_equal(rows.frame_index, rows.unique_id):
        return False  # one counting under two names
    pairs = np.flatnonzero(matching.row_of_frame != NONE)
    return np.array_equal(rows.frame_index[matching.row_of_frame[pairs]], frames.numbers[pairs])


def _by_key(how: Match, rows: Rows, frames: Frames, offset: int) -> Matching:
    """Rows and frames with the same key are a pair."""
    name, of_rows, of_frames = "frame_index", rows.frame_index, frames.numbers
    if how is Match.UNIQUE_ID:
        name, of_rows, of_frames = "unique_id", rows.unique_id, frames.unique_id
    other = _advice(rows, frames, tried=how)
    if of_rows is None:
        raise SourceError(f"rows cannot be matched by {how.value}: they have no {name}. {other}")
    if of_frames is None:
        raise SourceError(f"rows cannot be matched by {how.value}: the frames have none. {other}")
    for keys, side in ((of_rows, "rows"), (of_frames, "frames")):
        if (repeated := _repeated(keys)).size:
            shown = ", ".join(map(str, repeated[:MOST_KEYS].tolist())) + (", ..." if repeated.size > MOST_KEYS else "")
            raise SourceError(
                f"{shown} {'is' if repeated.size == 1 else 'are each'} the {name} of several {side}. {other}"
            )
    wanted = of_frames + offset
    order = np.argsort(of_rows)
    place = np.minimum(np.searchsorted(of_rows, wanted, sorter=order), len(of_rows) - 1)
    candidate = order[place]
    row_of_frame = np.where(of_rows[candidate] == wanted, candidate, NONE).astype(np.int64)
    if not (row_of_frame != NONE).any():
        more = f", and --row-offset is {offset}" if offset else ""
        offsets = describe_offsets(offsets_that_fit(of_rows, of_frames), name)
        raise SourceError(
            f"no row belongs to a frame: {name} of the rows runs over {_range(np.sort(of_rows))}, that of the frames "
            f"over {_range(np.sort(of_frames))}{more}. " + _advice(rows, frames, offsets, tried=how)
        )
    return Matching(how, row_of_frame, len(of_rows), offset)


def _by_order(rows: Rows, frames: Frames) -> Matching:
    """The rows in the order of their frame_index, if each has its own; else as they stand."""
    if rows.n != frames.n:
        raise SourceError(
            f"rows cannot be matched by order: there {agrees(rows.n, 'is')} {counted(rows.n, 'row')} for "
            f"{counted(frames.n, 'frame')}, and nothing says which "
            f"ones are missing. {_advice(rows, frames, tried=Match.ORDER)}"
        )
    order = np.arange(rows.n, dtype=np.int64)
    for keys in (rows.frame_index, rows.unique_id):
        if keys is not None and not _repeated(keys).size:
            order = np.argsort(keys, kind="stable").astype(np.int64)
            break
    return Matching(Match.ORDER, order, rows.n)


def _refusal(why: str, rows: Rows, frames: Frames, offsets: str = "") -> SourceError:
    return SourceError(f"which row belongs to which frame cannot be told: {why}. {_advice(rows, frames, offsets)}")


def _advice(rows: Rows, frames: Frames, offsets: str = "", *, tried: Match | None = None) -> str:
    """Only what can work: `order` needs as many rows as frames, `number` the numbers of both."""
    ways = []
    numbers = rows.frame_index
    if tried is not Match.NUMBER and frames.numbers is not None and numbers is not None and not _repeated(numbers).size:
        ways.append(f"--match number if frame_index is {frames.number_is}")
    if rows.n == frames.n:
        ways.append("--match order if the n-th row is the n-th frame")
    if not ways and not offsets:
        return f"Give each row a frame_index of its own, {frames.number_is}, and use --match number"
    return "Say it: " + (", ".join(ways) + offsets).removeprefix(", or ")


def _has_no_hole(ascending: Ints) -> bool:
    return int(ascending[-1]) - int(ascending[0]) == len(ascending) - 1


def _range(ascending: Ints) -> str:
    first, last = int(ascending[0]), int(ascending[-1])
    n_missing = last - first + 1 - len(ascending)
    return f"{first} to {last}" + (f" with {n_missing} missing" if n_missing > 0 else "")


def _repeated(keys: Ints) -> Ints:
    """The keys that are there more than once, each once."""
    values, counts = np.unique(keys, return_counts=True)
    return values[counts > 1]
