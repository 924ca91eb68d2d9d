"""The simulated motors beside a real motor record: the same actions of a client make them post the same."""

import time
from collections.abc import Callable
from pathlib import Path

from beamline_client import BeamlineClient, Event
from motor_trace import POST_ORDER, Action, TracePost, read_trace, told

RECORDING = Path(__file__).parents[2] / "data" / "motor_record_traces.txt"
EPICS_EPOCH_S = 631152000
POLL_S = 0.1
ATTEMPTS = 4


class Recorder:
    """Does to X what was done to the real motor, and writes down what it posts."""

    def __init__(self, client: BeamlineClient) -> None:
        self.client = client
        self.actions: list[Action] = []
        self.events = client.watch(*(f"X.{field}" for field in POST_ORDER))
        self.events.clear()
        self._last_stamp_s = 0.0

    def put(self, field: str, value: float, waits: bool) -> None:
        """Put, a little after a poll as in the recording, so that moves end at the same poll."""
        if stamps := [event.timestamp_s for event in self.events if event.timestamp_s != EPICS_EPOCH_S]:
            self._last_stamp_s = max(stamps)
        if self._last_stamp_s:
            time.sleep(POLL_S - (time.time() - self._last_stamp_s) % POLL_S + 0.003)
        self._note()
        self.actions.append(Action(field, value, time.time(), waits))
        self.client.put(f"X.{field}", value, wait=waits)

    def wait_for(self, field: str, condition: Callable[[float], bool]) -> None:
        """Wait for an update."""
        self.client.wait_until(lambda: any(e.name == f"X.{field}" and condition(e.value) for e in self.events))

    def finish(self) -> list[Action]:
        """All that was done and posted."""
        self._note()
        return self.actions

    def _note(self) -> None:
        if self.actions:
            self.actions[-1].posts.extend(_post(event) for event in self.events)
        self.events.clear()


def _post(event: Event) -> TracePost:
    is_undefined = event.timestamp_s == EPICS_EPOCH_S
    return TracePost(event.name.removeprefix("X."), float(event.value), None if is_undefined else event.timestamp_s)


def test_what_a_real_motor_record_posted_is_what_is_posted_here(start_ioc: Callable):
    """Field by field, with old and new stamps, at the 10 Hz of the recording.

    Where a put falls between two polls decides what is posted, and a busy machine delays puts: then it is done again.
    """
    recorded = read_trace(RECORDING)
    expected = told(recorded)
    for left in reversed(range(ATTEMPTS)):
        try:
            for seen, expected_action in zip(told(_replayed(recorded, start_ioc)), expected, strict=True):
                assert seen == expected_action
        except (AssertionError, LookupError):
            if not left:
                raise
        else:
            break


def _replayed(recorded: list[Action], start_ioc: Callable) -> list[Action]:
    """The recorded actions done to a fresh motor, and what it posts."""
    client = BeamlineClient(start_ioc("--shape", "32,48", "--stack", "2", "--motor-poll", POLL_S).prefix)
    try:
        client.put_all(**{"X.VELO": 20.0, "X.ACCL": 0.1})
        recorder = Recorder(client)
        for action, following in zip(recorded, [*recorded[1:], None], strict=True):
            recorder.put(action.field, action.value, action.waits)
            if action.waits:
                continue
            if following is not None and following.field == "SPMG":  # SPMG is Stop: it does not move
                recorder.wait_for("VAL", lambda value: value == 4.0)
            elif following is not None and following.field == "VAL" and action.field == "STOP":
                recorder.wait_for("DMOV", lambda value: value == 1)
            elif following is not None and following.field == "VAL":
                recorder.wait_for("RBV", lambda value: value < 5.4)
            else:
                recorder.wait_for("RBV", lambda value: value < 7.6)
        recorder.wait_for("VELO", lambda value: value == 10.0)
        return recorder.finish()
    finally:
        client.close()
