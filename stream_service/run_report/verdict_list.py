"""The rows of a run that are not to be used, with their reasons in words."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from stream_service.run_report.stored_run import StoredRun

MOST_ROWS = 50
UM = 1e6


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """One of them."""

    row: int
    score: str
    x_um: str
    y_um: str
    reason: str
    is_left_out: bool
    """True if `/entry/keep` says so already."""


@dataclass(frozen=True, slots=True)
class VerdictList:
    """The first rejected rows, how many more there are, and how many of each kind."""

    rows: tuple[RejectedRow, ...]
    n_more: int
    kinds: tuple[tuple[str, int], ...]
    n_judged: int


def verdict_list(run: StoredRun) -> VerdictList:
    """That of a run."""
    rejected = np.flatnonzero(run.rows.rejected)
    kinds = Counter(run.rows.kind(row) for row in rejected.tolist())
    return VerdictList(
        tuple(_rejected(run, row) for row in rejected[:MOST_ROWS].tolist()),
        max(0, len(rejected) - MOST_ROWS),
        tuple(kinds.most_common()),
        int(np.count_nonzero(run.rows.is_judged)),
    )


def _rejected(run: StoredRun, row: int) -> RejectedRow:
    at = run.rows.columns[row]
    score, x_um, y_um = (
        f"{value + 0.0:{form}}" if np.isfinite(value) else "–"
        for value, form in ((at["score"], ".2f"), (at["x_m"] * UM, ".4g"), (at["y_m"] * UM, ".4g"))
    )
    return RejectedRow(row, score, x_um, y_um, run.rows.reason(row), is_left_out=not at["keep"])
