"""Gates: what rejects a row by itself, for a stated reason and by a stated limit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.core.reason import GATES, Reason, Side
from stream_service.qc.row_kernels import BANDS
from stream_service.qc.row_table import LOG_INTENSITY, LOG_SATURATED, SMALLEST, RowTable
from stream_service.settings.quality import QualitySettings

MOST_USUAL = 0.25
"""A band of cells that reads nothing in more than this share of the rows is dark, not missing."""
FEWEST_COUNTS = 100.0
"""Expected in the bands that read nothing: with fewer, chance may have left them empty."""
MOST_LOST = 0.999
"""Of the light: what is left tells how much was to be expected."""
ROWS_BACK = 4096
"""Among which a repeated frame is looked for while rows come; all rows are searched when all are judged."""

Numbers = npt.NDArray[np.float64]


BAND_BITS = np.uint32(1) << np.arange(2 * BANDS, dtype=np.uint32)
"""Of bands of rows, then of columns, in what the table says of dark ones."""


class Gates:
    """Gates over a table; `energy_eV` is the requested one, None for that of most rows."""

    def __init__(self, table: RowTable, settings: QualitySettings, energy_eV: float | None) -> None:
        self._table, self._settings, self._energy_eV = table, settings, energy_eV
        self._usual_eV = math.nan
        self._is_unusual = np.zeros(2 * BANDS, bool)
        """Bands that read nothing in few rows only."""

    def look(self) -> None:
        """See what is usual among all rows so far."""
        energies_eV, dark = self._table["energy_eV"], self._table["dark"]
        known_eV = energies_eV[np.isfinite(energies_eV)]
        self._usual_eV = self._energy_eV or (float(np.median(known_eV)) if len(known_eV) else math.nan)
        self._is_unusual = np.array([np.count_nonzero(dark & bit) <= MOST_USUAL * len(dark) for bit in BAND_BITS])

    def of(self, first: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint8], Numbers]:
        """Of the rows from `first` (m,): the gates that reject, bit by `Reason`; the first of them; numbers (m, 2)."""
        m = len(self._table) - first
        bits, reasons, numbers = np.zeros(m, np.uint32), np.zeros(m, np.uint8), np.zeros((m, 2))
        for reason in reversed(GATES):
            rejects, values = self._gate(reason, first)
            bits[rejects] |= np.uint32(1 << reason)
            reasons[rejects] = reason
            numbers[rejects] = values[rejects]
        return bits, reasons, numbers

    def _gate(self, reason: Reason, first: int) -> tuple[npt.NDArray[np.bool_], Numbers]:
        table, limits = self._table, self._settings
        match reason:
            case Reason.POSITION:
                return _numbered(~table["is_placed"][first:])
            case Reason.REPEATED:
                return self._repeated(first)
            case Reason.ENERGY:
                energies_eV, usual_eV = table["energy_eV"][first:], self._usual_eV
                off_eV = np.abs(energies_eV - usual_eV)
                return _numbered(off_eV > limits.energy_tolerance * usual_eV, energies_eV, usual_eV)
            case Reason.SHUTTER:
                return _numbered(~table["is_open"][first:])
            case Reason.RING_CURRENT:
                current_mA, least_mA = table["ring_current_mA"][first:], limits.min_ring_current_mA
                return _numbered(current_mA < least_mA, current_mA, least_mA)
            case Reason.SATURATED:
                share = np.expm1(table["values"][first:, LOG_SATURATED].astype(np.float64)) / table.n_pixels
                return _numbered(share > limits.max_saturated, share, limits.max_saturated)
            case _:  # PARTIAL
                return self._partial(first)

    def _repeated(self, first: int) -> tuple[npt.NDArray[np.bool_], Numbers]:
        begin = max(first - ROWS_BACK, 0)
        _, at, which = np.unique(self._table["fingerprint"][begin:], return_index=True, return_inverse=True)
        earliest = (begin + at[which])[first - begin :]
        is_lit = self._table["values"][first:, LOG_INTENSITY] > np.log(SMALLEST) + 1
        return _numbered((earliest < np.arange(first, len(self._table))) & is_lit, earliest)

    def _partial(self, first: int) -> tuple[npt.NDArray[np.bool_], Numbers]:
        """Whole bands of the frame read nothing, which others do not, and in which something was to be expected."""
        dark, is_unusual = self._table["dark"][first:], self._is_unusual
        suspects = np.flatnonzero(dark & np.bitwise_or.reduce(BAND_BITS[is_unusual]))
        rejects, numbers = np.zeros(len(dark), bool), np.zeros((len(dark), 2))
        if not len(suspects):
            return rejects, numbers
        of_rows, of_columns = self._table.usual_bands()
        for row in suspects.tolist():
            is_missing = (dark[row] & BAND_BITS != 0) & is_unusual
            rows, columns = is_missing[: len(of_rows)], is_missing[BANDS : BANDS + len(of_columns)]
            lost = min(max(float(of_rows[rows].sum()), float(of_columns[columns].sum())), MOST_LOST)
            intensity = math.exp(float(self._table["values"][first + row, LOG_INTENSITY]))
            rejects[row] = intensity * lost / (1 - lost) > FEWEST_COUNTS
            numbers[row] = _side(rows, columns)
        return rejects, numbers


def _side(rows: npt.NDArray[np.bool_], columns: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Which side of the frame it is, and its share of the frame."""
    lines, low, high = (rows, Side.UPPER, Side.LOWER)
    if columns.sum() > rows.sum():
        lines, low, high = (columns, Side.LEFT, Side.RIGHT)
    share = float(lines.mean())
    if lines[0] == lines[-1]:
        return float(Side.MIDDLE), share
    return float(low if lines[0] else high), share


def _numbered(rejects: npt.NDArray[np.bool_], one: Any = 0.0, two: Any = 0.0) -> tuple[npt.NDArray[np.bool_], Numbers]:
    numbers = np.empty((len(rejects), 2))
    numbers[:, 0], numbers[:, 1] = one, two
    return rejects, numbers
