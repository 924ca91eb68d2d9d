"""The life of a run as one table: which event leads from which state to which.

An event that the table does not know raises `IllegalTransition` and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class RunState(StrEnum):
    """States of a run. The state belongs to the run; the service's own health is another matter."""

    IDLE = "IDLE"
    ARMED = "ARMED"
    RECEIVING = "RECEIVING"
    DRAINING = "DRAINING"
    COMPLETE = "COMPLETE"
    INCOMPLETE = "INCOMPLETE"
    ABORTED = "ABORTED"
    FAILED = "FAILED"

    @property
    def has_ended(self) -> bool:
        return self in END_STATES


END_STATES = frozenset({RunState.COMPLETE, RunState.INCOMPLETE, RunState.ABORTED, RunState.FAILED})


class RunEvent(StrEnum):
    """Events of a run."""

    ARM = "arm"
    FRAME = "frame"
    ALL_IN = "all expected frames are in"
    NOT_BEGUN = "no frame within the time-out"
    DETECTOR_STOPPED = "detector stopped"
    DETECTOR_GONE = "detector gone"
    STOP = "stop"
    ABORT = "abort"
    FAIL = "fail"
    ALL_ACCOUNTED = "every frame stored"
    NOT_ALL_ACCOUNTED = "frames missing"


class EndReason(StrEnum):
    """End reasons of a run, as a beamline scientist would say them."""

    ALL_IN = "all expected frames were received"
    BEYOND_PLAN = "all expected frames were received, and the detector exposed more than were announced"
    FRAMES_LOST = "all expected frames were exposed, but not all of them were received"
    NOT_BEGUN = "no frame came within service.armed_timeout_s of the profile after arming"
    STOPPED = "stopped by the plan or the operator"
    DETECTOR_STOPPED = "the detector stopped before all expected frames came"
    DETECTOR_IDLE = "the detector stopped"
    DETECTOR_GONE = "the detector did not answer any more"
    RECORDING_READ = "the recording was read to its end"
    RECORDING_BROKEN = "the recording cannot be read to its end"
    REFUSED = "the settings do not fit the frames"
    ABORTED = "aborted by the plan or the operator"
    SERVICE_ENDED = "the service was asked to end"
    SERVICE_AWAY = "the service was killed, and could not go on with the run when it was started again"
    FAILED = "the service could not go on"


FAILURES = frozenset({EndReason.RECORDING_BROKEN, EndReason.REFUSED, EndReason.FAILED})
"""Reasons of a run that has FAILED."""


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run has ended."""

    state: RunState
    reason: str
    """An `EndReason`, with what is to be added to it."""
    message: str
    """What became of its frames, in sentences."""


class IllegalTransition(Exception):  # noqa: N818  (a claim about the caller, not an error of the run)
    """An event that cannot happen in this state."""


TRANSITIONS: dict[tuple[RunState, RunEvent], RunState] = {
    (RunState.IDLE, RunEvent.ARM): RunState.ARMED,
    (RunState.ARMED, RunEvent.FRAME): RunState.RECEIVING,
    (RunState.RECEIVING, RunEvent.FRAME): RunState.RECEIVING,
    (RunState.RECEIVING, RunEvent.ALL_IN): RunState.DRAINING,
    (RunState.RECEIVING, RunEvent.DETECTOR_STOPPED): RunState.DRAINING,
    (RunState.ARMED, RunEvent.NOT_BEGUN): RunState.DRAINING,
    (RunState.ARMED, RunEvent.DETECTOR_GONE): RunState.DRAINING,
    (RunState.RECEIVING, RunEvent.DETECTOR_GONE): RunState.DRAINING,
    (RunState.ARMED, RunEvent.STOP): RunState.DRAINING,
    (RunState.RECEIVING, RunEvent.STOP): RunState.DRAINING,
    (RunState.DRAINING, RunEvent.FRAME): RunState.DRAINING,
    (RunState.DRAINING, RunEvent.ALL_ACCOUNTED): RunState.COMPLETE,
    (RunState.DRAINING, RunEvent.NOT_ALL_ACCOUNTED): RunState.INCOMPLETE,
    (RunState.ARMED, RunEvent.ABORT): RunState.ABORTED,
    (RunState.RECEIVING, RunEvent.ABORT): RunState.ABORTED,
    (RunState.DRAINING, RunEvent.ABORT): RunState.ABORTED,
    (RunState.IDLE, RunEvent.FAIL): RunState.FAILED,
    (RunState.ARMED, RunEvent.FAIL): RunState.FAILED,
    (RunState.RECEIVING, RunEvent.FAIL): RunState.FAILED,
    (RunState.DRAINING, RunEvent.FAIL): RunState.FAILED,
}


def after(state: RunState, event: RunEvent) -> RunState:
    """The state that follows `state` on `event`; raises `IllegalTransition` where the table has none."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransition(f"a run that is {state} cannot take the event '{event}'") from None
