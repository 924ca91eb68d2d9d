"""Alarms of the service's PVs: which has one when, how severe it is, and what it says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stream_service.core.account import Account
from stream_service.core.run import RunState
from stream_service.settings.alarm import Condition
from stream_service.settings.pv_descriptions import MOST_CHARACTERS, SHORT, description_of
from stream_service.settings.service_status import (
    NO_RUN,
    DataPlace,
    Health,
    Judged,
    LatestRowStatus,
    ReadbackStatus,
    ServiceStatus,
    Severity,
)
from stream_service.settings.status_table import STATUS, ServicePV

RUN = replace(
    NO_RUN,
    state=RunState.RECEIVING,
    account=Account(1000, 500, 0, 0, 0, 0, 0, 0, 0),
    received=500,
    rows=500,
    rows_expected=1000,
    row_bytes=1_000_000,
    budget_bytes=1024,
    latest=LatestRowStatus(latency_s=0.05),
)
WELL = ServiceStatus(Health.BUSY, RUN, place=DataPlace("/data", 500e9))
SILENT = ReadbackStatus("x", "IOC:x", False, 3, 0.0, "um", 0)
NONE, MINOR, MAJOR = Severity.NONE, Severity.MINOR, Severity.MAJOR


def run(**changes: Any) -> ServiceStatus:
    return replace(WELL, run=replace(RUN, **changes))


def account(**changes: int) -> ServiceStatus:
    return run(account=replace(RUN.account, **changes))


def disk(free_bytes: float, **changes: Any) -> ServiceStatus:
    return replace(run(**changes), place=DataPlace("/data", free_bytes))


CASES = [
    (ServicePV.STATE, run(state=RunState.FAILED), MAJOR, Condition.STATE, ""),
    (ServicePV.STATE, run(state=RunState.INCOMPLETE), MINOR, Condition.STATE, ""),
    (ServicePV.STATE, run(state=RunState.ABORTED), MINOR, Condition.STATE, ""),
    (ServicePV.MESSAGE, run(severity=MAJOR, message="the disk is away"), MAJOR, Condition.STATE, "the disk is away"),
    (ServicePV.ARM_ERROR, replace(WELL, arm_error="no such dark"), MINOR, Condition.STATE, "no such dark"),
    (ServicePV.FRAMES_LOST, run(gaps=1), MINOR, Condition.HIGH, "1 frame lost"),
    (ServicePV.FRAMES_LOST, run(gaps=30), MAJOR, Condition.HIHI, "30 frames lost, more than one in twenty"),
    (
        ServicePV.FRAMES_INCOMPLETE,
        account(incomplete=2),
        MINOR,
        Condition.STATE,
        "2 frames of groups that never filled",
    ),
    (ServicePV.FRAMES_UNEXPECTED, account(unexpected=1), MINOR, Condition.STATE, "1 unexpected frame"),
    (ServicePV.BAD_MESSAGES, run(bad_messages=2), MINOR, Condition.STATE, "2 unusable messages"),
    (ServicePV.QUEUE_BYTES, run(queue_bytes=128), MINOR, Condition.HIGH, "frames wait"),
    (ServicePV.QUEUE_BYTES, run(queue_bytes=768), MAJOR, Condition.HIHI, "frames wait"),
    (ServicePV.QUEUE_BYTES, run(queue_bytes=768, budget_bytes=0), NONE, Condition.NO_ALARM, ""),
    (ServicePV.LATENCY, run(latest=LatestRowStatus(latency_s=3.0)), MINOR, Condition.HIGH, "3.0 s after"),
    (ServicePV.LATENCY, run(latest=LatestRowStatus(latency_s=11.0)), MAJOR, Condition.HIHI, "11.0 s after"),
    (
        ServicePV.LATENCY,
        run(latest=LatestRowStatus(latency_s=11.0), state=RunState.COMPLETE),
        NONE,
        Condition.NO_ALARM,
        "",
    ),
    (ServicePV.REJECTED_SHARE, run(judged=Judged(recent_share=0.05)), MINOR, Condition.HIGH, "5 % of the latest rows"),
    (ServicePV.LAST_REJECTED, run(judged=Judged(recent_share=0.2)), MAJOR, Condition.HIHI, "20 % of the latest rows"),
    (ServicePV.READBACKS_LOST, replace(WELL, readbacks=(SILENT,)), MAJOR, Condition.COMM, "IOC:x is not connected"),
    (
        ServicePV.READBACK_PROBLEM,
        replace(run(state=RunState.COMPLETE), readbacks=(SILENT,)),
        MINOR,
        Condition.COMM,
        "IOC:x is not connected",
    ),
    (ServicePV.DISK_FREE, disk(15e9), MINOR, Condition.LOW, "15.0 GB are free"),
    (ServicePV.DISK_FREE, disk(1e9), MAJOR, Condition.LOLO, "1.0 GB are free"),
    (
        ServicePV.DISK_FREE,
        disk(30e9, rows_expected=50_500),
        MAJOR,
        Condition.LOLO,
        "the 50000 rows to come take 50.0 GB, and 30.0 GB are free",
    ),
    (ServicePV.DISK_FREE, disk(30e9, rows_expected=50_500, state=RunState.COMPLETE), NONE, Condition.NO_ALARM, ""),
    (ServicePV.DATA_ROOT, replace(WELL, place=DataPlace("/data", problem="gone")), MAJOR, Condition.COMM, "gone"),
    (ServicePV.RESUMING, replace(WELL, is_resuming=True), MINOR, Condition.STATE, "takes no frames yet"),
]


@pytest.mark.parametrize(("pv", "status", "severity", "condition", "words"), CASES)
def test_alarm_follows_from_the_status(
    pv: ServicePV, status: ServiceStatus, severity: Severity, condition: Condition, words: str
) -> None:
    alarm = pv.alarm_in(status)
    assert alarm[:2] == (severity, condition)
    assert words in alarm.words


@pytest.mark.parametrize("status", [WELL, ServiceStatus(Health.READY), run(state=RunState.COMPLETE)])
def test_nothing_is_alarmed_while_all_is_well(status: ServiceStatus) -> None:
    assert {pv: pv.alarm_in(status) for pv in STATUS if pv.severity_in(status)} == {}


def test_every_rule_is_tried_here_and_told_to_people() -> None:
    """So that a PV which gets an alarm gets a case, too."""
    tried = {pv.alarm.look for pv, *_ in CASES}
    assert {pv.alarm.look for pv in STATUS if pv.alarm.about} == tried


def test_limits_that_displays_are_given_are_those_of_the_alarm() -> None:
    shown = {pv: pv.limits_in(WELL) for pv in STATUS}
    assert shown[ServicePV.QUEUE_BYTES][2:] == (128, 768)
    assert shown[ServicePV.DISK_FREE][:2] == (2.0, 20.0)
    for pv, limits in shown.items():
        for limit in limits:
            assert limit != limit or limits.alarm_of(limit, "").severity, pv


@pytest.mark.parametrize("pv", ServicePV)
def test_description_fits_where_epics_has_room_for_it(pv: ServicePV) -> None:
    assert len(description_of(pv)) <= MOST_CHARACTERS
    assert description_of(pv).isascii()
    assert pv not in SHORT or len(pv.meaning) > MOST_CHARACTERS
