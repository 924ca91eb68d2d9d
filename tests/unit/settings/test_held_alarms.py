"""A value around a limit gives one alarm, not ten a second; what has ended, or is another run, is told as it is."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from stream_service.core.run import RunState
from stream_service.settings.alarm import Severity
from stream_service.settings.alarms import HELD_S
from stream_service.settings.held_alarms import HELD, HeldAlarms
from stream_service.settings.service_status import NO_RUN, Health, Judged, LatestRowStatus, ServiceStatus
from stream_service.settings.status_table import ServicePV

NONE, MINOR, MAJOR = Severity.NONE, Severity.MINOR, Severity.MAJOR
TICK_S = 0.1
RUN = replace(NO_RUN, state=RunState.RECEIVING, budget_bytes=1024)


def run(**changes: Any) -> ServiceStatus:
    return ServiceStatus(Health.BUSY, replace(RUN, **changes))


def queue(n_bytes: int) -> ServiceStatus:
    return run(queue_bytes=n_bytes)


def test_values_around_a_limit_change_the_alarm_once_and_not_ten_times_a_second() -> None:
    rng = np.random.default_rng(0)
    held, severities, without = HeldAlarms(), [], []
    for tick in range(600):
        status = run(
            queue_bytes=int(rng.normal(128, 20)),
            latest=LatestRowStatus(latency_s=float(rng.normal(2.5, 0.2))),
            judged=Judged(recent_share=int(rng.normal(5, 1)) / 100),
        )
        shown = held.kept_in(status, TICK_S * tick)
        severities.append([pv.severity_in(shown) for pv in HELD])
        without.append([pv.severity_in(status) for pv in HELD])
    assert sum(before != after for before, after in pairwise(without)) > 100, "they do flap by themselves"
    assert sum(before != after for before, after in pairwise(severities)) <= 3


def test_alarm_goes_down_by_steps_when_its_cause_has_gone() -> None:
    held = HeldAlarms()
    told = [
        ServicePV.QUEUE_BYTES.alarm_in(held.kept_in(queue(n_bytes), now_s))
        for n_bytes, now_s in ((1000, 0.0), (200, 5.0), (0, 9.0), (0, 10.5), (0, 15.5))
    ]
    assert [alarm.severity for alarm in told] == [MAJOR, MAJOR, MAJOR, MINOR, NONE]
    assert told[0] == told[2], "it says what it was for"


def test_worse_alarm_is_told_at_once() -> None:
    held = HeldAlarms()
    for n_bytes, severity in ((200, MINOR), (1000, MAJOR)):
        assert ServicePV.QUEUE_BYTES.severity_in(held.kept_in(queue(n_bytes), 0.0)) == severity


def test_end_of_a_run_and_another_run_are_told_as_they_are() -> None:
    for other in (run(state=RunState.COMPLETE), run(run_number=2)):
        held = HeldAlarms()
        assert ServicePV.QUEUE_BYTES.severity_in(held.kept_in(queue(1000), 0.0)) is MAJOR
        for now_s in (TICK_S, HELD_S / 2):
            assert ServicePV.QUEUE_BYTES.severity_in(held.kept_in(other, now_s)) is NONE
