"""Clocks that are wrong on purpose: what they say, frame by frame."""

import pytest

from iocsim.clocks import ClockFaults, FaultyClock, Step
from iocsim.faults import Faults
from iocsim.pv import PvTable
from iocsim.unique_ids import FaultError

SECOND = 1_000_000_000


def stamps(faults: ClockFaults, n_frames: int) -> list[float]:
    """Stamps of frames that truly come at 1 s, 2 s, ..., in s."""
    clock = FaultyClock(PvTable("T:"), "FrameClock", faults, lambda: 0)
    return [clock.stamp(n * SECOND, n) / SECOND for n in range(1, n_frames + 1)]


def test_sound_clock_says_the_true_time():
    assert stamps(ClockFaults(), 3) == [1.0, 2.0, 3.0]


def test_clock_may_be_off_step_and_stand():
    assert stamps(ClockFaults(offset_s=0.5), 3) == [1.5, 2.5, 3.5]
    assert stamps(ClockFaults(step=Step.parse("-2.5@3")), 4) == [1.0, 2.0, 0.5, 1.5]
    assert stamps(ClockFaults(step=Step.parse("10@2-3")), 4) == [1.0, 12.0, 13.0, 4.0]
    assert stamps(ClockFaults(frozen_ids=frozenset({2, 3})), 4) == [1.0, 1.0, 1.0, 4.0]


def test_drifting_clock_gains_in_proportion_to_the_time():
    assert stamps(ClockFaults(drift_ppm=500.0, drifts_since_ns=SECOND), 3) == [1.0, 2.0005, 3.001]
    assert stamps(ClockFaults(drift_ppm=-500.0, offset_s=1.0), 2) == [1.9995, 2.999]


def test_motors_go_by_the_frame_that_comes_next():
    next_id = 1
    clock = FaultyClock(PvTable("T:"), "MotorClock", ClockFaults(step=Step(10.0, 5)), lambda: next_id)
    assert clock.stamp(SECOND) == SECOND
    next_id = 5
    assert clock.stamp(2 * SECOND) == 12 * SECOND


@pytest.mark.parametrize("text", ["1", "@5", "x@5", "1@0", "1@x", "inf@3", "nan@3", "1@3-", "1@3-2", "1@3-x"])
def test_what_is_no_step_is_named(text: str):
    with pytest.raises(FaultError, match="write seconds and the first uniqueId"):
        Step.parse(text)


def test_step_is_told_as_it_is_read():
    assert str(Step.parse("-2.5@100")) == "-2.5@100"
    assert str(Step.parse("3600@7-7")) == "3600@7-7"
    assert str(Step.parse("")) == ""


def test_frames_far_ahead_are_those_listed():
    faults = Faults(far_ids=frozenset({7}))
    assert [faults.sent_id(n) for n in (6, 7, 8)] == [6, 4_000_007, 8]
