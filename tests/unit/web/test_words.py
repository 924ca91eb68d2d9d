"""Numbers and times as they are read from three metres."""

from __future__ import annotations

import math
from unittest.mock import create_autospec

import pytest

from stream_service.core.run import RunState
from stream_service.settings.status_table import ServicePV
from stream_service.web.service_view import Alarmed, ServiceView
from stream_service.web.words import STATES, UNKNOWN, alarm_text, digits, duration


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0"), (12.0, "12"), (10.44, "10.4"), (0.01234, "0.0123"), (200_000, "200\u202f000"), (math.nan, UNKNOWN)],
)
def test_number_has_the_digits_that_count(value: float, shown: str) -> None:
    assert digits(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(14.2, "14 s"), (200, "3 min 20 s"), (7500, "2 h 05 min"), (math.nan, UNKNOWN), (-1, UNKNOWN)],
)
def test_time_left_is_said_in_words(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_every_state_has_a_mark_and_a_meaning_of_its_own() -> None:
    assert set(STATES) == set(RunState)
    assert len({mark for mark, _, _ in STATES.values()}) == len({said for _, said, _ in STATES.values()}) == len(STATES)


def test_alarm_says_why_and_the_message_of_the_run_is_said_once() -> None:
    view = create_autospec(ServiceView, instance=True)
    view.text.side_effect = {ServicePV.MESSAGE: "2 frames lost so far", ServicePV.STATE: "RECEIVING"}.get
    assert alarm_text(view, Alarmed(ServicePV.DISK_FREE, 1, "9.0 GB are free")) == "9.0 GB are free"
    assert alarm_text(view, Alarmed(ServicePV.STATE, 1, "2 frames lost so far")) == "RECEIVING"
