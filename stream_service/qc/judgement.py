"""The judgement of many rows together, those of a window: a function of their numbers and of what was usual before."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace

from stream_service.qc.deviations import Deviations, Together, Unit, neighbours_among
from stream_service.qc.dumps import Dumps
from stream_service.qc.gates import Gates, Seen
from stream_service.qc.kernels.codes import LOG_INTENSITY
from stream_service.qc.repeated_frames import repeats_among
from stream_service.qc.row_table import RowTable
from stream_service.qc.verdicts import Verdicts
from stream_service.settings.quality import QualitySettings


@dataclass(frozen=True, slots=True, eq=False)
class Usual:
    """What is known of a scan so far."""

    n_final: int = 0
    """Rows whose verdicts are final."""
    seen: Seen = field(default_factory=Seen)
    unit: Unit | None = None
    """None as long as too few rows are good to tell."""
    dumps: Dumps = field(default_factory=Dumps)

    def until(self, row: int) -> Usual:
        """When the verdicts on rows before this one are final, and later dumps are not."""
        return replace(self, n_final=row, dumps=self.dumps.until(row))


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """Of the rows of a window."""

    verdicts: Verdicts
    deviations: Deviations
    usual: Usual
    """With these rows."""
    gates: Gates


class Judge:
    """Judges rows of a table by the settings of a run; `energy_eV` is the requested one, None for that of most rows."""

    def __init__(self, table: RowTable, settings: QualitySettings, energy_eV: float | None) -> None:
        self._table, self._settings, self._energy_eV = table, settings, energy_eV

    def together(self, first: int, last: int, before: Usual) -> Generator[None, None, Judgement]:
        """Judge the rows from `first` to before `last`, in steps of some milliseconds."""
        table, settings = self._table, self._settings
        columns = table.columns(first, last)
        seen = before.seen.with_rows(columns, first)
        gates = Gates(settings, seen, self._energy_eV, table.usual_bands())
        gated = gates.of(columns, repeats_among(columns, first), table.n_pixels)
        found = yield from neighbours_among(columns)
        is_sound, log_intensity = gated.bits == 0, columns["values"][:, LOG_INTENSITY]
        dumps = before.dumps.with_rows(log_intensity, found, is_sound, first, before.n_final)
        yield
        dumped = dumps.sizes(first, last - first)
        together = Together(columns, found, is_sound, dumped, table.floors, settings.w_feat, before.unit)
        deviations = yield from together.steps()
        yield
        verdicts = Verdicts.of(columns, gated, deviations, table.n_pixels, settings.threshold, first)
        unit = deviations.unit if together.has_good else before.unit
        return Judgement(verdicts, deviations, Usual(before.n_final, seen, unit, dumps), gates)
