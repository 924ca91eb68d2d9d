"""The rows of a run as its file has them: what stands beside the pixels, and the verdict on each.

Columns are read in blocks. One that a file of an earlier version lacks reads as not known; verdicts may end before the
last row where a writer died.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.core.exposure import Flag
from stream_service.core.reason import KINDS, VERDICT_COLUMNS, Reason, words
from stream_service.core.row import FRAME_COLUMNS, Column, forget_wrong_positions, trusted_positions
from stream_service.errors import SourceError
from stream_service.qc.scan_values import MEASURED, ScanValues, scan_values
from stream_service.run_report.flag_words import flag_words
from stream_service.sources.hdf5.tree import Hdf5Tree
from stream_service.standard_file.read.bad_rows import judged_bad
from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.row_columns import PLACES

BLOCK_BYTES = 8 << 20
LEFT_OUT = (
    *("square_sum", "neighbour_sum", "n_zero", "cells", "bracket_s", "ring_current_mA", "shutter_open", "epoch"),
    "status",
)
"""Columns of which a report shows nothing."""
COLUMNS: tuple[tuple[str, Column], ...] = (
    *((path, column) for path, column in PLACES if column.name not in LEFT_OUT),
    *((f"{paths.QC}/{column.name}", column) for column in VERDICT_COLUMNS),
)
ROW = np.dtype([*((column.name, column.dtype) for _, column in COLUMNS), ("is_tagged", np.bool_)])
"""A row; of columns with a value for each frame that of its first frame."""

UNLIKE = "unlike its neighbours"
BY_OTHERS = "left out by others than the run"
"""Of a row that `/entry/keep` leaves out, and nothing in the file says why."""
Flags = npt.NDArray[np.bool_]


class RowTable:
    """The rows (n,) of a run, all in memory: some 140 bytes each, and no pixels."""

    def __init__(self, tree: Hdf5Tree, n_rows: int, threshold: float) -> None:
        """Rows with `threshold` as their score, or more, are rejected. Raises `SourceError`."""
        self.columns = columns = np.zeros(n_rows, ROW)
        for path, column in COLUMNS:
            columns[column.name] = column.blank
            _read(tree, path, column.name, columns, is_of_frames=column in FRAME_COLUMNS)
        has_keep = tree.find(paths.KEEP) is not None
        if not has_keep:
            columns["keep"] = 1
        self.has_tags = tree.find(paths.TAGS) is not None
        """True for a file in which `evaluate --apply` left its verdicts."""
        _read(tree, paths.TAGS, "is_tagged", columns, is_of_frames=False)
        forget_wrong_positions(columns)
        replaces = columns["replaces"]
        self.replaced = np.zeros(n_rows, bool)
        """(n,) True for rows that a later one repeats, or puts right."""
        self.replaced[replaces[(replaces >= 0) & (replaces < n_rows)]] = True
        self.rejected = ~self.replaced & (self._judged_bad(threshold) | (columns["keep"] == 0))
        """(n,) True for rows that are not to be used, and that no other row replaces."""

    def _judged_bad(self, threshold: float) -> Flags:
        tags = self.columns["is_tagged"] if self.has_tags else None
        return judged_bad(self.columns["score"], self.columns["gates"], tags, threshold)

    def __len__(self) -> int:
        return len(self.columns)

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """A column (n,) of `ROW`."""
        return self.columns[name]

    @property
    def is_judged(self) -> Flags:
        """(n,) True for rows with a verdict."""
        return np.isfinite(self["score"])

    @property
    def used(self) -> Flags:
        """(n,) True for the rows that a reconstruction takes."""
        return ~self.rejected & ~self.replaced

    @property
    def has_position(self) -> Flags:
        """(n,) True where it is known."""
        return np.isfinite(self["x_m"]) & np.isfinite(self["y_m"])

    def values(self, axis_signs: tuple[int, int]) -> ScanValues:
        """STXM and DPC of all rows, as `qc.scan_values` has them."""
        table = np.empty(len(self), MEASURED)
        table["x_m"], table["y_m"] = trusted_positions(self.columns)
        for name in ("intensity", "com_y", "com_x"):
            table[name] = self[name]
        return scan_values(table, axis_signs)

    def reason(self, row: int) -> str:
        """Why a row is doubted or not used, in words; empty for one that is as its neighbours."""
        at = self.columns[row]
        said = "" if at["reason"] == Reason.POSITION else _reason_words(at)
        doubts = flag_words(Flag(int(at["flags"]))) if at["flags"] and (not at["keep"] or not said) else ""
        if not (said or doubts) and at["reason"] == Reason.POSITION:
            said = _reason_words(at)
        if not (said or doubts) and self.rejected[row]:
            said = UNLIKE if at["keep"] else BY_OTHERS
        return "; ".join(filter(None, (said, doubts)))

    def kind(self, row: int) -> str:
        """The kind of reason of a rejected row, without its numbers."""
        at = self.columns[row]
        if at["reason"] in KINDS and at["reason"] != Reason.NONE:
            return KINDS[Reason(at["reason"])]
        if at["flags"]:
            return "position flagged"
        return UNLIKE if at["keep"] else BY_OTHERS


def _reason_words(at: np.void) -> str:
    try:
        return words(int(at["reason"]), float(at["number"]), float(at["second"]))
    except (ValueError, OverflowError):  # a code, or a side of the frame, that nobody knows: a damaged file
        return f"reason {int(at['reason'])}, which this version does not know"


def _read(tree: Hdf5Tree, path: str, name: str, columns: np.ndarray[Any, Any], *, is_of_frames: bool) -> None:
    """Read a column as far as it goes, if the file has it. Raises `SourceError` for values of another shape."""
    stored = tree.find(path)
    if stored is None:
        return
    if not stored.is_numeric or len(stored.shape) != 1 + is_of_frames or 0 in stored.shape[1:]:
        raise SourceError(f"{stored.where} is {stored.shape} {stored.dtype}: it must have a number for each row")
    n_rows, step = min(len(columns), stored.rows), max(1, BLOCK_BYTES // max(1, stored.row_bytes))
    for start in range(0, n_rows, step):
        stop = min(start + step, n_rows)
        values = stored.read(start, stop)
        with np.errstate(invalid="ignore", over="ignore"):  # numbers of a damaged file
            columns[name][start:stop] = values[:, 0] if is_of_frames else values
