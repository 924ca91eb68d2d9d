"""Values that PVs show of one status, by the status table, and which of them show something else than before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from stream_service.settings.alarm import NO_ALARM, Alarm
from stream_service.settings.alarms import NO_LIMITS, Limits
from stream_service.settings.service_status import ServiceStatus
from stream_service.settings.status_table import STATUS, ServicePV, StatusValue


class Shown(NamedTuple):
    """Of one PV."""

    value: StatusValue
    alarm: Alarm = NO_ALARM
    limits: Limits = NO_LIMITS

    def is_same(self, other: Shown | None) -> bool:
        """True if clients see no difference: NaN, which equals nothing, is the same as NaN."""
        return self == other or (other is not None and repr(self) == repr(other))


def shown_in(status: ServiceStatus) -> dict[ServicePV, Shown]:
    """What all PVs show, in the order in which they are posted: a PV after those below it in the table."""
    return {pv: Shown(pv.value_in(status), pv.alarm_in(status), pv.limits_in(status)) for pv in reversed(STATUS)}


def changed(now: Mapping[ServicePV, Shown], before: Mapping[ServicePV, Shown]) -> dict[ServicePV, Shown]:
    """Those of `now` that clients have not seen."""
    return {pv: shown for pv, shown in now.items() if not shown.is_same(before.get(pv))}
