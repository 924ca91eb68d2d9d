"""Rows by their planned positions: repeats replace the row of the position they were announced for, or nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from judged import rows_of

from stream_service.core.partition import ByIndex
from stream_service.errors import ConfigError
from stream_service.run.rows.planned_rows import PlannedRows

PLAN_M = np.column_stack([np.arange(4) * 1e-6, np.zeros(4)])


def entered(planned: PlannedRows, ordinals: list[int], first_row: int, **columns: Any) -> np.ndarray[Any, Any]:
    rows = rows_of(len(ordinals), **columns)
    planned.enter(rows, np.array(ordinals), first_row)
    return rows


def scan(n_extra: int = 4, plan_m: np.ndarray | None = PLAN_M) -> PlannedRows:
    """Four positions, of which the frame of the second is late and that of the third lost."""
    planned = PlannedRows(ByIndex(1), 1, 4, n_extra, plan_m)
    rows = entered(planned, [0, 3, 1], 0, x_m=[0, 3e-6, 1e-6])
    assert rows["planned"].tolist() == [0, 3, 1]
    assert rows["replaces"].tolist() == [-1, -1, -1]
    return planned


@pytest.mark.parametrize("plan_m", [PLAN_M, None])
def test_a_repeat_replaces_the_row_of_its_position_wherever_that_is(plan_m: np.ndarray | None) -> None:
    planned = scan(plan_m=plan_m)
    planned.announce([1, 3])
    rows = entered(planned, [4, 5], 3, x_m=[1.1e-6, 3e-6])
    assert (rows["planned"].tolist(), rows["replaces"].tolist()) == ([1, 3], [2, 1])
    assert planned.take_replaced() == [2, 1]
    assert planned.take_replaced() == []
    planned.announce([1, 3, 1])
    rows = entered(planned, [6], 5, x_m=[1e-6])
    assert (rows["planned"].tolist(), rows["replaces"].tolist()) == ([1], [3]), "a repeat is repeated"
    assert planned.notes() == []


def test_a_position_whose_frame_was_lost_gets_one_and_nothing_is_replaced() -> None:
    planned = scan()
    planned.announce([2])
    rows = entered(planned, [4], 3, x_m=[2e-6])
    assert (rows["planned"].tolist(), rows["replaces"].tolist(), planned.take_replaced()) == ([2], [-1], [])


@pytest.mark.parametrize("x_m", [1.3e-6, 2e-6, np.nan])
def test_a_repeat_that_lies_elsewhere_replaces_nothing_and_that_is_said(x_m: float) -> None:
    planned = scan()
    planned.announce([1])
    rows = entered(planned, [4], 3, x_m=[x_m])
    assert (rows["planned"].tolist(), rows["replaces"].tolist(), planned.take_replaced()) == ([-1], [-1], [])
    (note,) = planned.notes()
    assert "1 row beyond the ones planned is not where a position was announced to be repeated" in note


def test_frames_beyond_those_planned_that_nobody_announced_replace_nothing() -> None:
    planned = scan()
    rows = entered(planned, [4], 3, x_m=[1e-6])
    assert (rows["planned"].tolist(), rows["replaces"].tolist()) == ([-1], [-1])
    assert planned.notes()


def test_a_repeat_whose_position_is_not_trusted_leaves_the_row_it_repeats() -> None:
    planned = scan()
    planned.announce([1])
    rows = entered(planned, [4], 3, x_m=[1e-6], keep=0)
    assert (rows["planned"].tolist(), rows["replaces"].tolist(), planned.take_replaced()) == ([1], [-1], [])


def test_exposures_that_are_rows_of_their_own_are_replaced_one_by_one() -> None:
    planned = PlannedRows(ByIndex(1), 2, 2, 2, PLAN_M[:2])
    assert planned.rows_per_position == 2
    assert entered(planned, [0, 1, 2, 3], 0, x_m=[0, 0, 1e-6, 1e-6])["planned"].tolist() == [0, 0, 1, 1]
    planned.announce([1])
    rows = entered(planned, [4, 5], 4, x_m=1e-6)
    assert (rows["planned"].tolist(), rows["replaces"].tolist()) == ([1, 1], [2, 3])


def test_a_scan_of_unknown_length_counts_its_positions() -> None:
    planned = PlannedRows(ByIndex(3))
    assert entered(planned, [0, 6], 0)["planned"].tolist() == [0, 2]
    with pytest.raises(ConfigError, match="no frames reserved for repeats"):
        planned.announce([0])


@pytest.mark.parametrize(
    ("positions", "words"),
    [
        ([3, 1], "the 1 repeat announced before must come first"),
        ([1, 4], "position 4 was not planned: there are 4"),
        ([1, -1], "position -1 was not planned"),
        ([1, 2, 3, 0, 1], "5 repeats, but frames are reserved for 4"),
    ],
)
def test_an_announcement_that_cannot_be_meant_changes_nothing(positions: list[int], words: str) -> None:
    planned = scan()
    planned.announce([1])
    with pytest.raises(ConfigError, match=words):
        planned.announce(positions)
    assert entered(planned, [4, 5], 3, x_m=[1e-6, 3e-6])["planned"].tolist() == [1, -1]


def test_rows_of_an_earlier_file_are_repeated_as_others_are() -> None:
    planned = PlannedRows(ByIndex(1), 1, 4, 4, PLAN_M)
    planned.announce([1, 1])
    rows = rows_of(4, planned=[0, 1, 3, 1], replaces=[-1, -1, -1, 11], keep=[1, 0, 1, 1], x_m=[0, 1e-6, 3e-6, 1e-6])
    planned.restore(rows, np.array([0, 1, 3, 4]), 10)
    assert planned.take_replaced() == [11]
    again = entered(planned, [5], 14, x_m=[1e-6])
    assert (again["planned"].tolist(), again["replaces"].tolist()) == ([1], [13])


def test_original_that_comes_after_its_repeat_is_not_used() -> None:
    """The original was in an interrupted file, or is fetched from the raw file, and its repeat was received first."""
    planned = PlannedRows(ByIndex(1), 1, 4, 4, PLAN_M)
    planned.announce([1, 2])
    entered(planned, [4, 5], 0, x_m=[1e-6, 2e-6])
    planned.restore(rows_of(2, planned=[0, 1], x_m=[0, 1e-6]), np.array([0, 1]), 2)
    assert planned.take_replaced() == [3]
    entered(planned, [2], 4, x_m=[2e-6])
    assert planned.take_replaced() == [4]
    planned.announce([1, 2, 1, 2])
    again = entered(planned, [6, 7], 5, x_m=[1e-6, 2e-6])
    assert again["replaces"].tolist() == [0, 1]


def test_repeat_that_comes_after_an_original_which_was_fetched_is_used_instead_of_it() -> None:
    planned = PlannedRows(ByIndex(1), 1, 4, 4, PLAN_M)
    planned.announce([1])
    entered(planned, [1], 0, x_m=[1e-6])
    planned.restore(rows_of(1, planned=[1], x_m=[1e-6]), np.array([4]), 1)
    assert planned.take_replaced() == [0]


def test_repeat_that_cannot_be_used_leaves_the_original_that_follows_it() -> None:
    planned = PlannedRows(ByIndex(1), 1, 4, 4, PLAN_M)
    planned.announce([1])
    planned.restore(rows_of(1, planned=[1], keep=0, x_m=[1e-6]), np.array([4]), 0)
    planned.restore(rows_of(1, planned=[1], x_m=[1e-6]), np.array([1]), 1)
    assert planned.take_replaced() == []
