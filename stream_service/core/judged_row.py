"""A row as those hear of it who follow the quality of a run: its identity, its place, and the verdict on it."""

from __future__ import annotations

from typing import Any

import numpy as np

from stream_service.core.row import FRAME_COLUMNS, POSITION_COLUMNS, ROW_COLUMNS, Column

ROW = Column("row", np.int64, "Row of the file, from 0.")
REJECTED = Column("rejected", np.bool_, "Rejected for its quality, by the threshold of the profile.")
PROVISIONAL = Column("provisional", np.bool_, "The run goes on, and more rows may change the verdict.")

_OF_FRAMES = tuple(column for column in FRAME_COLUMNS if column.name in ("unique_id", "epoch"))
_OF_ROW = tuple(column for column in ROW_COLUMNS if column.name in ("planned", "replaces"))
_HANDED_ON = (*_OF_ROW, *POSITION_COLUMNS)
"""Columns of a row, one value each."""


def judged_dtype(frames_per_row: int) -> np.dtype[Any]:
    """The row, its frames (k,), its position, and the verdict: score, reason and two numbers of it."""
    return np.dtype(
        [
            (ROW.name, ROW.dtype),
            *((column.name, column.dtype, (frames_per_row,)) for column in _OF_FRAMES),
            *((column.name, column.dtype) for column in _HANDED_ON),
            ("keep", np.bool_),
            ("score", np.float64),
            ("reason", np.uint8),
            ("numbers", np.float64, (2,)),
            (REJECTED.name, REJECTED.dtype),
            (PROVISIONAL.name, PROVISIONAL.dtype),
        ]
    )


def enter_rows(judged: np.ndarray[Any, Any], rows: np.ndarray[Any, Any], first: int) -> None:
    """Enter who rows (n,) of `row_dtype` are, which begin at row `first`; there is no verdict on them yet."""
    judged[ROW.name] = np.arange(first, first + len(rows))
    for column in (*_OF_FRAMES, *_HANDED_ON):
        judged[column.name] = rows[column.name]
    judged["keep"] = rows["keep"] != 0
    judged["score"] = np.nan
