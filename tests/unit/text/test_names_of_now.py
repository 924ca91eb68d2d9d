"""Names made of the time."""

from __future__ import annotations

import re

from stream_service.text.names_of_now import name_of_now


def test_names_of_one_second_differ() -> None:
    names = [name_of_now("scan") for _ in range(50)]
    assert len(set(names)) == 50
    assert re.fullmatch(r"scan_\d{8}_\d{6}", names[0])


def test_a_name_that_is_taken_is_not_given() -> None:
    asked: list[str] = []

    def is_free(name: str) -> bool:
        asked.append(name)
        return len(asked) > 2

    name = name_of_now("file", is_free)
    assert name == asked[2] == f"{asked[0]}_3"
