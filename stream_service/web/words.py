"""What the PVs say, as people read it from three metres: numbers with few digits and their unit, states in words."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from stream_service.core.run import RunState
from stream_service.settings.status_table import ServicePV
from stream_service.web.service_view import Alarmed, ServiceView

UNKNOWN = "–"
SEVERITIES = {1: "MINOR", 2: "MAJOR", 3: "INVALID"}
STATES = {
    RunState.IDLE: ("○", "nothing to do", "calm"),
    RunState.ARMED: ("◷", "waiting for the first frame", "work"),
    RunState.RECEIVING: ("▶", "frames are coming in", "work"),
    RunState.DRAINING: ("⧗", "the file is being finished", "work"),
    RunState.COMPLETE: ("✔", "every frame is in the file", "good"),
    RunState.INCOMPLETE: ("!", "frames are missing", "warn"),
    RunState.ABORTED: ("■", "ended early", "warn"),
    RunState.FAILED: ("✖", "the run could not go on", "bad"),
}
"""Mark, meaning, and which colour goes with them."""
SAID_ELSEWHERE = (ServicePV.HEALTH, ServicePV.MESSAGE)
"""They have the alarm of `State`."""


class Tile(NamedTuple):
    """A number for people who stand far away."""

    label: str
    value: str
    unit: str
    kind: str = ""
    """`warn` for what should be 0 and is not."""
    more: str = ""


def digits(value: float, n: int = 3) -> str:
    """A number with so many digits that count; large ones with thin spaces."""
    if not math.isfinite(value):
        return UNKNOWN
    if float(value).is_integer() or abs(value) >= 10**n:
        return f"{value:,.0f}".replace(",", "\u202f") if abs(value) < 1e9 else f"{value:.{n}g}"
    return f"{value:.{n}g}"


def duration(seconds: float) -> str:
    """`2 h 05 min`, `3 min 20 s`, `14 s`."""
    if not math.isfinite(seconds) or seconds < 0:
        return UNKNOWN
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def megabytes(n_bytes: float) -> str:
    """In MB, as the profile's budgets are nearly."""
    return digits(n_bytes / 1e6) if math.isfinite(n_bytes) else UNKNOWN


def run_facts(view: ServiceView) -> dict[str, Any]:
    """For the head of the page."""
    state = view.text(ServicePV.STATE)
    mark, meaning, kind = STATES.get(RunState(state), ("○", "", "calm")) if state else ("○", "", "calm")
    rows, expected = view.number(ServicePV.ROWS), view.number(ServicePV.ROWS_EXPECTED)
    percent = 100 * min(1.0, rows / expected) if expected > 0 else math.nan
    seconds_left = view.number(ServicePV.SECONDS_LEFT)
    message, _, more = view.text(ServicePV.MESSAGE).partition("; ")
    has_ended = bool(state) and RunState(state).has_ended
    return {
        "is_answering": view.is_answering,
        "prefix": view.prefix,
        "state": state or UNKNOWN,
        "mark": mark,
        "meaning": meaning,
        "kind": kind,
        "health": view.text(ServicePV.HEALTH),
        "message": message,
        "more": more,
        "end_reason": view.text(ServicePV.END_REASON),
        "scan_id": view.text(ServicePV.SCAN_ID),
        "file": view.text(ServicePV.FILE),
        "rows": digits(rows),
        "expected": digits(expected) if expected > 0 else "",
        "percent": percent if math.isfinite(percent) else None,
        "left": "" if has_ended or not math.isfinite(seconds_left) else duration(seconds_left),
        "alarms": [
            (SEVERITIES.get(alarm.severity, "INVALID"), str(alarm.pv), alarm_text(view, alarm))
            for alarm in view.alarms()
            if alarm.pv not in SAID_ELSEWHERE
        ],
    }


def alarm_text(view: ServiceView, alarm: Alarmed) -> str:
    """Why a PV is in alarm; its value where that is what the message of the run says, which is shown above."""
    return alarm.words if alarm.words != view.text(ServicePV.MESSAGE) else view.text(alarm.pv)


def rate_tiles(view: ServiceView, queue_MiB: float) -> list[Tile]:
    """How fast it goes, and how much waits."""
    queued = view.number(ServicePV.QUEUE_BYTES)
    fill = queued / (queue_MiB * 2**20)
    latency_s = view.number(ServicePV.LATENCY)
    full = "warn" if fill > 0.5 else ""
    return [
        Tile("frames", digits(view.number(ServicePV.FRAMES_PER_SECOND)), "1/s"),
        Tile("rows", digits(view.number(ServicePV.ROWS_PER_SECOND)), "1/s"),
        Tile("latency", digits(1e3 * latency_s), "ms"),
        Tile("queue", megabytes(queued), "MB", full, f"{100 * fill:.0f} % full" if math.isfinite(fill) else ""),
    ]


def ledger_tiles(view: ServiceView) -> list[Tile]:
    """What became of the frames."""

    def tile(label: str, pv: ServicePV, is_trouble: bool = False) -> Tile:
        value = view.number(pv)
        return Tile(label, digits(value), "", "warn" if is_trouble and value > 0 else "")

    return [
        tile("expected", ServicePV.FRAMES_EXPECTED),
        tile("stored", ServicePV.FRAMES_STORED),
        tile("backfilled", ServicePV.FRAMES_BACKFILLED),
        tile("lost", ServicePV.FRAMES_LOST, True),
        tile("incomplete", ServicePV.FRAMES_INCOMPLETE, True),
        tile("duplicates", ServicePV.FRAMES_DUPLICATE),
        tile("rejected rows", ServicePV.ROWS_REJECTED, True),
    ]
