"""Fields of the service's PVs over Channel Access, as those of records: `PTYCHO:Rows.EGU`.

Archivers, alarm handlers and displays ask for them. None takes a put. A field is made when a client asks for it, since
nobody asks for most of them: caproto's own mock of a record has some 60 channels for each PV.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from caproto import AccessRights, AlarmStatus, ChannelDouble, ChannelEnum, ChannelShort, ChannelString

from stream_service.settings.alarm import Condition
from stream_service.settings.pv_descriptions import description_of
from stream_service.settings.pv_type import Kind
from stream_service.settings.service_status import Severity
from stream_service.settings.status_table import ServicePV

SEVERITIES = ("NO_ALARM", *(severity.name for severity in Severity if severity))
CONDITIONS = tuple(status.name for status in sorted(AlarmStatus))[:16]
"""An enum of CA has room for 16; none of ours is beyond."""
SCANS = ("Passive", "Event", "I/O Intr", "10 second", "5 second", "2 second", "1 second", ".5 second", ".2 second")
CHOICES = ("ZR", "ON", "TW", "TH", "FR", "FV", "SX", "SV", "EI", "NI", "TE", "EL", "TV", "TT", "FT", "FF")
"""Of the 16 states of a multi-bit binary record."""
RECORDS = {Kind.CHAR: "waveform", Kind.ENUM: "mbbi", Kind.LONG: "longin", Kind.DOUBLE: "ai"}


class _Field:
    """A channel that says what its PV is at the moment it is read."""

    value_of: Callable[[], Any]
    _data: dict[str, Any]

    def check_access(self, hostname: str, username: str) -> AccessRights:
        """For clients."""
        return AccessRights.READ

    async def _read(self, data_type: Any) -> Any:
        self._data["value"] = self.preprocess_value(self.value_of())  # type: ignore[attr-defined]
        return await super()._read(data_type)  # type: ignore[misc]


class TextField(_Field, ChannelString):
    """Of 39 characters at most."""


class NumberField(_Field, ChannelDouble):
    """In the unit of its PV."""


class CountField(_Field, ChannelShort):
    """A whole number."""


class ChoiceField(_Field, ChannelEnum):
    """One of a few words."""


class PvFields:
    """The fields of one PV by name; `channel` is the PV as caproto serves it."""

    def __init__(self, pv: ServicePV, channel: Any) -> None:
        self._pv, self._channel = pv, channel
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        """Raises `KeyError` for what a record of this type has not, or nobody needs."""
        if name not in self._made:
            self._made[name] = self._field(name)
        return self._made[name]

    def items(self) -> tuple[tuple[str, Any], ...]:
        """caproto looks at them when the server begins, for what is to be started with it: none is."""
        return ()

    def _field(self, name: str) -> Any:
        channel, about = self._channel, self._pv.type
        is_number = about.kind in (Kind.LONG, Kind.DOUBLE)
        match name:
            case "NAME":
                return _text(channel.pvname)
            case "DESC":
                return _text(description_of(self._pv))
            case "RTYP":
                return _text(record_of(self._pv))
            case "SCAN":
                return _choice(SCANS, lambda: "Passive" if self._pv.takes_puts else "I/O Intr")
            case "SEVR":
                return _choice(SEVERITIES, lambda: SEVERITIES[channel.alarm.severity], channel.alarm)
            case "STAT":
                return _choice(CONDITIONS, lambda: CONDITIONS[channel.alarm.status], channel.alarm)
            case "EGU" if about.kind is not Kind.ENUM:
                return _text(about.unit)
            case "PREC" if about.kind is Kind.DOUBLE:
                return _count(about.precision)
            case "HOPR" | "LOPR" if is_number:
                low, high = about.limits or (0, 0)
                return _number(lambda: high if name == "HOPR" else low)
            case "ADEL" | "MDEL" if is_number:
                return _number(lambda: 0.0)
            case "NELM" if about.kind is Kind.CHAR:
                return _number(lambda: about.max_bytes)
            case "NORD" if about.kind is Kind.CHAR:
                return _number(lambda: channel.length)
            case "FTVL" if about.kind is Kind.CHAR:
                return _text("CHAR")
        if is_number and name in ALARM_LIMITS:
            return _number(lambda: getattr(channel, ALARM_LIMITS[name]) if about.kind is Kind.DOUBLE else math.nan)
        if about.kind is Kind.ENUM and name.endswith("ST") and name[:2] in CHOICES[: len(about.choices)]:
            return _text(about.choices[CHOICES.index(name[:2])])
        raise KeyError(name)


ALARM_LIMITS = {
    "HIHI": "upper_alarm_limit",
    "HIGH": "upper_warning_limit",
    "LOW": "lower_warning_limit",
    "LOLO": "lower_alarm_limit",
}


def record_of(pv: ServicePV) -> str:
    """The type of record that a PV is most like."""
    return "longout" if pv.takes_puts and pv.type.kind is Kind.LONG else RECORDS[pv.type.kind]


def _text(text: str) -> Any:
    return _following(TextField(value=text, string_encoding="utf-8"), lambda: text)


def _number(value_of: Callable[[], float]) -> Any:
    return _following(NumberField(value=value_of()), value_of)


def _count(number: int) -> Any:
    return _following(CountField(value=number), lambda: number)


def _choice(choices: tuple[str, ...], value_of: Callable[[], str], alarm: Any = None) -> Any:
    """One that has the alarm of its PV is posted with it."""
    return _following(ChoiceField(value=value_of(), enum_strings=choices, alarm=alarm), value_of)


def _following(field: Any, value_of: Callable[[], Any]) -> Any:
    field.value_of = value_of
    return field


assert set(Condition) <= set(CONDITIONS)
