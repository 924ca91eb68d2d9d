"""Alarms that stay a while after their cause has gone, so that a value around its limit does not let them flap.

A queue, a latency or a share of rejected rows may cross a limit ten times a second, each time an event for the alarm
handler and a call for somebody. What is held is the worst of the last seconds, while the run that it is about goes on;
its end is told as it is.
"""

from __future__ import annotations

from dataclasses import replace

from stream_service.settings.alarm import Alarm, Severity
from stream_service.settings.alarms import GOING_ON, HELD_S
from stream_service.settings.service_status import ServiceStatus
from stream_service.settings.status_table import STATUS, ServicePV

HELD = tuple(pv for pv in STATUS if pv.alarm.is_held)


class HeldAlarms:
    """Those of the newest run; one thread may use it."""

    def __init__(self) -> None:
        self._run_number = -1
        self._seen: dict[ServicePV, dict[Severity, tuple[Alarm, float]]] = {}
        """The latest alarm of each severity that a PV has had, and when."""

    def kept_in(self, status: ServiceStatus, now_s: float) -> ServiceStatus:
        """The status with what is held at this moment of a clock that never steps."""
        if status.run.run_number != self._run_number or status.run.state not in GOING_ON:
            self._run_number, self._seen = status.run.run_number, {}
        if status.run.state not in GOING_ON:
            return status
        held: dict[str, Alarm] = {}
        for pv in HELD:
            now, seen = pv.alarm.look(status), self._seen.setdefault(pv, {})
            if now.severity:
                seen[now.severity] = now, now_s
            recent = [alarm for alarm, seen_s in seen.values() if now_s - seen_s <= HELD_S]
            worst = max(recent, key=lambda alarm: alarm.severity, default=now)
            if worst.severity > now.severity:
                held[pv] = worst
        return replace(status, held=held) if held else status
