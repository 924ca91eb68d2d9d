"""Rows find their frames by what both sides say, in the one way that can be proved, or the operator must say how."""

from __future__ import annotations

import numpy as np
import pytest

from stream_service.errors import SourceError
from stream_service.settings.recorded_choices import Match
from stream_service.sources.tables.sidecar_matching import Frames, Matching, Rows, match_rows


def ints(values) -> np.ndarray:
    return np.array(list(values), np.int64)


def rows(index=None, ids=None, n: int | None = None) -> Rows:
    columns = [None if values is None else ints(values) for values in (index, ids)]
    return Rows(n if n is not None else len(next(column for column in columns if column is not None)), *columns)


def frames(numbers, ids=None) -> Frames:
    return Frames(ints(numbers), len(ints(numbers)), None if ids is None else ints(ids))


def pairs(matching: Matching) -> list[int]:
    return matching.row_of_frame.tolist()


def test_same_numbers_are_matched_by_number():
    matching = match_rows(rows([3, 1, 2]), frames([1, 2, 3]))
    assert matching.by is Match.NUMBER and pairs(matching) == [1, 2, 0]


def test_hole_in_the_files_shifts_nothing():
    matching = match_rows(rows(range(10)), frames([0, 1, 2, 4, 5, 8]))
    assert matching.by is Match.NUMBER and pairs(matching) == [0, 1, 2, 4, 5, 8]
    assert matching.rows_without_frame.tolist() == [3, 6, 7, 9] and matching.frames_without_row.tolist() == []


def test_hole_in_the_rows_shifts_nothing():
    matching = match_rows(rows([0, 1, 3]), frames(range(5)))
    assert matching.by is Match.NUMBER and pairs(matching) == [0, 1, -1, 2, -1]
    assert matching.frames_without_row.tolist() == [2, 4] and matching.frame_of_row.tolist() == [0, 1, 3]


def test_rows_from_0_meet_files_from_1_if_nothing_is_missing():
    matching = match_rows(rows([2, 0, 1]), frames([1, 2, 3]))
    assert matching.by is Match.ORDER and pairs(matching) == [1, 2, 0]


def test_rows_without_any_identity_are_matched_by_order_if_nothing_is_missing():
    assert pairs(match_rows(rows(n=3), frames([7, 8, 9]))) == [0, 1, 2]


def test_unique_ids_come_before_numbers():
    matching = match_rows(rows([1, 2, 3], [12, 11, 14]), frames([1, 2, 3], [11, 12, 13]))
    assert matching.by is Match.UNIQUE_ID and pairs(matching) == [1, 0, -1]


def test_unique_ids_of_one_side_only_are_not_used():
    assert match_rows(rows([1, 2], [8, 9]), frames([1, 2])).by is Match.NUMBER
    assert match_rows(rows([1, 2]), frames([1, 2], [8, 9])).by is Match.NUMBER


@pytest.mark.parametrize(
    ("table", "files", "why"),
    [
        (rows(range(10)), frames([1, 2, 3, 5, 6, 7, 8, 9, 10]), "do not begin alike"),
        (rows(range(10)), frames(range(1, 10)), "do not begin alike"),
        (rows([0, 2, 3]), frames([1, 2, 3]), "0 to 3 with 1 missing"),
        (rows(range(9)), Frames(ints(range(10)), 10, is_begin_known=False), "--first-id says .*, and they do not"),
        (rows([5, 6, 7]), frames([4, 5, 6]), "5 to 7 .* 4 to 6, which do not begin alike and do not correspond"),
        (rows([0, 0, 0]), frames([1, 2, 3]), "frame_index 0 is there more than once"),
        (rows(n=3), frames([1, 2, 4]), "3 rows for 3 frames numbered 1 to 4 with 1 missing"),
        (rows(n=3), frames([1, 2]), "3 rows for 2 frames"),
        (rows([0, 1]), Frames(None, 2), "cannot be numbered"),
    ],
)
def test_what_cannot_be_proved_is_refused_with_what_to_say(table, files, why):
    with pytest.raises(SourceError, match=why) as caught:
        match_rows(table, files)
    assert ("--match order" in str(caught.value)) == (table.n == files.n)  # what is advised works


def test_no_way_is_advised_that_would_be_refused():
    rows_without_one, repeated = rows([0, 1, 2], [1, 2, 3]), frames([0, 1, 2, 3], [1, 2, 1, 2])
    with pytest.raises(SourceError, match="1, 2 are each the unique_id of several frames") as caught:
        match_rows(rows_without_one, repeated)
    assert "--match number" in str(caught.value) and "--match order" not in str(caught.value)
    assert pairs(match_rows(rows_without_one, repeated, Match.NUMBER)) == [0, 1, 2, -1]
    with pytest.raises(SourceError, match="Give each row a frame_index of its own"):
        match_rows(rows(n=3), repeated, Match.ORDER)


def test_offsets_that_fit_are_said_where_no_id_is_the_same():
    with pytest.raises(SourceError, match=r"--row-offset N, .*: -9 fits"):
        match_rows(rows(n=3, ids=[1, 2, 4]), frames([0, 1, 3], [10, 11, 13]))


def test_the_operator_may_say_that_it_is_the_number_or_the_order():
    table, files = rows(range(10)), frames(range(1, 10))
    assert pairs(match_rows(table, files, Match.NUMBER)) == list(range(1, 10))
    assert pairs(match_rows(rows([0, 0, 0]), frames([1, 5, 7]), Match.ORDER)) == [0, 1, 2]
    assert pairs(match_rows(rows([5, 3, 9]), frames([1, 5, 7]), Match.ORDER)) == [1, 0, 2]


@pytest.mark.parametrize(
    ("table", "files", "how", "why"),
    [
        (rows(range(10)), frames(range(9)), Match.ORDER, "10 rows for 9 frames"),
        (rows(range(3)), frames([7, 8, 9]), Match.NUMBER, "0 to 2, that of the frames over 7 to 9"),
        (rows([1, 1, 2]), frames([1, 2, 3]), Match.NUMBER, "1 is the frame_index of several rows"),
        (rows(n=3), frames([1, 2, 3]), Match.NUMBER, "they have no frame_index"),
        (rows([0], [1]), frames([0]), Match.UNIQUE_ID, "the frames have none"),
        (rows([0, 1], [1, 1]), frames([0, 1], [1, 2]), Match.AUTO, "1 is the unique_id of several rows"),
        (rows([0, 1], [1, 2]), frames([0, 1], [2, 2]), Match.AUTO, "2 is the unique_id of several frames"),
        (rows([0, 1], [1, 2]), frames([0, 1], [3, 4]), Match.AUTO, "no row belongs to a frame"),
        (rows(n=0), frames([1]), Match.AUTO, "0 rows and 1 frame:"),
    ],
)
def test_what_the_operator_says_must_be_possible(table, files, how, why):
    with pytest.raises(SourceError, match=why):
        match_rows(table, files, how)
