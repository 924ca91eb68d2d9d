"""Verdicts on rows: a score, its reason and two numbers of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream_service.core.reason import words
from stream_service.qc.deviations import Deviations
from stream_service.qc.gates import Gated
from stream_service.qc.kernels.verdicts import DEVIATION_AT_HALF, explain
from stream_service.qc.row_table import Columns

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Verdicts:
    """Of n rows, from row `first` on."""

    score: Floats
    """(n,) 0: as its neighbours, to 1: rejected by a gate."""
    reason: npt.NDArray[np.uint8]
    """(n,) `Reason`."""
    numbers: Floats
    """(n, 2), as the reason says."""
    gates: npt.NDArray[np.uint32]
    """(n,) bit `1 << reason` of each gate that rejects the row."""
    is_rejected: npt.NDArray[np.bool_]
    """(n,) by the threshold of the settings."""
    first: int = 0

    def __len__(self) -> int:
        return len(self.score)

    @classmethod
    def of(
        cls, columns: Columns, gated: Gated, deviations: Deviations, n_pixels: int, threshold: float, first: int
    ) -> Verdicts:
        """On rows (n,), of which all arguments are; the first is row `first`."""
        reasons, numbers = np.empty(len(gated.bits), np.uint8), np.empty((len(gated.bits), 2))
        explain(columns["values"], deviations.difference, deviations.ratio, n_pixels, reasons, numbers)
        is_gated, square = gated.bits != 0, np.square(deviations.combined)
        score = np.where(is_gated, 1.0, square / (square + DEVIATION_AT_HALF**2))
        reasons = np.where(is_gated, gated.reasons, reasons)
        numbers = np.where(is_gated[:, None], gated.numbers, numbers)
        return cls(score, reasons, numbers, gated.bits, score >= threshold, first)

    @classmethod
    def joined(cls, parts: Sequence[Verdicts]) -> Verdicts:
        """Those of rows that follow each other; there is one part at least."""
        if len(parts) == 1:
            return parts[0]
        names = "score", "reason", "numbers", "gates", "is_rejected"
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names), first=parts[0].first)

    @property
    def last(self) -> int:
        """The row after the last one."""
        return self.first + len(self)

    def since(self, row: int) -> Verdicts:
        """Those from a row on."""
        return self.of_rows(row, self.last)

    def of_rows(self, first: int, last: int) -> Verdicts:
        """Those from row `first` to before `last`."""
        at = slice(first - self.first, last - self.first)
        return Verdicts(
            self.score[at], self.reason[at], self.numbers[at], self.gates[at], self.is_rejected[at], first=first
        )

    def words(self, i: int) -> str:
        """The reason of verdict `i` as a person says it; empty for none."""
        return words(int(self.reason[i]), *self.numbers[i].tolist())
