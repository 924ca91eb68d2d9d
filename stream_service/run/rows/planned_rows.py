"""The planned positions of rows by their places, and which row each replaces where its position is repeated.

Frames of a run are told apart by their place in it (ordinals), so that lost ones shift nothing. Those beyond the ones
planned repeat the positions that were announced, in that order. A repeat counts only where it was taken: a row that
lies elsewhere replaces nothing, and that is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.core.partition import ByIndex
from stream_service.core.spread import SHARE_OF_STEP, STANDSTILL_M
from stream_service.errors import ConfigError
from stream_service.run.rows.planned_positions import NO_REPEATS, PlannedPositions
from stream_service.run.rows.repeated_positions import NotedRows, Settled
from stream_service.text.counted import counted

Floats = npt.NDArray[np.float64]


class PlannedRows(PlannedPositions):
    """Those of one run."""

    def __init__(
        self,
        partition: ByIndex,
        rows_per_position: int = 1,
        n_positions: int | None = None,
        n_extra_frames: int = 0,
        planned_m: Floats | None = None,
    ) -> None:
        """A position has several rows where each of its frames is one. `n_extra_frames` beyond the positions planned
        may be repeats; `planned_m` (N, 2) is where those are.
        """
        super().__init__()
        self.rows_per_position = rows_per_position
        self._partition = partition
        self._n_positions = n_positions
        n_extra_rows = partition.n_filled(n_extra_frames) if n_positions is not None else 0
        self._most = n_extra_rows // rows_per_position
        n_slots = (n_positions or 0) * self.rows_per_position if self._most else 0
        self._row_of = np.full(n_slots, -1, np.int64)
        """The row in which each planned one is now; -1: none."""
        self._ordinal_of = np.full(n_slots, -1, np.int64)
        """Place of the first frame of that row, if it is used: one that was exposed before replaces nothing."""
        self._places_m = np.full((n_slots, 2), np.nan)
        """(n, 2) where those are to be, or were taken where nobody says it."""
        self._is_planned = planned_m is not None and len(planned_m) == n_positions
        if planned_m is not None and self._is_planned and self._most:
            self._places_m[:] = np.repeat(planned_m, self.rows_per_position, axis=0)
        self._repeats: tuple[int, ...] = ()
        self._noted = NotedRows()
        """All rows, where positions may be repeated."""
        self._n_elsewhere = 0

    @property
    def is_to_be_corrected(self) -> bool:
        """True if such frames were found, so that all after them belong to later positions; not where positions may be
        repeated, since a repeat has no place in the order of the scan."""
        return bool(self.displaced) and not self._most

    def positions_of(self, ordinals: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Planned positions of the rows (n,) whose first frames these are."""
        return self._partition.rows_of(ordinals) // self.rows_per_position

    @property
    def n_announced(self) -> int:
        """See `PlannedPositions`, as all that follows."""
        return len(self._repeats)

    def announce(self, positions: Sequence[int]) -> None:
        """The same."""
        before = self._repeats
        if self._n_positions is None or not self._most:
            raise ConfigError(NO_REPEATS)
        if tuple(positions[: len(before)]) != before:
            raise ConfigError(f"the {counted(len(before), 'repeat')} announced before must come first, as they were")
        if len(positions) > self._most:
            raise ConfigError(f"{counted(len(positions), 'repeat')}, but frames are reserved for {self._most}")
        if wrong := [p for p in positions if not 0 <= p < self._n_positions]:
            raise ConfigError(f"position {wrong[0]} was not planned: there are {self._n_positions}, counted from 0")
        self._repeats = tuple(positions)

    def enter(self, rows: np.ndarray[Any, Any], first_ordinals: npt.NDArray[np.int64], first_row: int) -> None:
        """The same."""
        slots = self._partition.rows_of(first_ordinals)
        is_displaced = np.isin(first_ordinals, list(self.displaced))
        rows["planned"] = np.where(is_displaced, -1, self.positions_of(first_ordinals))
        if not self._most:
            return
        is_extra = ~is_displaced & (slots >= len(self._row_of))
        is_usual = ~is_displaced & ~is_extra
        usual, ordinals, numbers = slots[is_usual], first_ordinals[is_usual], first_row + np.flatnonzero(is_usual)
        is_late = self._ordinal_of[usual] > ordinals  # its position has been repeated already
        self._replaced += numbers[is_late].tolist()
        self._row_of[usual[~is_late]] = numbers[~is_late]
        self._ordinal_of[usual[~is_late]] = np.where(rows["keep"][is_usual], ordinals, -1)[~is_late]
        if not self._is_planned:
            self._places_m[usual, 0], self._places_m[usual, 1] = rows["x_m"][is_usual], rows["y_m"][is_usual]
        for i in np.flatnonzero(is_extra).tolist():
            self._repeat(rows[i : i + 1], int(slots[i]) - len(self._row_of), first_row + i, int(first_ordinals[i]))
        self._noted.note(rows, first_ordinals)

    def foresee(self, rows: np.ndarray[Any, Any], first_ordinals: npt.NDArray[np.int64]) -> None:
        """The same."""
        if self._most and not self._is_planned:
            slots = self._partition.rows_of(first_ordinals)
            is_known = (first_ordinals >= 0) & (slots < len(self._row_of)) & (rows["planned"] >= 0)
            self._places_m[slots[is_known], 0] = rows["x_m"][is_known]
            self._places_m[slots[is_known], 1] = rows["y_m"][is_known]

    def restore(self, rows: np.ndarray[Any, Any], first_ordinals: npt.NDArray[np.int64], first_row: int) -> None:
        """The same.

        Of two rows of a position the one that was exposed last is used, in whatever order they come.
        """
        self._replaced += rows["replaces"][rows["replaces"] >= 0].tolist()
        if not self._most:
            return
        self._noted.note(rows, first_ordinals, are_from_before=True)
        parts = self._partition.rows_of(first_ordinals) % self.rows_per_position
        is_planned = rows["planned"] >= 0
        slots = (rows["planned"] * self.rows_per_position + parts)[is_planned]
        for slot, i in zip(slots.tolist(), np.flatnonzero(is_planned).tolist(), strict=True):
            row = rows[i]
            if row["keep"]:
                self._restore(row, slot, first_row + i, int(first_ordinals[i]))
            elif self._row_of[slot] < 0:
                self._row_of[slot] = first_row + i
            if not self._is_planned and row["replaces"] < 0:
                self._places_m[slot] = row["x_m"], row["y_m"]

    def keep_first(self, n_rows: int) -> None:
        """The same."""
        super().keep_first(n_rows)
        self._noted.keep_first(n_rows)

    def doubt(self, rows: Sequence[int]) -> None:
        """The same."""
        if self._most:
            self._noted.doubt(rows)

    def settle(self) -> Settled | None:
        """The same."""
        if not self._most:
            return None
        rows = self._noted.rows
        trusted = rows["is_trusted"]
        slots, n_slots = self._partition.rows_of(rows["ordinal"]), len(self._row_of)
        is_displaced = np.isin(rows["ordinal"], list(self.displaced)) | ((slots < n_slots) & (rows["planned"] < 0))
        is_usual = (slots < n_slots) & ~is_displaced
        if not self._is_planned:
            self._places_m[:] = np.nan
            for of_rows in (is_usual & ~trusted, is_usual & trusted):
                self._places_m[slots[of_rows], 0] = rows["x_m"][of_rows]
                self._places_m[slots[of_rows], 1] = rows["y_m"][of_rows]
        nth, parts = np.divmod(slots - n_slots, self.rows_per_position)
        positions = np.full(len(rows), -1)
        is_announced = ~is_displaced & (nth >= 0) & (nth < len(self._repeats))
        positions[is_announced] = np.array(self._repeats, np.int64)[nth[is_announced]]
        slots = np.where(is_usual, slots, np.where(is_announced, positions * self.rows_per_position + parts, -1))
        found = self._noted.settle(
            slots,
            is_usual,
            lambda slot, row: self._is_at(slot, float(rows["x_m"][row]), float(rows["y_m"][row])),
        )
        self._n_elsewhere = found.n_elsewhere
        self._replaced = [*set(self._replaced).difference(found.used), *found.left_out]
        planned = np.where(found.planned >= 0, found.planned // self.rows_per_position, -1)
        return found._replace(planned=planned)

    def notes(self) -> list[str]:
        """The same."""
        if not self._n_elsewhere:
            return []
        return [
            f"{counted(self._n_elsewhere, 'row')} beyond the ones planned {'is' if self._n_elsewhere == 1 else 'are'} "
            "not where a position was announced to be repeated: they replace nothing"
        ]

    def _restore(self, row: Any, slot: int, number: int, ordinal: int) -> None:
        """Note a row that is used, unless a later exposure is."""
        current, latest = int(self._row_of[slot]), int(self._ordinal_of[slot])
        if latest > ordinal:
            self._replaced.append(number)
            return
        if 0 <= latest < ordinal and row["replaces"] != current:
            self._replaced.append(current)
        self._row_of[slot], self._ordinal_of[slot] = number, ordinal

    def _repeat(self, row: np.ndarray[Any, Any], extra: int, number: int, ordinal: int) -> None:
        """Enter one of the rows beyond the ones planned."""
        nth, part = divmod(extra, self.rows_per_position)
        position = self._repeats[nth] if nth < len(self._repeats) else -1
        row["planned"] = -1
        slot = position * self.rows_per_position + part
        if position < 0 or not self._is_at(slot, float(row["x_m"][0]), float(row["y_m"][0])):
            self._n_elsewhere += 1
            return
        row["planned"] = position
        if not row["keep"][0]:
            return
        if self._ordinal_of[slot] > ordinal:  # it was exposed once more since
            self._replaced.append(number)
            return
        replaced, self._row_of[slot], self._ordinal_of[slot] = int(self._row_of[slot]), number, ordinal
        if replaced >= 0:
            row["replaces"] = replaced
            self._replaced.append(replaced)

    def _is_at(self, slot: int, x_m: float, y_m: float) -> bool:
        """True if a place is that of a planned row, and not nearly that of another position."""
        there_m = self._places_m[slot]
        steps_m = np.hypot(*(self._places_m - there_m).T)
        steps_m = steps_m[steps_m > STANDSTILL_M]
        limit_m = max(STANDSTILL_M, SHARE_OF_STEP * float(steps_m.min())) if len(steps_m) else STANDSTILL_M
        return bool(np.hypot(x_m - there_m[0], y_m - there_m[1]) <= limit_m)
