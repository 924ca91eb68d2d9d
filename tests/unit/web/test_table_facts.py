"""What the tables of the page show."""

from __future__ import annotations

from unittest.mock import create_autospec

import pytest

from stream_service.settings.pv_type import UNKNOWN
from stream_service.web.service_view import ServiceView
from stream_service.web.table_facts import readback_facts


@pytest.mark.parametrize(("time_s", "shown"), [(0.0, UNKNOWN), (9e9, ":"), (1e15, UNKNOWN)])
def test_readback_with_a_stamp_beyond_all_dates_is_shown(time_s: float, shown: str) -> None:
    view = create_autospec(ServiceView, instance=True)
    view.number.return_value = 1.0
    view.table.return_value = {
        "channel": ["x"],
        "pv": ["SIM:X.RBV"],
        "connected": [True],
        "severity": [0],
        "value": [2.5],
        "unit": ["um"],
        "time_s": [time_s],
    }
    (readback,) = readback_facts(view)["readbacks"]
    assert (readback["value"], readback["unit"]) == ("2.5", "µm") and shown in readback["time"]
