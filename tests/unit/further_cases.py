"""Selection of the further cases of tests: those that `make test` leaves to `make test-long`."""

from __future__ import annotations

from collections.abc import Iterable

import pytest


def further_cases(items: Iterable[pytest.Item]) -> set[pytest.Item]:
    """The tests with the mark `further`; of a test whose mark says `but=n` all cases but n, evenly spread, the first
    among them."""
    tests: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("further") is not None:
            tests.setdefault(item.nodeid.partition("[")[0], []).append(item)
    return {item for cases in tests.values() for item in _further(cases)}


def _further(cases: list[pytest.Item]) -> set[pytest.Item]:
    kept = {mark.kwargs["but"] for case in cases if (mark := case.get_closest_marker("further")) and mark.kwargs}
    few = min(max(kept, default=0), len(cases))
    return set(cases) - {cases[place * len(cases) // few] for place in range(few)}
