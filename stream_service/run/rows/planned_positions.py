"""The planned positions of the rows of a run: what the pipeline asks of them, whatever tells a row's own.

Either its place among all rows (`PlannedRows`), or where it lies (`VisitedPositions`). Only the former knows repeats.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.errors import ConfigError
from stream_service.run.rows.repeated_positions import Settled

Ints = npt.NDArray[np.int64]
NO_REPEATS = "the run has no frames reserved for repeats (extra_frames of its request)"


class PlannedPositions:
    """Those of one run; the run's thread uses it, but for `announce`."""

    rows_per_position = 1

    def __init__(self) -> None:
        self.displaced: set[int] = set()
        """Ordinals of frames that were found behind all others: what they were planned for is known at the end."""
        self._replaced: list[int] = []

    def enter(self, rows: np.ndarray[Any, Any], first_ordinals: Ints, first_row: int) -> None:
        """Enter `planned` and `replaces` into rows (n,) whose first frames these are, which begin at `first_row`."""
        raise NotImplementedError

    def restore(self, rows: np.ndarray[Any, Any], first_ordinals: Ints, first_row: int) -> None:
        """Note rows (n,) that have been entered already, and begin at `first_row` now."""
        raise NotImplementedError

    @property
    def is_to_be_corrected(self) -> bool:
        """True if the rows in the file belong to other positions than they say: to `positions_of` their frames."""
        return False

    def positions_of(self, ordinals: Ints) -> Ints:
        """Planned positions of the rows (n,) whose first frames these are, -1 where their places do not tell."""
        return np.full(len(ordinals), -1)

    @property
    def n_announced(self) -> int:
        """Repeats that were announced; any thread may ask."""
        return 0

    def announce(self, positions: Sequence[int]) -> None:
        """Say which planned positions the frames beyond the ones planned repeat: all of the run, in order.

        Raises `ConfigError`, and then nothing has changed.
        """
        raise ConfigError(NO_REPEATS)

    def foresee(self, rows: np.ndarray[Any, Any], first_ordinals: Ints) -> None:
        """Learn where positions were taken from rows (n,) of before, which will be restored behind new ones."""

    def doubt(self, rows: Sequence[int]) -> None:
        """These rows, by their places in the file, are not to be used: they replace nothing."""

    def settle(self) -> Settled | None:
        """What all rows so far are, whatever the order in which they came; None where nothing can be repeated."""
        return None

    def keep_first(self, n_rows: int) -> None:
        """No others are in the file, which has failed."""
        self._replaced = [row for row in self._replaced if row < n_rows]

    def replace(self, rows: Sequence[int]) -> None:
        """These rows, by their places in the file, have been replaced."""
        self._replaced += rows

    def take_replaced(self) -> list[int]:
        """The rows that were replaced since the last call: they are not to be used any more."""
        replaced, self._replaced = self._replaced, []
        return replaced

    def notes(self) -> list[str]:
        """Remarks on the repeats so far, in sentences."""
        return []
