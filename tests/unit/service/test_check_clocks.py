"""A wrong clock is named before it becomes a wrong position."""

from __future__ import annotations

import pytest

from stream_service.core.frame import NS_PER_S
from stream_service.run.live.check_clocks import check_channel_clocks, check_frame_clock

NOW_NS = 1_800_000_000 * NS_PER_S


def levels(frame_ns: int, counter_ns: int | None, *, offset_s: float = 0.0) -> list[str]:
    found = check_frame_clock(frame_ns, counter_ns, exposure_s=0.5, offset_s=offset_s, now_ns=NOW_NS, no_time="do this")
    return [finding.level for finding in found]


def ago(seconds: float) -> int:
    return NOW_NS - round(seconds * NS_PER_S)


@pytest.mark.parametrize(
    ("frame_s", "counter_s", "offset_s", "expected"),
    [
        (60.0, 59.9, 0.0, ["ok"]),
        (60.0, 59.3, 0.0, ["ok"]),  # a long way from the camera, or a stamp at the start of the exposure
        (3660.0, 60.0, 0.0, ["error"]),
        (60.0, 3660.0, 0.0, ["error"]),
        (3660.0, 60.0, 3600.0, ["ok"]),
        (-7.0, None, 0.0, ["error"]),
        (60.0, None, 0.0, []),
        (-7.0, 1.0, 0.0, ["error", "error"]),
    ],
)
def test_frames_clock(frame_s: float, counter_s: float | None, offset_s: float, expected: list[str]) -> None:
    counter_ns = None if counter_s is None else ago(counter_s)
    assert levels(ago(frame_s), counter_ns, offset_s=offset_s) == expected


def test_offset_that_would_mend_it_is_said() -> None:
    (finding,) = check_frame_clock(ago(3660), ago(60), exposure_s=0.5, offset_s=0.0, now_ns=NOW_NS, no_time="do this")
    assert "3600.0 s before its counter was posted" in finding.text
    assert "add 3600.0 to detector.frame_time.offset_s" in finding.text


@pytest.mark.parametrize("unset_s", [0, 631_152_000])
def test_frame_without_time_is_an_error(unset_s: int) -> None:
    (finding,) = check_frame_clock(
        unset_s * NS_PER_S, ago(0), exposure_s=0.5, offset_s=0.0, now_ns=NOW_NS, no_time="do this"
    )
    assert finding.level == "error" and "carries no time" in finding.text


def test_value_without_a_time_is_none_that_is_wrong_and_one_of_the_future_is() -> None:
    stamps_ns = {"x": 631_152_000 * NS_PER_S, "energy": 0, "y": ago(86400), "ring_current": ago(-5)}
    found = list(check_channel_clocks(stamps_ns, frozenset({"x", "y"}), now_ns=NOW_NS))
    assert [(finding.level, finding.about) for finding in found] == [
        ("ok", "clock of channel x"),
        ("error", "clock of channel ring_current"),
    ]
    assert "5.0 s in the future" in found[1].text
