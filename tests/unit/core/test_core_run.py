"""The words of the run table; `tests/property/test_run_table.py` has the table itself."""

from __future__ import annotations

import pytest

from stream_service.core.run import END_STATES, EndReason, IllegalTransition, RunEvent, RunState, after


def test_the_ordinary_life_of_a_run():
    state = RunState.IDLE
    for event, expected in (
        (RunEvent.ARM, RunState.ARMED),
        (RunEvent.FRAME, RunState.RECEIVING),
        (RunEvent.FRAME, RunState.RECEIVING),
        (RunEvent.ALL_IN, RunState.DRAINING),
        (RunEvent.ALL_ACCOUNTED, RunState.COMPLETE),
    ):
        state = after(state, event)
        assert state is expected


def test_illegal_event_names_state_and_event():
    with pytest.raises(IllegalTransition, match="a run that is COMPLETE cannot take the event 'stop'"):
        after(RunState.COMPLETE, RunEvent.STOP)


def test_exactly_the_end_states_have_ended():
    assert {state for state in RunState if state.has_ended} == END_STATES


@pytest.mark.parametrize("reason", EndReason)
def test_end_reasons_are_words(reason):
    assert " " in reason.value and reason.value == reason.value.strip()
