"""Evaluation of a file: scores of its rows, which of them are rejected, and the maps of the scan, as values.

Scores, reasons and maps are those of `qc.Evaluator`, which a run holds, too: the same rows, in the same order, give the
same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from stream_service.core.conditions import CLOSED
from stream_service.core.reason import KINDS, Reason, words
from stream_service.errors import ConfigError, SourceError
from stream_service.qc.deviations import FEWEST_ROWS
from stream_service.qc.evaluator import Evaluator
from stream_service.qc.scan_values import ScanTable, measured, scan_values
from stream_service.qc.verdicts import Verdicts
from stream_service.quality_report.evaluated_file import EvaluatedFile
from stream_service.quality_report.region import Region
from stream_service.quality_report.rejection import Rejection
from stream_service.quality_report.row_numbers import RowNumbers
from stream_service.settings.quality import QualitySettings
from stream_service.text.counted import agrees, counted, they_are

UM = 1e6
STEP_M = 1e-6
"""Between rows without positions, which are laid out in their order: their neighbours are those before and after."""
UNREADABLE = "unreadable pixels"
Numbers = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
RowIndices = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class EvaluationSettings:
    """What the operator asks for."""

    rejection: Rejection = field(default_factory=Rejection)
    region: Region | None = None
    quality: QualitySettings = field(default_factory=QualitySettings)


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """An evaluated file. Numbers of rows outside of the region are NaN."""

    numbers: RowNumbers
    score: Numbers
    """(n,) 0 to 1."""
    evaluated: Flags
    """(n,) True within the region; without one, everywhere."""
    rejected: Flags
    stxm: Numbers
    """(n,) ln(counts); this and the next two as `scan_values` has them, of rows in the region."""
    dpc_x: Numbers
    """(n,) stored pixels."""
    dpc_y: Numbers
    settings: EvaluationSettings
    reads_pixels: bool
    notes: tuple[str, ...]
    verdicts: Verdicts
    """Of the rows that were evaluated."""
    _unreadable: frozenset[int]
    _bin: int
    """Stored pixels in one of those that were measured."""

    @property
    def n_rows(self) -> int:
        return self.numbers.n_rows

    @property
    def mask_indices(self) -> RowIndices:
        """Rows that were evaluated."""
        return np.flatnonzero(self.evaluated)

    @property
    def reject_indices(self) -> RowIndices:
        """Rows to leave out."""
        return np.flatnonzero(self.rejected)

    @property
    def accept_indices(self) -> RowIndices:
        """Rows that were evaluated, and are not to be left out."""
        return np.flatnonzero(self.evaluated & ~self.rejected)

    @property
    def worst_first(self) -> RowIndices:
        """Evaluated rows by their score; of equal ones the earlier first."""
        rows = self.mask_indices
        return rows[np.argsort(-self.score[rows], kind="stable")]

    @property
    def rule(self) -> str:
        """By which rows were rejected, in words."""
        return self.settings.rejection.said(self.settings.quality.threshold)

    def kinds(self) -> list[str]:
        """The kind of reason of each evaluated row, without numbers; empty where it is as its neighbours."""
        return [
            UNREADABLE if row in self._unreadable else KINDS[Reason(code)] if code else ""
            for row, code in zip(self.mask_indices.tolist(), self.verdicts.reason.tolist(), strict=True)
        ]

    def reasons(self) -> list[str]:
        """Of each row, in words; empty for one that is as its neighbours, or was not evaluated."""
        said, rows = [""] * self.n_rows, self.mask_indices
        codes, pairs = self.verdicts.reason.tolist(), self.verdicts.numbers.tolist()
        for row, code, (first, second) in zip(rows.tolist(), codes, pairs, strict=True):
            if row in self._unreadable:
                said[row] = UNREADABLE
            elif code == Reason.REPEATED:
                said[row] = words(code, float(rows[int(first)]), second)
            elif code == Reason.CENTRE:
                said[row] = words(code, first * self._bin, second)
            elif code:
                said[row] = words(code, first, second)
        return said


def evaluate_rows(
    file: EvaluatedFile, settings: EvaluationSettings, step: Callable[[int], None] = lambda _: None
) -> Evaluation:
    """Read all rows once and give those of the region their verdicts.

    Raises `SourceError`, and `ConfigError` for an empty region.
    """
    region, numbers = settings.region, RowNumbers(file.n_rows)
    if region is not None and not file.has_positions:
        raise ConfigError(f"{file.recording.path} has no positions, so that {region} cannot be told from the rest")
    evaluator = Evaluator(settings.quality, file.view.shape, file.made_with.energy_eV)
    table = ScanTable()
    evaluated = np.ones(file.n_rows, bool)
    for rows, cells in file.blocks(step):
        place = numbers.add(rows)
        if region is not None:
            evaluated[place] = region.contains(rows["x_m"], rows["y_m"])
        if not file.has_positions:
            rows["x_m"], rows["y_m"] = STEP_M * np.arange(place.start, place.stop), 0.0
        inside = evaluated[place]
        current_mA, is_open = rows["ring_current_mA"][inside], rows["shutter_open"][inside] != CLOSED
        evaluator.add(rows[inside], current_mA, is_open, None if cells is None else cells[inside])
        table.add(measured(rows[inside], file.view.bin))
    if not evaluated.any():
        raise ConfigError(f"no row lies in {region}: {_extent(numbers)}")
    verdicts, values = evaluator.verdicts(), scan_values(table.rows(), file.axis_signs)
    unreadable = frozenset(lost.row for lost in file.unreadable)
    score, is_bad = _of_all(verdicts.score, evaluated), np.zeros(file.n_rows, bool)
    is_bad[evaluated] = verdicts.is_rejected
    for row in unreadable:
        score[row], is_bad[row] = 1.0 if evaluated[row] else np.nan, True
    return Evaluation(
        numbers=numbers,
        score=score,
        evaluated=evaluated,
        rejected=settings.rejection.rejected(score, is_bad, evaluated),
        stxm=_of_all(values.stxm.values, evaluated),
        dpc_x=_of_all(values.dpc_x.values, evaluated),
        dpc_y=_of_all(values.dpc_y.values, evaluated),
        settings=settings,
        reads_pixels=file.reads_pixels,
        notes=tuple(_notes(file, numbers, int(np.count_nonzero(evaluated)))),
        verdicts=verdicts,
        _unreadable=unreadable,
        _bin=file.view.bin,
    )


def _of_all(values: Numbers, evaluated: Flags) -> Numbers:
    of_all = np.full(len(evaluated), np.nan)
    of_all[evaluated] = values
    return of_all


def _extent(numbers: RowNumbers) -> str:
    known = numbers.has_position
    if not known.any():
        return "the position of no row is known"
    edges = [(name, numbers[f"{name}_m"][known] * UM) for name in "xy"]
    return "positions go in " + " and ".join(f"{name} from {v.min():.6g} to {v.max():.6g} µm" for name, v in edges)


def _notes(file: EvaluatedFile, numbers: RowNumbers, n_evaluated: int) -> list[str]:
    notes = [*file.notes, *file.view.notes]
    if n_evaluated < FEWEST_ROWS:
        notes.append(
            f"fewer than {FEWEST_ROWS} rows do not tell what is usual, and here {agrees(n_evaluated, 'is')} "
            f"{n_evaluated}: rows are rejected for limits alone, and other scores are 0"
        )
    n = int(np.count_nonzero(~numbers.has_position))
    if not file.has_positions:
        notes.append(
            "it has no positions (--pos-x-path, --pos-y-path): rows are compared with those before and after them, and "
            "qc_maps.png shows their numbers in that order"
        )
    elif n:
        notes.append(f"the position of {counted(n, 'row')} is not known: {they_are(n)} rejected")
    if file.unreadable:
        n, why = len(file.unreadable), file.unreadable[0].reason
        if n == file.n_rows:
            raise SourceError(f"{file.recording.path}: no frame can be read: {why}")
        notes.append(f"the pixels of {counted(n, 'row')} cannot be read: {why}")
    return notes
