"""The values of `ptychostream status` in words."""

from __future__ import annotations

import pytest

from stream_service.settings.status_table import ServicePV


@pytest.mark.parametrize(
    ("pv", "value", "shown"),
    [
        (ServicePV.ROWS_PER_SECOND, 12.34, "12.3 1/s"),
        (ServicePV.QUEUE_BYTES, 1e7, "10000000 bytes"),
        (ServicePV.FRAMES_LOST, 3, "3 frames"),
        (ServicePV.BAD_MESSAGES, 0, "0"),
        (ServicePV.STATE, "IDLE", "IDLE"),
        (ServicePV.FILE, "", ""),
    ],
)
def test_value_is_shown_with_its_digits_and_its_unit(pv, value, shown):
    assert pv.type.in_words(value) == shown
