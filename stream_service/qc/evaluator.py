"""The evaluator of a run: rows in, verdicts out. Live and offline hold one each, fed with the same rows.

Verdicts become final by segments in the order of the rows: when those of a segment and some after it are there, it is
judged by these, some before it, and by what was usual until then. So memory, and what is left to do at the end, do not
grow with the run. The verdicts on all rows are a function of the rows and their order alone: not of the blocks in
which they came, nor of who asked in between. Not safe for use by several threads at once.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from stream_service.qc.deviations import N_CANDIDATES, of_new
from stream_service.qc.judgement import Judge, Judgement, Usual
from stream_service.qc.neighbours import Neighbours
from stream_service.qc.repeated_frames import Fingerprints
from stream_service.qc.row_table import RowTable
from stream_service.qc.verdicts import Verdicts
from stream_service.qc.windows import Windows
from stream_service.settings.quality import QualitySettings

Floats = npt.NDArray[np.float64]

RENEWAL = 2.0
"""While there is one window only, all rows are judged together when they are so many times as many as the last time:
what that costs in all is twice what the last one does."""


WINDOWS = Windows()


class _UnderWay(NamedTuple):
    """A judgement that is being made."""

    steps: Generator[None, None, Judgement]
    is_final: bool
    """It is that of a segment."""


class Evaluator:
    """Scores, reasons and gates of the rows of a run."""

    def __init__(
        self,
        settings: QualitySettings,
        frame_shape: tuple[int, int],
        energy_eV: float | None = None,
        windows: Windows = WINDOWS,
    ) -> None:
        """`frame_shape` is that of the stored frames; `energy_eV` the requested one, None for that of most rows."""
        self.settings = settings
        self._windows = windows
        self._table = RowTable(frame_shape, settings.pca_k, windows.warm_up)
        self._judge = Judge(self._table, settings, energy_eV)
        self._settled: list[Verdicts] = []
        """Of the segments that are final."""
        self._usual = Usual()
        """After the last of them."""
        self._under_way: _UnderWay | None = None
        self._new_final: list[Verdicts] = []
        """Of segments, that nobody has taken yet."""
        self._new_rest: Verdicts | None = None
        """Of the last judgement of all other rows together, if nobody has taken them yet."""
        self._known: Judgement | None = None
        """The latest of them: by what was usual then, new rows are judged."""
        self._neighbours, self._fingerprints = Neighbours(), Fingerprints(np.empty(0, np.uint64), 0)
        """Of the rows that the table keeps."""
        self.n_together = 0
        """Rows that were judged together with those around them, be it for now."""
        self._n_judged = 0
        """Rows that were judged at all."""
        self._is_asked = False
        """All rows that are not final are to be judged together."""

    def __len__(self) -> int:
        return len(self._table)

    @property
    def n_settled(self) -> int:
        """Rows whose verdicts are final."""
        return len(self._settled) * self._windows.segment

    def add(
        self,
        rows: np.ndarray[Any, Any],
        ring_current_mA: npt.ArrayLike | None = None,
        is_open: npt.ArrayLike | None = None,
        cells: npt.NDArray[np.float32] | None = None,
    ) -> None:
        """Add rows (n,) of `row_dtype`; where ring current and shutter (n,) are not known, there is no gate for them.

        `cells` (n, side, side) are compared in place of those of the rows: always of the same side. When two segments
        wait for their judgement, one is judged.
        """
        self._table.add(rows, ring_current_mA, is_open, cells)
        while self._windows.is_complete(len(self._settled) + 1, len(self)):
            self._settle()

    @property
    def is_due(self) -> bool:
        """There is something for `step` to do."""
        return self._under_way is not None or self._is_complete or self._is_worth_it

    def judge_together(self) -> None:
        """Let all rows so far that are not final be judged together by the next steps."""
        self._is_asked = self.n_together < len(self)

    def step(self) -> None:
        """Go on with the judgement of many rows together, for some milliseconds, if there is one to be made."""
        if self._under_way is None and self.is_due:
            self._under_way = self._segment() if self._is_complete else self._rest()
        if self._under_way is not None:
            try:
                next(self._under_way.steps)
            except StopIteration as end:
                self._take(end.value)

    def verdicts(self) -> Verdicts:
        """Verdicts on all rows so far."""
        rest = self._judged_together()
        self._new_final, self._new_rest, self._n_judged = [], None, len(self)
        return Verdicts.joined([*self._settled, rest])

    def latest(self) -> list[Verdicts]:
        """Verdicts that are new since somebody asked, in order: later ones take the place of earlier ones on a row.

        Rows that have not been judged with others yet get provisional ones, by what was usual when these were. The
        first time, all are judged together.
        """
        if self._known is None:
            return self.last()
        first, self._n_judged = max(self._n_judged, self.n_settled), len(self)
        return [*self._taken(), *([self._provisional(first)] if first < len(self) else [])]

    def last(self) -> list[Verdicts]:
        """The same, but that all rows that are not final have been judged together."""
        self._new_rest, self._n_judged = self._judged_together(), len(self)
        return self._taken()

    @property
    def _is_complete(self) -> bool:
        return self._windows.is_complete(len(self._settled), len(self))

    @property
    def _is_worth_it(self) -> bool:
        is_renewal = not self._settled and len(self) >= max(1, RENEWAL * self.n_together)
        return self._is_asked or is_renewal

    def _taken(self) -> list[Verdicts]:
        """Those of judgements of many rows that are new."""
        final, rest, self._new_final, self._new_rest = self._new_final, self._new_rest, [], None
        return [*final, rest.since(self.n_settled)] if rest is not None and rest.last > self.n_settled else final

    def _segment(self) -> _UnderWay:
        return _UnderWay(self._judge.together(*self._windows.of(len(self._settled)), self._usual), is_final=True)

    def _rest(self) -> _UnderWay:
        self._table.renew_basis()
        self._is_asked = False
        begin = self._windows.begin(len(self._settled))
        return _UnderWay(self._judge.together(begin, len(self), self._usual), is_final=False)

    def _finish(self, under_way: _UnderWay) -> None:
        self._under_way = under_way
        while self._under_way is not None:
            self.step()

    def _settle(self) -> None:
        """Judge the next segment, whose rows are there."""
        self._finish(self._under_way if self._under_way is not None and self._under_way.is_final else self._segment())

    def _judged_together(self) -> Verdicts:
        """Of the rows that are not final."""
        while self._is_complete:
            self._settle()
        if self._known is None or self._known.verdicts.last < len(self):
            self._finish(self._rest())
        assert self._known is not None, "they have just been judged"
        return self._known.verdicts.since(self.n_settled)

    def _take(self, judgement: Judgement) -> None:
        """Many rows have been judged: so will new ones be, by what is known of these."""
        assert self._under_way is not None, "that is where it comes from"
        is_final, self._under_way, self._known = self._under_way.is_final, None, judgement
        table, verdicts = self._table, judgement.verdicts
        columns = table.columns(verdicts.first, verdicts.last)
        columns["is_good"][:], columns["difference"][:] = judgement.deviations.is_good, judgement.deviations.difference
        if is_final:
            first = self.n_settled
            self._settled.append(verdicts.of_rows(first, first + self._windows.segment))
            self._usual = judgement.usual.until(self.n_settled)
            self._new_final.append(self._settled[-1])
            table.forget(self._windows.begin(len(self._settled)))
        else:
            self._new_rest = verdicts
            self._n_judged = max(self._n_judged, verdicts.last)
        self.n_together = max(self.n_together, self.n_settled if is_final else verdicts.last)
        self._neighbours.sort(table["x_m"], table["y_m"], table["is_placed"])
        n_known = max(self._n_judged, verdicts.last) - table.first
        self._fingerprints = Fingerprints(table["fingerprint"][:n_known], table.first)

    def _provisional(self, first: int) -> Verdicts:
        """On the rows from `first` on."""
        known, table = self._known, self._table
        assert known is not None, "the first time, all rows are judged together"
        all_columns, columns = table.columns(), table.columns(first)
        gated = known.gates.of(columns, self._fingerprints.repeats(columns, first), table.n_pixels)
        rows = np.arange(first - table.first, len(table) - table.first)
        places = all_columns["x_m"], all_columns["y_m"], all_columns["is_placed"]
        found = self._neighbours.of(rows, *places, N_CANDIDATES)
        deviations = of_new(all_columns, rows, found, gated.bits == 0, self.settings.w_feat, known.deviations.unit)
        return Verdicts.of(columns, gated, deviations, table.n_pixels, self.settings.threshold, first)
