"""Numbers with their noun are said as one says them."""

from __future__ import annotations

import pytest

from stream_service.text.counted import agrees, counted


@pytest.mark.parametrize(("n", "said"), [(0, "0 frames"), (1, "1 frame"), (2, "2 frames")])
def test_a_noun_agrees_with_its_number(n: int, said: str) -> None:
    assert counted(n, "frame") == said


def test_an_irregular_plural_is_given() -> None:
    assert [counted(n, "entry", "entries") for n in (1, 2)] == ["1 entry", "2 entries"]


@pytest.mark.parametrize(("one", "more"), [("is", "are"), ("has", "have"), ("lies", "lie"), ("it", "them")])
def test_a_verb_agrees_with_its_number(one: str, more: str) -> None:
    assert [agrees(n, one) for n in (1, 0, 2)] == [one, more, more]
