"""Polling of the controller of the simulated motors."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from iocsim.motors import polling
from iocsim.motors.polling import FAST_PERIOD_S, SETTLE_S, Polling
from iocsim.pv import PvTable

S = 1_000_000_000
FAR_NS = 10**15


@pytest.fixture
def polled_since_0(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling.time, "time_ns", lambda: 0)


@pytest.mark.usefixtures("polled_since_0")
@pytest.mark.parametrize(("period_s", "shown_s"), [(0.0, FAST_PERIOD_S), (0.1, 0.1)])
def test_polls_keep_their_rate_whenever_a_move_begins(period_s: float, shown_s: float):
    poll = Polling(PvTable("SIM:"), period_s)
    period_ns = round(S * shown_s)
    for now_ns in (1, period_ns - 1, period_ns, 12_345_678_901):
        next_ns = poll.next_ns(now_ns, FAR_NS)
        assert next_ns % period_ns == 0 and now_ns < next_ns <= now_ns + period_ns


@pytest.mark.usefixtures("polled_since_0")
def test_fast_controller_tells_the_end_of_a_motion_when_it_has_settled():
    end_ns, settle_ns = S + 1_000_000, round(S * SETTLE_S)
    assert Polling(PvTable("SIM:")).next_ns(S, end_ns) == end_ns + settle_ns
    assert Polling(PvTable("SIM:"), 0.1).next_ns(S, end_ns) == S + S // 10


@pytest.mark.usefixtures("polled_since_0")
def test_jittered_polls_are_each_early_or_late_by_the_seed_and_none_is_left_out():
    def times_ns(seed: int) -> list[int]:
        async def run() -> list[int]:
            table = PvTable("SIM:")
            poll = Polling(table, 0.05, seed)
            await table.pvs["SIM:MotorPollJitter"].write(0.02)
            times_ns = [0]
            while len(times_ns) <= 40:
                times_ns.append(poll.next_ns(times_ns[-1], FAR_NS))
            return times_ns[-39:]

        return asyncio.run(run())

    late_ns = np.array(times_ns(1)) - S // 20 * np.arange(1, 41)[-39:]
    first = round(late_ns[0] / (S / 20)) * S // 20  # the poll of time 0 may come after it
    late_ns -= first
    assert (abs(late_ns) <= S // 50).all()
    assert late_ns.min() < -S // 100 and late_ns.max() > S // 100
    assert times_ns(1) == times_ns(1) != times_ns(2)
