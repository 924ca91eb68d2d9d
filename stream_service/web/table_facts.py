"""Contents of the page's tables: verdicts, readbacks, the latest row, a row that was clicked, past runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from stream_service.core.run import RunState
from stream_service.settings.pv_type import UNKNOWN
from stream_service.settings.service_status import Severity
from stream_service.settings.status_table import ServicePV, ServiceTable
from stream_service.text.duration import duration
from stream_service.text.local_time import local_time
from stream_service.text.units import unit_shown
from stream_service.web.file_reader import WatchedAnswer
from stream_service.web.service_view import ServiceView
from stream_service.web.words import STATES, digits

MOST_VERDICTS = 12
REPORTS = "report/"
"""Below the page: where reports are served."""


def verdict_facts(view: ServiceView) -> Mapping[str, Any]:
    """Of the latest rows those that are doubted, the latest first, with their reasons."""
    table = view.table(ServiceTable.VERDICTS)
    rows = [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]
    doubted = [row for row in reversed(rows) if row["reason"] or row["rejected"]]
    shown = [
        {
            "row": int(row["row"]),
            "score": digits(float(row["score"]), 2),
            "rejected": bool(row["rejected"]),
            "reason": str(row["reason"]) or "rejected",
            "at": _place(float(row["x_m"]), float(row["y_m"])),
        }
        for row in doubted[:MOST_VERDICTS]
    ]
    return {
        "rows": shown,
        "n": len(rows),
        "n_doubted": len(doubted),
        "n_rejected": sum(row["rejected"] for row in rows),
    }


def readback_facts(view: ServiceView) -> Mapping[str, Any]:
    """Each PV of the profile, connected or not, and the values of the latest row."""
    table = view.table(ServiceTable.READBACKS)
    rows = [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]
    readbacks = [
        {
            "channel": str(row["channel"]),
            "pv": str(row["pv"]),
            "is_connected": bool(row["connected"]),
            "is_invalid": int(row["severity"]) >= Severity.INVALID,
            "value": digits(float(row["value"]), 6),
            "unit": unit_shown(str(row["unit"])),
            "time": local_time(int(1e9 * row["time_s"]))[11:19] or UNKNOWN,
        }
        for row in rows
    ]
    latest = [
        (name, digits(view.number(pv), n), unit_shown(pv.type.unit))
        for name, pv, n in (
            ("x", ServicePV.LAST_X, 5),
            ("y", ServicePV.LAST_Y, 5),
            ("energy", ServicePV.LAST_ENERGY, 6),
            ("intensity", ServicePV.LAST_INTENSITY, 4),
            ("saturated", ServicePV.LAST_SATURATED, 4),
            ("score", ServicePV.LAST_SCORE, 2),
        )
    ]
    return {
        "readbacks": readbacks,
        "latest": latest,
        "time": view.text(ServicePV.LAST_TIME),
        "root": view.text(ServicePV.DATA_ROOT),
        "free": digits(view.number(ServicePV.DISK_FREE)),
        "version": view.text(ServicePV.VERSION),
    }


def row_facts(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row of a file, in words."""
    step = facts["step"]
    return {
        "row": facts["row"],
        "at": _place(_known(facts["x_m"]), _known(facts["y_m"])),
        "score": digits(_known(facts["score"]), 2),
        "reason": facts["reason"],
        "is_kept": facts["keep"] != 0 and not facts["is_rejected"],
        "time": facts["time"],
        "values": [
            ("energy", f"{digits(_known(facts['energy_eV']), 6)} eV"),
            ("exposure", f"{digits(_known(facts['exposure_s']), 4)} s"),
            ("sum", f"{digits(_known(facts['sum']), 4)} counts"),
            ("largest pixel", f"{digits(_known(facts['largest']), 4)} counts"),
            ("saturated pixels", digits(_known(facts["n_saturated"]))),
            ("uniqueId", ", ".join(str(number) for number in facts["unique_id"] if number >= 0)),
            ("frames", ", ".join(facts["status"]) or UNKNOWN),
            ("flags", ", ".join(facts["flags"]) or "none"),
        ],
        "readbacks": [
            (
                entry["channel"],
                f"{digits(_known(entry['value']), 6)} {unit_shown(entry['unit'])}",
                f"{digits(entry['age_s'])} s",
            )
            for entry in facts["readbacks"]
        ],
        "binned": f"{step} × {step} pixels of it are one here" if step > 1 else "",
    }


def run_list_facts(watched: WatchedAnswer) -> Mapping[str, Any]:
    """Past runs, the latest first."""
    found = watched.latest.facts if watched.latest is not None else {"runs": [], "is_whole": True}
    runs = [
        run
        | {
            "mark": STATES[RunState(run["state"])][0] if run["state"] in set(RunState) else "?",
            "lasted": duration(run["lasted_s"]) if run["lasted_s"] is not None else "",
            "report": REPORTS + quote(run["report"]) if run["report"] else "",
        }
        for run in found["runs"]
    ]
    return {"runs": runs, "is_whole": found["is_whole"], "problem": watched.problem}


def _known(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _place(x_m: float, y_m: float) -> str:
    if not (math.isfinite(x_m) and math.isfinite(y_m)):
        return "position not known"
    return f"{1e6 * x_m:z.3f}, {1e6 * y_m:z.3f} µm"
