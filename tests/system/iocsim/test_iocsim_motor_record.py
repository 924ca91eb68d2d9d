"""The simulated motors beside a real motor record: the same actions of a client make them post the same.

In a time of our own, since where a put falls between two polls decides what is posted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from motor_trace import POST_ORDER, Action, TracePost, read_trace, told
from virtual_time import VirtualTime

from iocsim.motors import motor, polling
from iocsim.motors.motor import Motor
from iocsim.motors.polling import Polling
from iocsim.pv import UNDEFINED_TIME_NS, PvTable

RECORDING = Path(__file__).parents[2] / "data" / "motor_record_traces.txt"
POLL_S = 0.1
AFTER_POLL_S = 0.003
LOOK_S = 0.02


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> VirtualTime:
    clock = VirtualTime()
    monkeypatch.setattr(motor, "time", clock)
    monkeypatch.setattr(polling, "time", clock)
    return clock


class Recorder:
    """Does to X what was done to the real motor, and writes down what it posts."""

    def __init__(self, clock: VirtualTime, poll_s: float) -> None:
        self.actions: list[Action] = []
        self._clock = clock
        self._table = PvTable("SIM:")
        Motor(self._table, "X", Polling(self._table.below("Sim:"), poll_s), lambda true_ns: true_ns)
        self._posted: list[TracePost] = []
        self._last_stamp_s = 0.0
        for field in POST_ORDER:
            self._write_down(field)

    async def put(self, field: str, value: float, *, waits: bool) -> None:
        """Put, as a client of CA does."""
        self._note()
        self.actions.append(Action(field, value, self._clock.time_ns() / 1e9, waits))
        putting = asyncio.create_task(self._table.pvs[f"SIM:X.{field}"].write(value))
        if waits:
            await putting

    async def put_after_poll(self, field: str, value: float, *, waits: bool) -> None:
        """Put, a little after a poll as in the recording, so that moves end at the same poll."""
        if stamps := [post.stamp_s for post in self._posted if post.stamp_s is not None]:
            self._last_stamp_s = max(stamps)
        if self._last_stamp_s:
            since_s = self._clock.time_ns() / 1e9 - self._last_stamp_s
            await asyncio.sleep(POLL_S - since_s % POLL_S + AFTER_POLL_S)
        await self.put(field, value, waits=waits)

    async def wait_for(self, field: str, condition: Callable[[float], bool]) -> None:
        """Wait for an update."""
        while not any(post.field == field and condition(post.value) for post in self._posted):
            await asyncio.sleep(LOOK_S)

    def finish(self) -> list[Action]:
        """All that was done and posted."""
        self._note()
        return self.actions

    def _write_down(self, field: str) -> None:
        pv = self._table.pvs[f"SIM:X.{field}"]
        post = pv.post

        async def posted(value: float, time_ns: int) -> None:
            await post(value, time_ns)
            stamp_s = None if time_ns == UNDEFINED_TIME_NS else time_ns / 1e9
            self._posted.append(TracePost(field, float(getattr(pv, "index", value)), stamp_s))

        pv.post = posted  # type: ignore[method-assign]

    def _note(self) -> None:
        if self.actions:
            self.actions[-1].posts.extend(self._posted)
        self._posted.clear()


def test_what_a_real_motor_record_posted_is_what_is_posted_here(clock: VirtualTime):
    """Field by field, with old and new stamps, at the 10 Hz of the recording."""
    recorded = read_trace(RECORDING)
    for seen, expected in zip(told(clock.run(_replayed(recorded, clock))), told(recorded), strict=True):
        assert seen == expected


async def _replayed(recorded: list[Action], clock: VirtualTime) -> list[Action]:
    """The recorded actions done to a fresh motor, and what it posts."""
    recorder = Recorder(clock, POLL_S)
    await recorder.put("VELO", 20.0, waits=True)
    await recorder.put("ACCL", 0.1, waits=True)
    recorder.actions.clear()
    for action, following in zip(recorded, [*recorded[1:], None], strict=True):
        await recorder.put_after_poll(action.field, action.value, waits=action.waits)
        if action.waits:
            continue
        if following is not None and following.field == "SPMG":  # SPMG is Stop: it does not move
            await recorder.wait_for("VAL", lambda value: value == 4.0)
        elif following is not None and following.field == "VAL" and action.field == "STOP":
            await recorder.wait_for("DMOV", lambda value: value == 1)
        elif following is not None and following.field == "VAL":
            await recorder.wait_for("RBV", lambda value: value < 5.4)
        else:
            await recorder.wait_for("RBV", lambda value: value < 7.6)
    await recorder.wait_for("VELO", lambda value: value == 10.0)
    return recorder.finish()


def test_a_small_step_takes_five_milliseconds(clock: VirtualTime):
    """0.1 um: 1 ms of motion, 2 ms to settle, and 2 ms until the put-callback."""

    async def steps() -> None:
        recorder = Recorder(clock, 0.0)
        for step in range(1, 21):
            began_ns = clock.time_ns()
            await recorder.put("VAL", 0.1 * step, waits=True)
            assert clock.time_ns() - began_ns == pytest.approx(5e6, abs=1e5)
        for action in recorder.finish():
            done = action.posts[-1]
            assert (done.field, done.value) == ("DMOV", 1)
            assert done.stamp_s == pytest.approx(action.put_s + 0.003, abs=1e-4)

    clock.run(steps())
