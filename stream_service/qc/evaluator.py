"""The evaluator of a run: rows in, verdicts out. Live and offline hold one each, fed with the same rows.

The verdicts on all rows are a function of the rows and their order alone: not of the blocks in which they came, nor of
who asked in between. Not safe for use by several threads at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.qc.deviations import Comparison, Deviations
from stream_service.qc.gates import Gates
from stream_service.qc.row_table import RowTable
from stream_service.qc.verdicts import Verdicts, reasons_of, score_of
from stream_service.settings.quality import QualitySettings

Floats = npt.NDArray[np.float64]


class Evaluator:
    """Scores, reasons and gates of the rows of a run."""

    def __init__(self, settings: QualitySettings, frame_shape: tuple[int, int], energy_eV: float | None = None) -> None:
        """`frame_shape` is that of the stored frames; `energy_eV` the requested one, None for that of most rows."""
        self.settings = settings
        self._table = RowTable(frame_shape, settings.pca_k)
        self._gates = Gates(self._table, settings, energy_eV)
        self._comparison = Comparison(self._table, settings.w_feat)
        self._all: Verdicts | None = None
        self._n_judged = 0
        """Rows that have been judged, be it provisionally."""

    def __len__(self) -> int:
        return len(self._table)

    def add(
        self,
        rows: np.ndarray[Any, Any],
        ring_current_mA: npt.ArrayLike | None = None,
        is_open: npt.ArrayLike | None = None,
        cells: npt.NDArray[np.float32] | None = None,
    ) -> None:
        """Add rows (n,) of `row_dtype`; where ring current and shutter (n,) are not known, there is no gate for them.

        `cells` (n, side, side) are compared in place of those of the rows: always of the same side.
        """
        self._table.add(rows, ring_current_mA, is_open, cells)

    def verdicts(self) -> Verdicts:
        """Verdicts on all rows so far."""
        if self._all is None or len(self._all) != len(self):
            self._table.renew_basis()
            self._gates.look()
            gates = self._gates.of(0)
            self._all = self._verdicts(0, gates, self._comparison.of_all(gates[0] == 0))
            self._n_judged = len(self)
        return self._all

    def latest(self) -> Verdicts:
        """Verdicts on the rows since anybody asked, by what was usual when all rows were judged: provisional.

        The first time, that is done.
        """
        first = self._n_judged
        if self._all is None:
            return self.verdicts().since(first)
        gates = self._gates.of(first)
        self._n_judged = len(self)
        return self._verdicts(first, gates, self._comparison.of_new(first, gates[0] == 0))

    def _verdicts(
        self,
        first: int,
        gates: tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint8], Floats],
        deviations: Iterable[Deviations],
    ) -> Verdicts:
        bits, reasons, numbers = gates
        is_gated = bits != 0
        score = np.ones(len(bits))
        for part in deviations:
            at = slice(part.first - first, part.first - first + len(part.combined))
            of_score, numbers_of_score = reasons_of(self._table, part)
            score[at] = np.where(is_gated[at], 1.0, score_of(part.combined))
            reasons[at] = np.where(is_gated[at], reasons[at], of_score)
            numbers[at] = np.where(is_gated[at, None], numbers[at], numbers_of_score)
        return Verdicts(score, reasons, numbers, bits, score >= self.settings.threshold, first)
