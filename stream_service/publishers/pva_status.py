"""The status over PVA: each PV of the table as NTScalar or NTEnum, with what a display or an archiver wants to know.

Posting only hands a value over: clients are served by threads of pvxs, which keeps the latest value for one that does
not keep up. Nothing takes a put; commands go over Channel Access, where the put of one is complete when it is done.
"""

from __future__ import annotations

import time
from typing import Any

from p4p import Type, Value
from p4p.nt import NTEnum, NTScalar
from p4p.server.thread import SharedPV

from stream_service.core.frame import NS_PER_S
from stream_service.publishers.shown import Shown, changed, shown_in
from stream_service.settings.alarms import NO_LIMITS
from stream_service.settings.pv_type import Kind
from stream_service.settings.service_status import ServiceStatus, Severity
from stream_service.settings.status_table import ServicePV

REFUSAL = "{} is read-only over PVA: commands are put over Channel Access (Request, Arm, Repeat, Stop, Abort)"
CODES = {Kind.CHAR: "s", Kind.LONG: "l", Kind.DOUBLE: "d"}
"""Types of values in p4p's letters."""
FORMS = ("Default", "String", "Binary", "Decimal", "Hex", "Exponential", "Engineering")
"""Choices of `display.form`; `Decimal` shows `display.precision` digits."""
NO_STATUS, RECORD_STATUS = 0, 3
"""Where an alarm comes from: `alarm.status`."""


class ReadOnly:
    """Answer to puts."""

    def __init__(self, pv: ServicePV) -> None:
        self._refusal = REFUSAL.format(pv)

    def put(self, channel: SharedPV, operation: Any) -> None:
        """Refuse it in a sentence."""
        operation.done(error=self._refusal)


class PvaStatus:
    """A channel for each PV of the status, for a server."""

    def __init__(self, status: ServiceStatus) -> None:
        self._shown = shown_in(status)
        self._types = {pv: type_of(pv) for pv in self._shown}
        self.channels = {pv: self._channel(pv, shown) for pv, shown in self._shown.items()}

    def publish(self, status: ServiceStatus) -> None:
        """Post every PV that shows something else than what was posted; returns at once.

        Raises what the posting of one has raised, when all others are posted.
        """
        defects: list[Exception] = []
        for pv, now in changed(shown_in(status), self._shown).items():
            try:
                self.channels[pv].post(Value(self._types[pv], fields_of(pv, now)))
                self._shown[pv] = now
            except Exception as defect:  # noqa: BLE001  (raised below)
                defects.append(defect)
        if defects:
            raise defects[0]

    def _channel(self, pv: ServicePV, shown: Shown) -> SharedPV:
        fields = fields_of(pv, shown)
        fields["display"] = display_of(pv)
        if pv.type.kind is Kind.ENUM:
            fields["value"]["choices"] = list(pv.type.choices)
        return SharedPV(handler=ReadOnly(pv), initial=Value(self._types[pv], fields))


def type_of(pv: ServicePV) -> Type:
    """The normative type of a PV."""
    if pv.type.kind is Kind.ENUM:
        return NTEnum.buildType(extra=[("display", ("S", None, [("description", "s")]))])
    return NTScalar.buildType(CODES[pv.type.kind], display=True, form=True, valueAlarm=pv.type.kind is Kind.DOUBLE)


def display_of(pv: ServicePV) -> dict[str, Any]:
    """What stays as it is."""
    display: dict[str, Any] = {"description": pv.meaning}
    if pv.type.kind is not Kind.ENUM:
        display["units"] = pv.type.unit
    if pv.type.kind in (Kind.LONG, Kind.DOUBLE):
        form = "Decimal" if pv.type.kind is Kind.DOUBLE else "Default"
        display["precision"] = pv.type.precision
        display["form"] = {"index": FORMS.index(form), "choices": list(FORMS)}
        if pv.type.limits is not None:
            display["limitLow"], display["limitHigh"] = pv.type.limits
    return display


def fields_of(pv: ServicePV, shown: Shown) -> dict[str, Any]:
    """What changes, stamped with the time of now."""
    now_ns, alarm = time.time_ns(), shown.alarm
    is_enum = pv.type.kind is Kind.ENUM
    fields: dict[str, Any] = {
        "value": {"index": pv.type.choices.index(str(shown.value))} if is_enum else shown.value,
        "alarm": {
            "severity": int(alarm.severity),
            "status": RECORD_STATUS if alarm.severity else NO_STATUS,
            "message": alarm.words,
        },
        "timeStamp": {"secondsPastEpoch": now_ns // NS_PER_S, "nanoseconds": now_ns % NS_PER_S},
    }
    if pv.type.kind is Kind.DOUBLE:
        limits = shown.limits
        fields["valueAlarm"] = {
            "active": limits != NO_LIMITS,
            "lowAlarmLimit": limits.lolo,
            "lowWarningLimit": limits.low,
            "highWarningLimit": limits.high,
            "highAlarmLimit": limits.hihi,
            "lowAlarmSeverity": int(Severity.MAJOR),
            "lowWarningSeverity": int(Severity.MINOR),
            "highWarningSeverity": int(Severity.MINOR),
            "highAlarmSeverity": int(Severity.MAJOR),
        }
    return fields
