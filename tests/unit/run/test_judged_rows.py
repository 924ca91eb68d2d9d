"""What is told of verdicts, and which planned positions no row covers."""

from __future__ import annotations

import numpy as np
from judged import Heard, rows_of, verdicts_on

from stream_service.run.rows.judged_rows import JudgedRows
from stream_service.settings.service_status import Coverage


def test_a_row_is_told_when_it_is_judged_and_again_when_its_verdict_changes():
    heard = Heard()
    rows = JudgedRows([heard])
    rows.add(rows_of(3))
    rows.judged(verdicts_on(3, (1,)), is_final=False)
    assert heard.last == [0, 1, 2]
    assert heard.news_of[-1]["rejected"].tolist() == [False, True, False]
    rows.add(rows_of(2, first=3))
    rows.judged(verdicts_on(2, first=3), is_final=False)
    assert heard.last == [3, 4]
    n_told = len(heard.news_of)
    rows.judged(verdicts_on(5, (1,)), is_final=False)
    assert len(heard.news_of) == n_told, "nothing has changed"
    rows.judged(verdicts_on(5, (2,)), is_final=True)
    assert heard.last == [1, 2]
    assert heard.news_of[-1]["provisional"].tolist() == [False, False]


def test_a_score_that_moves_a_little_is_no_news():
    heard = Heard()
    rows = JudgedRows([heard])
    rows.add(rows_of(3))
    rows.judged(verdicts_on(3), is_final=False)
    later = verdicts_on(3)
    later.score[:] += 0.05
    rows.judged(later, is_final=False)
    assert len(heard.news_of) == 1
    np.testing.assert_array_equal(rows.latest(2)["score"], later.score[1:])


def test_verdicts_come_later_than_rows_and_on_any_of_them():
    heard = Heard()
    rows = JudgedRows([heard])
    rows.add(rows_of(4))
    rows.judged(verdicts_on(2), is_final=False)
    assert heard.last == [0, 1]
    assert rows.coverage() == Coverage(), "of the others nobody knows yet whether they are good"
    rows.judged(verdicts_on(2, (3,), first=2), is_final=False)
    assert heard.last == [2, 3]
    assert rows.coverage() == Coverage(1, (3,))


def test_positions_without_a_good_row_are_those_to_repeat():
    rows = JudgedRows()
    assert rows.coverage() == Coverage()
    some = rows_of(6)[[0, 1, 2, 4, 5]]  # that of position 3 was lost
    some["keep"][4] = 0  # position 5 is not to be trusted
    rows.add(some)
    rows.judged(verdicts_on(5, (1,)), is_final=False)
    assert rows.coverage() == Coverage(3, (1, 3, 5))


def test_a_repeat_takes_the_place_of_the_row_it_replaces():
    rows = JudgedRows()
    rows.add(rows_of(4))
    rows.judged(verdicts_on(4, (1, 2)), is_final=False)
    rows.add(rows_of(1, planned=1, replaces=1))
    rows.judged(verdicts_on(1, first=4), is_final=False)
    assert rows.coverage() == Coverage(1, (2,))
    rows.add(rows_of(1, planned=2, replaces=2))
    rows.judged(verdicts_on(1, (5,), first=5), is_final=False)
    assert rows.coverage() == Coverage(1, (2,)), "its repeat is bad as well"
    rows.judged(verdicts_on(6), is_final=True)
    assert rows.coverage() == Coverage(), "the last word is that its repeat was good"


def test_a_row_that_was_good_and_is_replaced_counts_once():
    rows = JudgedRows()
    rows.add(rows_of(2))
    rows.judged(verdicts_on(2), is_final=False)
    rows.add(rows_of(1, planned=0, replaces=0))
    rows.judged(verdicts_on(1, (2,), first=2), is_final=False)
    assert rows.coverage() == Coverage(1, (0,))


def test_a_position_of_several_rows_needs_all_of_them():
    rows = JudgedRows(rows_per_position=2)
    rows.add(rows_of(4, planned=[0, 0, 1, 1]))
    rows.judged(verdicts_on(4, (3,)), is_final=False)
    assert rows.coverage() == Coverage(1, (1,))


def test_room_grows_with_the_rows():
    rows = JudgedRows()
    for first in range(0, 5000, 1000):
        rows.add(rows_of(1000, first))
        rows.judged(verdicts_on(1000, (first + 7,), first), is_final=False)
    assert rows.coverage() == Coverage(5, (7, 1007, 2007, 3007, 4007))
    assert rows.latest(3)["unique_id"][:, 0].tolist() == [5097, 5098, 5099]
    assert len(rows.latest(10_000)) == 5000
