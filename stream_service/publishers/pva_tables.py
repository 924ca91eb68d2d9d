"""The latest verdicts on rows over PVA, as an NTTable."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from p4p import Value
from p4p.nt import NTTable
from p4p.server.thread import SharedPV

from stream_service.core.judged_row import judged_dtype
from stream_service.core.reason import words

COLUMNS = (
    ("row", "l"),
    ("unique_id", "l"),
    ("x_m", "d"),
    ("y_m", "d"),
    ("score", "d"),
    ("reason", "s"),
    ("rejected", "?"),
)
"""Name, and type in p4p's letters. Of the frames of a row the first is named."""


class VerdictTable:
    """A channel with a line for each of the latest rows, the latest one last."""

    def __init__(self) -> None:
        self._table = NTTable(columns=list(COLUMNS))
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
        now_ns = time.time_ns()
        return Value(
            self._table.type,
            {
                "labels": self._table.labels,
                "value": columns,
                "timeStamp": {"secondsPastEpoch": now_ns // 1_000_000_000, "nanoseconds": now_ns % 1_000_000_000},
            },
        )
