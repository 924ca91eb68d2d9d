"""Values of the PVs, as people read them from three metres: numbers with few digits and their unit, states in words."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from stream_service.core.run import RunState
from stream_service.settings.pv_type import UNKNOWN
from stream_service.settings.status_table import ServicePV
from stream_service.text.duration import duration
from stream_service.web.service_view import Alarmed, ServiceView

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
    """`warn` for what is in alarm."""
    more: str = ""


def digits(value: float, n: int = 3) -> str:
    """A number with so many digits that count; large ones with thin spaces."""
    if not math.isfinite(value):
        return UNKNOWN
    if float(value).is_integer() or abs(value) >= 10**n:
        return f"{value:,.0f}".replace(",", "\u202f") if abs(value) < 1e9 else f"{value:.{n}g}"
    return f"{value:.{n}g}"


def megabytes(n_bytes: float) -> str:
    """In MB, as the profile's budgets are nearly."""
    return digits(n_bytes / 1e6) if math.isfinite(n_bytes) else UNKNOWN


def run_facts(view: ServiceView) -> dict[str, Any]:
    """For the head of the page."""
    state = view.text(ServicePV.STATE)
    mark, meaning, kind = STATES.get(RunState(state), ("○", "", "calm")) if state else ("○", "", "calm")
    expected, percent = view.number(ServicePV.ROWS_EXPECTED), view.number(ServicePV.PERCENT)
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
        "rows": digits(view.number(ServicePV.ROWS)),
        "expected": digits(expected) if expected > 0 else "",
        "percent": percent if math.isfinite(percent) else None,
        "left": "" if has_ended or not math.isfinite(seconds_left) else duration(round(seconds_left)),
        "alarms": [
            (alarm.severity.name, str(alarm.pv), alarm_text(view, alarm))
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
    full = f"{100 * fill:.0f} % full" if math.isfinite(fill) else ""
    latency_ms = 1e3 * view.number(ServicePV.LATENCY)
    return [
        Tile("frames", digits(view.number(ServicePV.FRAMES_PER_SECOND)), "1/s"),
        Tile("rows", digits(view.number(ServicePV.ROWS_PER_SECOND)), "1/s"),
        Tile("latency", digits(latency_ms), "ms", _kind(view, ServicePV.LATENCY)),
        Tile("queue", megabytes(queued), "MB", _kind(view, ServicePV.QUEUE_BYTES), full),
    ]


def ledger_tiles(view: ServiceView) -> list[Tile]:
    """What became of the frames."""

    return [
        Tile(label, digits(view.number(pv)), "", _kind(view, in_alarm or pv))
        for label, pv, in_alarm in (
            ("expected", ServicePV.FRAMES_EXPECTED, None),
            ("stored", ServicePV.FRAMES_STORED, None),
            ("backfilled", ServicePV.FRAMES_BACKFILLED, None),
            ("lost", ServicePV.FRAMES_LOST, None),
            ("incomplete", ServicePV.FRAMES_INCOMPLETE, None),
            ("duplicates", ServicePV.FRAMES_DUPLICATE, None),
            ("rejected rows", ServicePV.ROWS_REJECTED, ServicePV.REJECTED_SHARE),
        )
    ]


def _kind(view: ServiceView, pv: ServicePV) -> str:
    return "warn" if view.severity(pv) else ""
