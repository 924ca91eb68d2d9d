"""Tables over PVA, as NTTable: the latest verdicts on rows, and the readbacks as they are now."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from p4p import Value
from p4p.nt import NTTable
from p4p.server.thread import SharedPV

from stream_service.core.frame import NS_PER_S
from stream_service.core.judged_row import judged_dtype
from stream_service.core.reason import words
from stream_service.settings.service_status import ReadbackStatus

VERDICT_COLUMNS = (
    ("row", "l"),
    ("unique_id", "l"),
    ("x_m", "d"),
    ("y_m", "d"),
    ("score", "d"),
    ("reason", "s"),
    ("rejected", "?"),
)
"""Name, and type in p4p's letters. Of the frames of a row the first is named."""
READBACK_COLUMNS = (
    ("channel", "s"),
    ("pv", "s"),
    ("connected", "?"),
    ("severity", "i"),
    ("value", "d"),
    ("unit", "s"),
    ("time_s", "d"),
)


class VerdictTable:
    """A channel with a line for each of the latest rows, the latest one last."""

    def __init__(self) -> None:
        self._table = NTTable(columns=list(VERDICT_COLUMNS))
        # without nt=: a SharedPV with one would wrap what is already wrapped
        self.channel = SharedPV(initial=self._value(np.zeros(0, judged_dtype(1))))

    def post(self, rows: np.ndarray[Any, Any]) -> None:
        """Show rows (n,) of `judged_dtype`, in place of those before."""
        self.channel.post(self._value(rows))

    def _value(self, rows: np.ndarray[Any, Any]) -> Value:
        columns: dict[str, Any] = {name: rows[name].copy() for name in ("row", "x_m", "y_m", "score", "rejected")}
        columns["unique_id"] = rows["unique_id"][:, 0].copy()
        columns["reason"] = [
            words(reason, *numbers)
            for reason, numbers in zip(rows["reason"].tolist(), rows["numbers"].tolist(), strict=True)
        ]
        return _table_of(self._table, columns)


class ReadbackTable:
    """A channel with a line for each PV of the profile, in its order."""

    def __init__(self) -> None:
        self._table = NTTable(columns=list(READBACK_COLUMNS))
        self.channel = SharedPV(initial=self._value(()))

    def post(self, readbacks: Sequence[ReadbackStatus]) -> None:
        """Show these in place of those before."""
        self.channel.post(self._value(readbacks))

    def _value(self, readbacks: Sequence[ReadbackStatus]) -> Value:
        columns = {
            "channel": [readback.channel for readback in readbacks],
            "pv": [readback.pv for readback in readbacks],
            "connected": np.array([readback.is_connected for readback in readbacks], bool),
            "severity": np.array([readback.severity for readback in readbacks], np.int32),
            "value": np.array([readback.value for readback in readbacks], np.float64),
            "unit": [readback.unit for readback in readbacks],
            "time_s": np.array([readback.time_ns / NS_PER_S for readback in readbacks], np.float64),
        }
        return _table_of(self._table, columns)


def _table_of(table: NTTable, columns: Mapping[str, Any]) -> Value:
    """Stamped with the time of now."""
    now_ns = time.time_ns()
    stamp = {"secondsPastEpoch": now_ns // NS_PER_S, "nanoseconds": now_ns % NS_PER_S}
    return Value(table.type, {"labels": table.labels, "value": dict(columns), "timeStamp": stamp})
