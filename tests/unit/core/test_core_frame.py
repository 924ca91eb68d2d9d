"""Time of exposure from a detector's timestamp."""

from __future__ import annotations

import pytest

from stream_service.core.frame import FrameTime, Marks, Window

STAMP_NS = 1_795_218_868_000_000_123


def test_stamp_at_the_end_puts_the_exposure_before_it():
    window = FrameTime(Marks.END).window(STAMP_NS, 0.01)
    assert window == Window(STAMP_NS - 10_000_000, STAMP_NS)
    assert window.mid_ns == STAMP_NS - 5_000_000


def test_stamp_at_the_start_puts_the_exposure_after_it():
    assert FrameTime(Marks.START).window(STAMP_NS, 0.01) == Window(STAMP_NS, STAMP_NS + 10_000_000)


@pytest.mark.parametrize("marks", Marks)
def test_offset_moves_the_window_into_the_clock_of_the_readbacks(marks):
    without = FrameTime(marks).window(STAMP_NS, 0.01)
    late = FrameTime(marks, offset_s=0.002).window(STAMP_NS, 0.01)
    assert (late.start_ns - without.start_ns, late.end_ns - without.end_ns) == (2_000_000, 2_000_000)


def test_nanoseconds_are_not_lost_in_a_stamp_of_today():
    assert FrameTime(Marks.END).window(STAMP_NS, 0.0) == Window(STAMP_NS, STAMP_NS)
