"""Positions of the rows of a run that are to be used, for what is said of the scan as a whole at its end."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stream_service.core.row import RowBlock
from stream_service.core.run import RunOutcome


class UsedPositions:
    """A sink that keeps x and y of the beam on the sample, of the rows that are used."""

    name = "the check of the positions"

    def __init__(self) -> None:
        self._blocks_m: list[npt.NDArray[np.float64]] = []

    def append(self, block: RowBlock) -> None:
        """See `Sink`."""
        used = block.rows[block.rows["keep"] != 0]
        self._blocks_m.append(np.stack([used["x_m"], used["y_m"]], axis=1))

    def flush(self) -> None:
        """Nobody looks before the end."""

    def finish(self, outcome: RunOutcome) -> None:
        """They stay as they are."""

    @property
    def positions_m(self) -> npt.NDArray[np.float64]:
        """(n, 2) x and y."""
        return np.concatenate([np.empty((0, 2)), *self._blocks_m])
