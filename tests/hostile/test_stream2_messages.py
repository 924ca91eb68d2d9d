"""Whatever comes to Stream2's dialect, it gives an event or a `SourceError`, and reads what comes next."""

from __future__ import annotations

import pytest
from dectris_messages import array, ramp, stream2_end, stream2_image, stream2_start
from zmq_survival import assert_survives

from stream_service.sources.live.zmq.stream2 import Stream2

GOOD = [
    stream2_start(1, "one"),
    stream2_image(0, 1, "one", data={"threshold_1": array(ramp(), "bslz4")}, user_data={"posx": 1.5}),
    stream2_image(1, 1, "one", data={"threshold_1": array(ramp((5, 7), "u4"), "lz4", ">")}),
    stream2_end(1, "one"),
    stream2_start(2, "two"),
    stream2_image(0, 2, "two"),
    stream2_end(2, "two"),
]


def test_two_thousand_messages_with_defects_give_events_or_refusals_only():
    counts = assert_survives(Stream2, GOOD, 15, 2000)
    assert counts["events"] > 150 and counts["refused"] > 400


@pytest.mark.long
@pytest.mark.timeout(0)
def test_a_hundred_thousand_messages_with_defects_give_events_or_refusals_only(told):
    assert_survives(Stream2, GOOD, 16, 100_000, tell=told)
