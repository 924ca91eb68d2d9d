"""STXM, DPC-X and DPC-Y: what maps of a scan show of each row, live as in the file.

STXM is the natural logarithm of the counts in the good pixels of a row. DPC-X and DPC-Y are the shift of their centre
of mass in stored pixels, positive towards +x and +y of the beam on the sample, whatever way the camera is mounted: in
the focus DPC-X is positive where the phase of the object grows with x (docs/explanation/maps.md). They count from what
is usual: the median of the rows whose position is trusted. Where it is not, a row is on no map: a map shows no flags.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.core.row import RowBlock, forget_wrong_positions, trusted_positions
from stream_service.core.run import RunOutcome

Floats = npt.NDArray[np.float64]
FEWEST_COUNTS = 1e-6
"""Under a logarithm: less is nothing."""
MEASURED = np.dtype([(name, np.float64) for name in ("x_m", "y_m", "intensity", "com_y", "com_x")])
"""What the values follow from. Positions that are not known, or not trusted, are NaN."""


def measured(rows: np.ndarray[Any, Any], pixel: int = 1) -> np.ndarray[Any, Any]:
    """(n,) of `MEASURED` from rows of `row_dtype`, measured on pixels that are so many stored ones wide."""
    table = np.empty(len(rows), MEASURED)
    table["x_m"], table["y_m"] = trusted_positions(rows)
    forget_wrong_positions(table)
    table["intensity"] = rows["features"]["intensity"]
    for name in ("com_y", "com_x"):
        table[name] = pixel * rows["features"][name]
    return table


@dataclass(frozen=True, slots=True, eq=False)
class ScanValue:
    """A value of every row (n,)."""

    raw: Floats
    """That of a row stays as it is when more come."""
    usual: float = 0.0
    """From which the values count; it moves while rows come."""

    @property
    def values(self) -> Floats:
        """What is shown."""
        return self.raw - self.usual


@dataclass(frozen=True, slots=True, eq=False)
class ScanValues:
    """Values of all rows of a scan, and where the beam was on the sample, NaN where that is not to be trusted."""

    x_m: Floats
    y_m: Floats
    stxm: ScanValue
    """ln(counts)."""
    dpc_x: ScanValue
    """Stored pixels, positive towards +x of the beam on the sample."""
    dpc_y: ScanValue
    """Stored pixels, positive towards +y."""


def scan_values(table: np.ndarray[Any, Any], axis_signs: tuple[int, int]) -> ScanValues:
    """The values of rows (n,) of `MEASURED`.

    `axis_signs` are +1 where the rows (columns) of a stored frame grow with +y (+x) of the beam on the sample, else -1.
    """
    sign_y, sign_x = axis_signs
    is_trusted = np.isfinite(table["x_m"]) & np.isfinite(table["y_m"])
    return ScanValues(
        table["x_m"],
        table["y_m"],
        ScanValue(log_counts(table["intensity"])),
        _shift(sign_x * table["com_x"], is_trusted),
        _shift(sign_y * table["com_y"], is_trusted),
    )


def log_counts(intensity: Floats) -> Floats:
    """STXM of rows with so many counts."""
    return np.log(np.maximum(intensity, FEWEST_COUNTS))


def _shift(centres: Floats, is_trusted: npt.NDArray[np.bool_]) -> ScanValue:
    known = centres[is_trusted & np.isfinite(centres)]
    return ScanValue(centres, float(np.median(known)) if len(known) else 0.0)


class ScanTable:
    """What is measured of every row so far: a sink of the run, read by whoever draws."""

    name = "the map of the scan"

    def __init__(self, capacity: int = 1024) -> None:
        self._table = np.empty(capacity, MEASURED)
        self._n = 0

    def append(self, block: RowBlock) -> None:
        """Add the rows of a block."""
        self.add(measured(block.rows))

    def flush(self) -> None:
        """It is drawn when someone looks."""

    def finish(self, outcome: RunOutcome) -> None:
        """It stays as it is."""

    def add(self, rows: np.ndarray[Any, Any]) -> None:
        """Add rows (n,) of `MEASURED`."""
        n = self._n + len(rows)
        if n > len(self._table):
            self._table = np.concatenate([self._table, np.empty(max(len(self._table), n), MEASURED)])
        self._table[self._n : n] = rows
        self._n = n

    def rows(self) -> np.ndarray[Any, Any]:
        """(n,) of `MEASURED`, not to be written to: rows never change, and later ones are not in it."""
        return self._table[: self._n]
