"""Rows with verdicts, as a run hands them to those who follow it."""

from __future__ import annotations

from typing import Any

import numpy as np

from stream_service.core.reason import Reason
from stream_service.core.row import row_dtype
from stream_service.qc import Verdicts
from stream_service.run.rows.judged_rows import JudgedRows

DIMMED = (-0.62, 9.0)
"""Numbers of a row that has lost light."""


def rows_of(n: int, first: int = 0, **columns: Any) -> np.ndarray[Any, Any]:
    """(n,) rows of `row_dtype`, a micrometre apart, one for each planned position from `first` on."""
    rows = np.zeros(n, row_dtype(1))
    rows["unique_id"][:, 0] = 100 + first + np.arange(n)
    rows["planned"] = first + np.arange(n)
    rows["replaces"] = -1
    rows["x_m"] = rows["planned"] * 1e-6
    rows["keep"] = 1
    for name, values in columns.items():
        rows[name] = values
    return rows


def verdicts_on(n: int, rejected: tuple[int, ...] = (), first: int = 0) -> Verdicts:
    """On the rows from `first` on; `rejected` of them, by their number, for the light they have lost."""
    score, numbers = np.full(n, 0.1), np.zeros((n, 2))
    reason = np.zeros(n, np.uint8)
    at = np.array(rejected, int) - first
    score[at], reason[at], numbers[at] = 0.9, Reason.INTENSITY, DIMMED
    return Verdicts(score, reason, numbers, np.zeros(n, np.uint32), score >= 0.5, first)


class Heard:
    """A listener that keeps what it hears."""

    def __init__(self) -> None:
        self.news_of: list[np.ndarray[Any, Any]] = []

    def news(self, rows: np.ndarray[Any, Any]) -> None:
        self.news_of.append(rows)

    @property
    def last(self) -> list[int]:
        return self.news_of[-1]["row"].tolist()


def judged_rows(n: int, rejected: tuple[int, ...] = ()) -> np.ndarray[Any, Any]:
    """(n,) rows of `judged_dtype`."""
    rows = JudgedRows()
    rows.add(rows_of(n))
    rows.judged(verdicts_on(n, rejected), is_final=False)
    return rows.latest(n)
