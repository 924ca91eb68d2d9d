"""A clock that is set back by less than the limit of what receipts tell: its stamps go back, and the lags grow."""

from __future__ import annotations

import random

import pytest

from stream_service.core.clock import Clock, FrameClock, Shown
from stream_service.core.frame import NS_PER_S, FrameTime
from stream_service.core.pairing.frame_times import FrameTimes

LIMIT_S, N, STEP_AT = 10.0, 40, 12
PERIOD_S = 0.03


def test_stamps_are_no_times_until_the_clock_is_put_right() -> None:
    clock, back_ns = Clock(NS_PER_S // 3), NS_PER_S // 5
    admitted = []
    for n in range(30):
        now_ns = n * NS_PER_S // 20
        admitted.append(clock.admit(now_ns - (back_ns if 10 <= n < 20 else 0), now_ns + n % 3 * NS_PER_S // 100))
    assert admitted == [True] * 10 + [False] * 10 + [True] * 10


def test_frame_that_comes_promptly_behind_others_that_waited_shows_which_of_them_are_wrong() -> None:
    """Frames that waited are stamped 4 s ahead of the one after them: did the clock step before them, or after?"""
    for is_after in (False, True):
        clock = FrameClock(10 * NS_PER_S)
        assert clock.admit(0, 0) and clock.admit(NS_PER_S, NS_PER_S)
        assert clock.admit(7 * NS_PER_S, 9 * NS_PER_S, has_waited=True)
        assert clock.admit(3 * NS_PER_S, (7 if is_after else 3) * NS_PER_S) is not is_after
        assert clock.shown is (Shown.NOTHING if is_after else Shown.ANOTHER)


@pytest.mark.parametrize(("back_s", "late_s"), [(0.2, 0.09), (0.5, 0.2), (5.0, 2.0)])
def test_no_frame_has_a_wrong_time_however_it_was_held_up(back_s: float, late_s: float) -> None:
    """Frames come in their order, late by less than half of the step, and wait here for a thread that is busy."""
    n_times = 0
    for seed in range(300):
        chance = random.Random(seed)
        times, at_s, taken_s = FrameTimes(round(LIMIT_S * NS_PER_S)), 0.0, 0.0
        admitted = set()
        busy_s, held_up_s = chance.choice([0.0, 0.1, 2.0]), chance.choice([0.0, late_s / 2, late_s])
        for n in range(N):
            if n and chance.random() < 0.2:  # lost
                continue
            made_s = n * PERIOD_S
            at_s = max(at_s, made_s + 0.002 + held_up_s * chance.random() * (chance.random() < 0.3))
            is_first = at_s >= taken_s  # of those that are taken out together
            taken_s = at_s + busy_s * chance.random() if is_first else taken_s
            received_s, waited_s = (at_s, 0.0) if is_first else (taken_s, taken_s - at_s + 1e-6)
            window = FrameTime().window(round((1000.0 + made_s - back_s * (n >= STEP_AT)) * NS_PER_S), 0.0)
            if times.enter(n, window, round(received_s * NS_PER_S), waited_s=waited_s):
                admitted.add(n)
            admitted -= set(times.take_refuted())
        assert not [n for n in admitted if n >= STEP_AT], f"seed {seed}"
        n_times += len(admitted)
    assert n_times > 2000, "most frames before it have theirs"
