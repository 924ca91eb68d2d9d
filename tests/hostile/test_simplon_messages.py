"""Whatever comes to SIMPLON's dialect, it gives an event or a `SourceError`, and reads what comes next."""

from __future__ import annotations

import pytest
from dectris_messages import CONFIG, ramp, simplon_end, simplon_header, simplon_image
from zmq_survival import assert_survives

from stream_service.sources.live.zmq.simplon import Simplon

GOOD = [
    simplon_header(1, "all", b'{"sample": 7}'),
    simplon_image(0, encoding="bs16-lz4<", appendix=b'{"posx": 1.5}'),
    simplon_image(1, ramp((5, 7), "u4"), "lz4>"),
    simplon_end(1),
    simplon_header(2, config={**CONFIG, "data_collection_date": "2026-11-29T10:01:00Z"}),
    simplon_image(0, series=2),
    simplon_end(2),
]


def test_two_thousand_messages_with_defects_give_events_or_refusals_only():
    counts = assert_survives(Simplon, GOOD, 15, 2000)
    assert counts["events"] > 150 and counts["refused"] > 400


@pytest.mark.long
@pytest.mark.timeout(0)
def test_a_hundred_thousand_messages_with_defects_give_events_or_refusals_only(told):
    assert_survives(Simplon, GOOD, 16, 100_000, tell=told)
