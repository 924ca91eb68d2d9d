"""The state machine of a run never leaves its table, and every run can end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_service.core.run import END_STATES, TRANSITIONS, IllegalTransition, RunEvent, RunState, after

UNENDED = [state for state in RunState if not state.has_ended]


@given(st.lists(st.sampled_from(RunEvent)))
def test_any_events_lead_through_the_table_only(events):
    state = RunState.IDLE
    for event in events:
        if (state, event) in TRANSITIONS:
            state = after(state, event)
        else:
            with pytest.raises(IllegalTransition, match=f"{state}.*'{event}'"):
                after(state, event)
        assert state in RunState


@given(st.sampled_from(RunState), st.sampled_from(RunEvent))
def test_illegal_event_raises_and_changes_nothing(state, event):
    before = dict(TRANSITIONS)
    if (state, event) in TRANSITIONS:
        assert after(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(IllegalTransition):
            after(state, event)
    assert before == TRANSITIONS


@pytest.mark.parametrize("state", sorted(END_STATES))
@pytest.mark.parametrize("event", RunEvent)
def test_a_run_that_ended_takes_no_event(state, event):
    with pytest.raises(IllegalTransition):
        after(state, event)


def reachable(start: RunState) -> set[RunState]:
    found = {start}
    while more := {to for (state, _), to in TRANSITIONS.items() if state in found} - found:
        found |= more
    return found


@pytest.mark.parametrize("state", UNENDED)
def test_every_end_can_be_reached_from_every_state_before_it(state):
    assert reachable(state) >= END_STATES


def test_every_state_can_be_reached():
    assert reachable(RunState.IDLE) == set(RunState)


@pytest.mark.parametrize("state", UNENDED)
def test_a_run_can_fail_at_any_time(state):
    assert after(state, RunEvent.FAIL) is RunState.FAILED


@pytest.mark.parametrize("state", [RunState.ARMED, RunState.RECEIVING, RunState.DRAINING])
def test_an_armed_run_can_be_aborted_at_any_time(state):
    assert after(state, RunEvent.ABORT) is RunState.ABORTED


@pytest.mark.parametrize("state", [RunState.ARMED, RunState.RECEIVING])
def test_stop_never_ends_a_run_before_its_account_is_settled(state):
    assert after(state, RunEvent.STOP) is RunState.DRAINING


def test_only_an_account_without_gaps_makes_a_run_complete():
    assert {event for (_, event), to in TRANSITIONS.items() if to is RunState.COMPLETE} == {RunEvent.ALL_ACCOUNTED}
    assert {state for (state, _), to in TRANSITIONS.items() if to is RunState.COMPLETE} == {RunState.DRAINING}


@given(st.lists(st.sampled_from(RunEvent), max_size=30))
def test_every_run_reaches_an_end_state(events):
    """Whatever happened before, a failure always ends it."""
    state = RunState.IDLE
    for event in events:
        state = TRANSITIONS.get((state, event), state)
    assert state.has_ended or after(state, RunEvent.FAIL).has_ended
