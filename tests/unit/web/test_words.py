"""Numbers and times as they are read from three metres."""

from __future__ import annotations

import math
from unittest.mock import create_autospec

import pytest

from stream_service.core.run import RunState
from stream_service.settings.pv_type import UNKNOWN
from stream_service.settings.service_status import Severity
from stream_service.settings.status_table import ServicePV
from stream_service.web.service_view import Alarmed, ServiceView
from stream_service.web.words import STATES, alarm_text, digits, ledger_tiles, rate_tiles


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0"), (12.0, "12"), (10.44, "10.4"), (0.01234, "0.0123"), (200_000, "200\u202f000"), (math.nan, UNKNOWN)],
)
def test_number_has_the_digits_that_count(value: float, shown: str) -> None:
    assert digits(value) == shown


def test_every_state_has_a_mark_and_a_meaning_of_its_own() -> None:
    assert set(STATES) == set(RunState)
    assert len({mark for mark, _, _ in STATES.values()}) == len({said for _, said, _ in STATES.values()}) == len(STATES)


def test_alarm_says_why_and_the_message_of_the_run_is_said_once() -> None:
    view = create_autospec(ServiceView, instance=True)
    view.text.side_effect = {ServicePV.MESSAGE: "2 frames lost so far", ServicePV.STATE: "RECEIVING"}.get
    assert alarm_text(view, Alarmed(ServicePV.DISK_FREE, Severity.MINOR, "9.0 GB are free")) == "9.0 GB are free"
    assert alarm_text(view, Alarmed(ServicePV.STATE, Severity.MINOR, "2 frames lost so far")) == "RECEIVING"


def test_tile_is_marked_where_its_pv_is_in_alarm() -> None:
    view = create_autospec(ServiceView, instance=True)
    view.number.return_value = 1.0
    alarmed = {ServicePV.FRAMES_LOST: Severity.MINOR, ServicePV.REJECTED_SHARE: Severity.MAJOR}
    view.severity.side_effect = lambda pv: alarmed.get(pv, Severity.NONE)
    tiles = [*rate_tiles(view, 128.0), *ledger_tiles(view)]
    assert [tile.label for tile in tiles if tile.kind] == ["lost", "rejected rows"]
