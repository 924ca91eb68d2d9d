"""Live frames and their readbacks: what is asked, how long is waited, and who is flagged. Time is an argument."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scripted_run import AT_REST, BEFORE_NS, profile_for

from stream_service.core.exposure import Exposure, Flag
from stream_service.core.frame import Frame, FrameId
from stream_service.core.pairing.readback import Readback
from stream_service.core.receipt import Arrival, Receipt
from stream_service.run.live.live_settings import live_rules
from stream_service.run.pairing import ASK_S, Pairing
from stream_service.testing.manual_clock import ManualClock
from stream_service.testing.scripted_readbacks import ScriptedReadbacks

T0_NS = 1_795_218_868_000_000_000
HOUR_NS = 3600 * 10**9
PIXELS = np.zeros((2, 2), np.uint16)


class Bench:
    """A pairing on a clock that the test moves; data time is that clock, and frames arrive 2 ms after their end."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.readbacks = ScriptedReadbacks(self.clock, AT_REST, BEFORE_NS)
        self.asked: list[tuple[int, float]] = []
        ask = self.readbacks.ask

        def noted(frame_end_ns: int, arrived_at: float) -> None:
            self.asked.append((frame_end_ns, arrived_at))
            ask(frame_end_ns, arrived_at)

        self.readbacks.ask = noted  # type: ignore[method-assign]
        readbacks: Any = self.readbacks
        self.pairing = Pairing(live_rules(profile_for(Path())), readbacks)
        self.n_frames = 0

    @property
    def data_ns(self) -> int:
        return T0_NS + round(self.clock.now_s * 1e9)

    def frame(self, *, ahead_ns: int = 0) -> None:
        """A frame that arrives now, stamped 2 ms ago."""
        frame = Frame(self.n_frames, self.data_ns - 2_000_000 + ahead_ns, PIXELS, {"energy": 700.0}, self.clock.now_s)
        receipt = Receipt(Arrival.NEW, FrameId(0, self.n_frames), self.n_frames)
        self.pairing.add(frame, receipt, 0.001, self.clock.now_s)
        self.n_frames += 1

    def loops(self, seconds: float, step_s: float = 0.02) -> list[Exposure]:
        """The run's loop for some time."""
        ready = []
        until_s = self.clock.now_s + seconds
        while self.clock.now_s < until_s:
            list(self.pairing.take_readbacks())
            ready += self.pairing.ready(self.clock.now_s)
            self.clock.now_s += step_s
        return ready


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.loops(0.1)
    return made


def test_frame_leaves_as_soon_as_its_readbacks_are_confirmed(bench):
    bench.frame()
    (exposure,) = bench.loops(0.1)
    assert exposure.flags == Flag.NONE
    assert exposure.values["x"] == pytest.approx(3e-6)
    assert len(bench.pairing) == 0 and bench.pairing.waiting_bytes == 0


def test_nothing_is_asked_while_no_frame_waits(bench):
    assert bench.asked == []


def test_questions_are_not_asked_faster_than_they_can_be_answered(bench):
    bench.readbacks.dead = {"x"}
    bench.frame()
    bench.loops(0.1, step_s=0.001)
    assert len(bench.asked) <= 0.1 / ASK_S + 1


def test_frame_with_a_dead_readback_is_flagged_when_its_own_time_out_is_over(bench):
    """The one that came late is not flagged with the first: its readback may still come."""
    bench.readbacks.dead = {"x"}
    bench.frame()
    assert bench.loops(4.0) == []
    bench.frame()
    (first,) = bench.loops(2.0)
    assert (first.ordinal, first.flags) == (0, Flag.UNBRACKETED)
    bench.readbacks.dead = set()
    (second,) = bench.loops(0.1)
    assert (second.ordinal, second.flags) == (1, Flag.NONE)


def test_update_that_comes_late_is_paired(bench):
    bench.readbacks.dead = {"x"}
    bench.frame()
    assert bench.loops(1.0) == []
    bench.readbacks.events.append(Readback("x", 3.01, bench.data_ns))
    (exposure,) = bench.loops(0.1)
    assert (exposure.flags, exposure.values["x"]) == (Flag.NONE, pytest.approx(3e-6))


def test_frame_stamped_in_the_future_makes_no_readback_look_complete(bench):
    """It is flagged; all others wait for what they need, and are right."""
    for _ in range(2):
        bench.frame()
        bench.loops(0.1)
    bench.frame(ahead_ns=HOUR_NS)
    assert [(exposure.ordinal, exposure.flags) for exposure in bench.loops(0.1)] == [(2, Flag.NO_TIME)]
    bench.frame()
    ready = bench.loops(6.0)
    assert [(exposure.ordinal, exposure.flags) for exposure in ready] == [(3, Flag.NONE)]
    assert all(end_ns < T0_NS + HOUR_NS for end_ns, _ in bench.asked)
    bench.readbacks.dead = {"x"}
    bench.frame()
    assert bench.loops(1.0) == [], "nothing was confirmed beyond the present"


def test_first_frame_stamped_in_the_future_waits_until_a_second_could_come(bench):
    bench.frame(ahead_ns=HOUR_NS)
    bench.loops(0.02, step_s=0.005)
    assert bench.asked == []
    for _ in range(3):
        bench.frame()
        bench.clock.now_s += 0.001
    assert {exposure.ordinal: exposure.flags for exposure in bench.loops(0.1)}[3] == Flag.NONE
    assert bench.asked and all(end_ns < T0_NS + HOUR_NS for end_ns, _ in bench.asked)


def test_what_was_confirmed_on_the_word_of_a_wrong_first_frame_is_taken_back(bench):
    """Frames come every half second, while the axis posts; the first is stamped an hour ahead."""
    bench.frame(ahead_ns=HOUR_NS)
    flags = {exposure.ordinal: exposure.flags for exposure in bench.loops(0.5)}
    for _ in range(5):
        bench.frame()
        bench.readbacks.events.append(Readback("x", 3.0, bench.data_ns + 1_000_000))
        flags |= {exposure.ordinal: exposure.flags for exposure in bench.loops(0.5)}
    assert [flags[ordinal] for ordinal in (3, 4, 5)] == [Flag.NONE] * 3


def test_frame_stamped_long_ago_holds_up_nothing(bench):
    for ahead_ns in (0, -HOUR_NS, 0):
        bench.frame(ahead_ns=ahead_ns)
        bench.clock.now_s += 0.001
    ready = bench.loops(0.2)
    assert {exposure.ordinal: exposure.flags for exposure in ready} == {0: Flag.NONE, 1: Flag.NO_TIME, 2: Flag.NONE}


def test_histories_survive_a_frame_stamped_in_the_future(bench):
    for _ in range(200):
        bench.readbacks.events.append(Readback("x", 3.0, bench.data_ns))
        bench.loops(0.02)
    for _ in range(3):
        bench.frame()
    bench.frame(ahead_ns=HOUR_NS)
    for _ in range(200):
        bench.readbacks.events.append(Readback("x", 3.0, bench.data_ns))
        bench.loops(0.02)
    bench.frame()
    ready = bench.loops(6.0)
    assert ready[-1].flags == Flag.NONE


@pytest.mark.parametrize("late_s", [0.05, 0.5, 2.0])
def test_readback_of_a_moving_axis_that_comes_late_is_waited_for(late_s: float) -> None:
    """Within `pairing_timeout_s` of 5 s: the frame lies between two updates, of which the second comes late."""
    bench = Bench()
    bench.loops(1.0)
    bench.readbacks.dead = {"x", "x_moving"}
    bench.readbacks.events += [Readback("x_moving", 1.0, bench.data_ns), Readback("x", 3.0, bench.data_ns)]
    began_ns = bench.data_ns
    bench.loops(0.05)
    bench.frame()
    mid_ns = bench.data_ns - 2_500_000
    assert bench.loops(late_s) == []
    ends_ns = began_ns + 100_000_000
    bench.readbacks.events += [Readback("x", 13.0, ends_ns), Readback("x_moving", 0.0, ends_ns)]
    bench.readbacks.dead = set()
    (exposure,) = bench.loops(0.2)
    assert exposure.values["x"] == pytest.approx(1e-6 * (3.0 + 10.0 * (mid_ns - began_ns) / 1e8), rel=1e-9)
    assert Flag.UNBRACKETED not in exposure.flags
