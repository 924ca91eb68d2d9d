"""The alarm of a PV at one moment: how severe, of which kind, and why."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import NamedTuple


class Severity(IntEnum):
    """Of an alarm, as EPICS numbers it, and the word for it."""

    NONE = 0
    MINOR = 1
    """Something is not stored."""
    MAJOR = 2
    """Something does not answer, or the run has failed."""
    INVALID = 3
    """A PV of the beamline has no value."""


class Condition(StrEnum):
    """Kinds of alarms, as EPICS names them (`STAT`)."""

    NO_ALARM = "NO_ALARM"
    HIHI = "HIHI"
    HIGH = "HIGH"
    LOLO = "LOLO"
    LOW = "LOW"
    STATE = "STATE"
    COMM = "COMM"


class Alarm(NamedTuple):
    """See above."""

    severity: Severity = Severity.NONE
    condition: Condition = Condition.NO_ALARM
    words: str = ""


NO_ALARM = Alarm()
