from __future__ import annotations

from types import SimpleNamespace

import pytest
from further_cases import further_cases


def item(nodeid: str, *marks: pytest.Mark) -> SimpleNamespace:
    by_name = {mark.name: mark for mark in marks}

    class Item(SimpleNamespace):
        __hash__ = object.__hash__

    return Item(nodeid=nodeid, get_closest_marker=by_name.get)


def cases(n: int, *marks: pytest.MarkDecorator) -> list[SimpleNamespace]:
    return [item(f"file.py::test[{case}]", *(mark.mark for mark in marks)) for case in range(n)]


@pytest.mark.parametrize(
    ("n_cases", "but", "kept"),
    [(10, 1, [0]), (10, 2, [0, 5]), (10, 3, [0, 3, 6]), (3, 2, [0, 1]), (2, 2, [0, 1]), (1, 1, [0]), (2, 5, [0, 1])],
)
def test_so_many_cases_stay_evenly_spread_and_the_first_among_them(n_cases: int, but: int, kept: list[int]) -> None:
    all_cases = cases(n_cases, pytest.mark.further(but=but))
    left_out = further_cases(all_cases)
    assert [case for case in all_cases if case not in left_out] == [all_cases[place] for place in kept]


def test_a_whole_test_or_single_cases_are_left_out_and_what_has_no_mark_stays() -> None:
    whole, plain, marked = (
        cases(3, pytest.mark.further),
        item("file.py::other"),
        item("file.py::some[2]", pytest.mark.further.mark),
    )
    usual = item("file.py::some[1]", pytest.mark.recovery.mark)
    assert further_cases([*whole, plain, usual, marked]) == {*whole, marked}


def test_tests_of_one_name_in_two_files_are_two() -> None:
    few = pytest.mark.further(but=1).mark
    tests = [item("a.py::test[1]", few), item("a.py::test[2]", few), item("b.py::test[1]", few)]
    assert further_cases(tests) == {tests[1]}
