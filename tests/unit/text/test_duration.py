"""Durations as they are read."""

from __future__ import annotations

import pytest

from stream_service.text.duration import duration


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0123, "0.0123 s"),
        (14, "14 s"),
        (65, "1 min 05 s"),
        (200.4, "3 min 20 s"),
        (7500, "2 h 05 min"),
        (3600 * 74, "3 d 2 h"),
    ],
)
def test_duration_has_the_two_units_that_count(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown
