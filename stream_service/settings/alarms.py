"""Alarms of the service's PVs: a rule for each PV that has one, from the status of the service.

MINOR: somebody should look when there is time. MAJOR: rows are lost, or will be, or say nothing; somebody should act
now. What a run has lost is an alarm until the next one is armed. An old readback is no alarm: Channel Access posts on
change, and a stage at rest says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from stream_service.core.run import RunState
from stream_service.settings.alarm import NO_ALARM, Alarm, Condition, Severity
from stream_service.settings.service_status import ServiceStatus
from stream_service.text.counted import counted

LOSS_MAJOR_SHARE = 0.05
"""Frames lost of those that were exposed: a scan with a hole in every twentieth position is worth stopping."""
QUEUE_MINOR_SHARE, QUEUE_MAJOR_SHARE = 1 / 8, 3 / 4
"""Of `service.frame_queue_MiB`: a run that is behind, and one that soon loses frames."""
LATENCY_MINOR_S, LATENCY_MAJOR_S = 2.5, 10.0
"""A row is usually seen within 0.1 s; readbacks that come late take a second or two."""
REJECTED_MINOR_SHARE, REJECTED_MAJOR_SHARE = 0.05, 0.2
"""Of the latest rows: more than single bad ones, and a scan that is not worth its time."""
DISK_MINOR_GB, DISK_MAJOR_GB = 20.0, 2.0
"""Free: somebody should look before the night, and before the next scan."""
HELD_S = 10.0
"""For which an alarm that is held stays after its cause has gone."""
GOING_ON = frozenset({RunState.ARMED, RunState.RECEIVING, RunState.DRAINING})
OF_STATES = {RunState.INCOMPLETE: Severity.MINOR, RunState.ABORTED: Severity.MINOR, RunState.FAILED: Severity.MAJOR}


class Limits(NamedTuple):
    """Values of a PV from which on it has an alarm, MAJOR at the outer two; NaN: none."""

    lolo: float = math.nan
    low: float = math.nan
    high: float = math.nan
    hihi: float = math.nan

    def alarm_of(self, value: float, words: str) -> Alarm:
        """The alarm of a value; NaN has none."""
        for is_beyond, severity, condition in (
            (value >= self.hihi, Severity.MAJOR, Condition.HIHI),
            (value <= self.lolo, Severity.MAJOR, Condition.LOLO),
            (value >= self.high, Severity.MINOR, Condition.HIGH),
            (value <= self.low, Severity.MINOR, Condition.LOW),
        ):
            if is_beyond:
                return Alarm(severity, condition, words)
        return NO_ALARM


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class AlarmRule:
    """How the alarm of a PV follows from the status."""

    about: str
    """For people, in one sentence."""
    look: Callable[[ServiceStatus], Alarm]
    limits: Callable[[ServiceStatus], Limits] = lambda _: NO_LIMITS
    """In the unit of the PV, for displays."""
    is_held: bool = False
    """While a run goes on it stays `HELD_S` after its cause has gone: its value may go to and fro around a limit."""


def _if_any(count: Callable[[ServiceStatus], int], noun: str, more: str = "") -> AlarmRule:
    """MINOR while there is one; the words say what is counted."""

    def look(status: ServiceStatus) -> Alarm:
        n = count(status)
        return Alarm(Severity.MINOR, Condition.STATE, counted(n, noun) + more) if n else NO_ALARM

    return AlarmRule("MINOR: there are some", look)


def _run(status: ServiceStatus) -> Alarm:
    severity = status.run.severity
    return Alarm(severity, Condition.STATE, status.run.message) if severity else NO_ALARM


def _state(status: ServiceStatus) -> Alarm:
    severity = max(status.run.severity, OF_STATES.get(status.run.state, Severity.NONE))
    return Alarm(severity, Condition.STATE, status.run.message) if severity else NO_ALARM


def _arm_error(status: ServiceStatus) -> Alarm:
    return Alarm(Severity.MINOR, Condition.STATE, status.arm_error) if status.arm_error else NO_ALARM


def _loss(status: ServiceStatus) -> Alarm:
    n_lost = status.run.missing
    if not n_lost:
        return NO_ALARM
    words = f"{counted(n_lost, 'frame')} lost"
    if n_lost >= LOSS_MAJOR_SHARE * (status.run.received + n_lost):
        return Alarm(Severity.MAJOR, Condition.HIHI, f"{words}, more than one in twenty")
    return Alarm(Severity.MINOR, Condition.HIGH, words)


def _latency(status: ServiceStatus) -> Alarm:
    if status.run.state not in GOING_ON:
        return NO_ALARM
    latency_s = status.run.latest.latency_s
    return LATENCY_LIMITS.alarm_of(latency_s, f"rows are seen {latency_s:.1f} s after their frames came")


def _queue_limits(status: ServiceStatus) -> Limits:
    budget_bytes = status.run.budget_bytes or math.nan
    return Limits(high=QUEUE_MINOR_SHARE * budget_bytes, hihi=QUEUE_MAJOR_SHARE * budget_bytes)


def _queue(status: ServiceStatus) -> Alarm:
    n_bytes = status.run.queue_bytes
    return _queue_limits(status).alarm_of(n_bytes, f"{n_bytes >> 20} MiB of frames wait: the service is behind")


def _quality(status: ServiceStatus) -> Alarm:
    share = status.run.judged.recent_share
    return QUALITY_LIMITS.alarm_of(share, f"{100 * share:.0f} % of the latest rows are rejected")


def _readbacks(status: ServiceStatus) -> Alarm:
    if not status.lost_readbacks:
        return NO_ALARM
    is_needed = status.run.state in GOING_ON
    return Alarm(Severity.MAJOR if is_needed else Severity.MINOR, Condition.COMM, status.readback_problem)


def _place(status: ServiceStatus) -> Alarm:
    return Alarm(Severity.MAJOR, Condition.COMM, status.place.problem) if status.place.problem else NO_ALARM


def _disk(status: ServiceStatus) -> Alarm:
    if status.place.problem:
        return _place(status)
    run, free_GB = status.run, status.place.free_bytes / 1e9
    n_left = run.rows_expected - run.rows if run.state in GOING_ON else 0
    if (rest_GB := n_left * run.row_bytes / 1e9) > free_GB:
        words = f"the {counted(n_left, 'row')} to come take {rest_GB:.1f} GB, and {free_GB:.1f} GB are free"
        return Alarm(Severity.MAJOR, Condition.LOLO, words)
    return DISK_LIMITS.alarm_of(free_GB, f"{free_GB:.1f} GB are free")


def _resuming(status: ServiceStatus) -> Alarm:
    words = "a run that a killed service has left takes no frames yet"
    return Alarm(Severity.MINOR, Condition.STATE, words) if status.is_resuming else NO_ALARM


LATENCY_LIMITS = Limits(high=LATENCY_MINOR_S, hihi=LATENCY_MAJOR_S)
QUALITY_LIMITS = Limits(high=REJECTED_MINOR_SHARE, hihi=REJECTED_MAJOR_SHARE)
DISK_LIMITS = Limits(lolo=DISK_MAJOR_GB, low=DISK_MINOR_GB)

NEVER = AlarmRule("", lambda _: NO_ALARM)
OF_THE_RUN = AlarmRule("MINOR, MAJOR: what `Message` says of the run, or of the service", _run)
OF_THE_STATE = AlarmRule(
    "MAJOR: the run FAILED, or something that it needs does not answer; MINOR: it is INCOMPLETE or ABORTED, or "
    "something that came is not stored",
    _state,
)
OF_ARMING = AlarmRule("MINOR: not empty", _arm_error)
OF_LOSS = AlarmRule("MINOR: any frame is lost; MAJOR: one in twenty of those exposed", _loss)
OF_LATENCY = AlarmRule(
    f"MINOR from {LATENCY_MINOR_S:g} s, MAJOR from {LATENCY_MAJOR_S:g} s, while a run goes on",
    _latency,
    lambda _: LATENCY_LIMITS,
    is_held=True,
)
OF_INCOMPLETE = _if_any(lambda status: status.run.account.incomplete, "frame", " of groups that never filled")
OF_UNEXPECTED = _if_any(lambda status: status.run.account.unexpected, "unexpected frame")
OF_BAD_MESSAGES = _if_any(lambda status: status.run.bad_messages, "unusable message")
OF_THE_QUEUE = AlarmRule(
    "MINOR from 1/8, MAJOR from 3/4 of `service.frame_queue_MiB`", _queue, _queue_limits, is_held=True
)
OF_QUALITY = AlarmRule(
    f"MINOR from {100 * REJECTED_MINOR_SHARE:g} %, MAJOR from {100 * REJECTED_MAJOR_SHARE:g} % rejected of the latest "
    "rows",
    _quality,
    is_held=True,
)
OF_THE_SHARE = AlarmRule(OF_QUALITY.about, _quality, lambda _: QUALITY_LIMITS, is_held=True)
OF_READBACKS = AlarmRule("MAJOR while a run goes on, else MINOR: a PV gives no value", _readbacks)
OF_THE_FOLDER = AlarmRule(
    "MAJOR: it cannot be read or written, does not answer, or its disk is not mounted any more", _place
)
OF_THE_DISK = AlarmRule(
    f"MINOR below {DISK_MINOR_GB:g} GB, MAJOR below {DISK_MAJOR_GB:g} GB, or when the rest of the run does not fit",
    _disk,
    lambda _: DISK_LIMITS,
    is_held=True,
)
OF_RESUMING = AlarmRule("MINOR: 1", _resuming)
