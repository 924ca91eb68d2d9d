"""Output of `ptychostream demo` while it runs."""

from __future__ import annotations

import pytest

from stream_service.service.demo import step_of


@pytest.mark.parametrize(
    ("message", "step"),
    [
        ("no run yet", "no run yet"),
        ("receiving demo; the flat is taken as measured: the dark is subtracted from it", "receiving demo"),
    ],
)
def test_a_line_of_progress_says_what_is_done_and_no_notes(message: str, step: str) -> None:
    assert step_of(message) == step
