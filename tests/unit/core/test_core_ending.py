"""The end of a run; time is an argument."""

from __future__ import annotations

import pytest

from stream_service.core.ending import LONGEST_DRAIN, Ending
from stream_service.core.run import EndReason, RunEvent, RunState

GRACE_S, DRAIN_S = 60.0, 2.0


def acquiring() -> bool:
    return True


def idle() -> bool:
    return False


@pytest.fixture
def ending() -> Ending:
    made = Ending(GRACE_S, DRAIN_S)
    made.frame_came(0.0)
    return made


def test_nothing_ends_a_run_that_goes_on(ending):
    assert ending.event(RunState.RECEIVING, 1e6, all_in=False, is_acquiring=acquiring) is None
    assert ending.reason is None


def test_all_frames_in_is_the_end(ending):
    assert ending.event(RunState.RECEIVING, 1.0, all_in=True, is_acquiring=acquiring) is RunEvent.ALL_IN
    assert ending.reason is EndReason.ALL_IN


@pytest.mark.parametrize("state", [RunState.ARMED, RunState.RECEIVING])
def test_stop_is_the_end(ending, state):
    ending.stop(EndReason.STOPPED)
    assert ending.event(state, 1.0, all_in=False, is_acquiring=acquiring) is RunEvent.STOP
    assert ending.reason is EndReason.STOPPED


def test_the_first_reason_to_stop_counts(ending):
    ending.stop(EndReason.STOPPED)
    ending.stop(EndReason.SERVICE_ENDED)
    ending.event(RunState.RECEIVING, 1.0, all_in=False, is_acquiring=acquiring)
    assert ending.reason is EndReason.STOPPED


def test_quiet_detector_that_stopped_is_the_end_after_the_grace_time(ending):
    assert ending.event(RunState.RECEIVING, GRACE_S - 0.1, all_in=False, is_acquiring=idle) is None
    event = ending.event(RunState.RECEIVING, GRACE_S + 0.1, all_in=False, is_acquiring=idle)
    assert event is RunEvent.DETECTOR_STOPPED
    assert ending.reason is EndReason.DETECTOR_STOPPED


def test_idle_detector_that_has_made_all_frames_is_the_end_as_soon_as_none_is_on_its_way(ending):
    """Its last frames were lost: nothing is to be waited for."""

    def event(now_s: float, *, has_made_all: bool = True, is_acquiring=idle) -> RunEvent | None:
        return ending.event(
            RunState.RECEIVING, now_s, all_in=False, is_acquiring=is_acquiring, has_made_all=lambda: has_made_all
        )

    assert event(DRAIN_S - 0.1) is None
    assert event(DRAIN_S + 0.1, is_acquiring=acquiring) is None
    assert event(DRAIN_S + 0.2, has_made_all=False) is None
    assert event(DRAIN_S + 0.3) is None, "it is asked once a second"
    assert event(DRAIN_S + 1.3) is RunEvent.DETECTOR_STOPPED


def test_every_frame_renews_the_grace_time(ending):
    ending.frame_came(50.0)
    assert ending.event(RunState.RECEIVING, GRACE_S + 49.0, all_in=False, is_acquiring=idle) is None


def test_an_armed_run_waits_for_its_first_frame_as_long_as_it_takes(ending):
    assert ending.event(RunState.ARMED, 1e6, all_in=False, is_acquiring=idle) is None


def test_draining_is_over_when_every_frame_made_was_seen(ending):
    ending.begin_draining(10.0, n_exposed=5)
    assert not ending.is_drained(10.1, n_seen=4)
    assert ending.is_drained(10.1, n_seen=5)


@pytest.mark.parametrize("n_exposed", [5, None])
def test_draining_is_over_when_it_has_been_quiet(ending, n_exposed):
    ending.begin_draining(10.0, n_exposed)
    ending.frame_came(11.0)
    assert not ending.is_drained(11.0 + DRAIN_S, n_seen=4)
    assert ending.is_drained(11.1 + DRAIN_S, n_seen=4)


def test_draining_ends_although_frames_keep_coming(ending):
    ending.begin_draining(10.0, n_exposed=None)
    too_late_s = 10.1 + LONGEST_DRAIN * DRAIN_S
    ending.frame_came(too_late_s)
    assert ending.is_too_long(too_late_s)
    assert ending.is_drained(too_late_s, n_seen=10**6)


def test_an_armed_run_ends_when_its_time_out_has_passed_and_a_begun_one_does_not():
    ending = Ending(GRACE_S, DRAIN_S, armed_timeout_s=3600.0)
    ending.frame_came(0.0)
    assert ending.event(RunState.ARMED, 3599.0, all_in=False, is_acquiring=idle) is None
    assert ending.event(RunState.RECEIVING, 3601.0, all_in=False, is_acquiring=acquiring) is None
    assert ending.event(RunState.ARMED, 3601.0, all_in=False, is_acquiring=acquiring) is RunEvent.NOT_BEGUN
    assert ending.reason is EndReason.NOT_BEGUN
