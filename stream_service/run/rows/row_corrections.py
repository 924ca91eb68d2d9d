"""What only the raw file tells of rows that are in the file already: corrected at the end of the run.

A frame that is found just before a reset of the counter puts all after it at later positions. One that has the stamp of
the frame after it tells that the clock stood: that stamp belongs to the earlier one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.core.exposure import Flag
from stream_service.core.ledger import Ledger
from stream_service.run.rows.file_thread import FileThread
from stream_service.run.rows.planned_rows import PlannedRows
from stream_service.standard_file import StandardFile
from stream_service.text.counted import agrees, counted


class RowCorrections:
    """Of one run."""

    def __init__(self, file: FileThread, ledger: Ledger, planned: PlannedRows) -> None:
        self.untimed: set[int] = set()
        """Ordinals of frames that carry the stamp of the one before, as it turned out."""
        self._file = file
        self._ledger = ledger
        self._planned = planned
        self._n_untimed = 0

    def write(self) -> None:
        """Correct the rows, which are all in the file."""
        if self._planned.is_to_be_corrected:
            self._file.call(lambda file: file.plan_anew(self._planned_of))
        if self.untimed:
            self._n_untimed = self._file.call(self._flag_untimed)

    def notes(self) -> Iterator[str]:
        """Remarks on them, in sentences."""
        if n := self._n_untimed:
            yield (
                f"{counted(n, 'row')} {agrees(n, 'has')} the time stamp of a frame that was fetched from the raw file: "
                f"the detector's clock stood, and {agrees(n, 'it')} {agrees(n, 'is')} not used"
            )

    def _planned_of(self, epochs: npt.NDArray[Any], unique_ids: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        return self._planned.positions_of(self._ledger.order_of(epochs, unique_ids))

    def _flag_untimed(self, file: StandardFile) -> int:
        """Gives the number of rows."""
        epochs, unique_ids = self._ledger.identities(np.array(sorted(self.untimed), np.int64))
        of_rows = file.read_identities()
        is_untimed = np.zeros(of_rows[0].shape, np.bool_)
        for identity in zip(epochs.tolist(), unique_ids.tolist(), strict=True):
            is_untimed |= (of_rows[0] == identity[0]) & (of_rows[1] == identity[1])
        rows = np.flatnonzero(is_untimed.any(axis=1)).tolist()
        file.doubt(rows, Flag.NO_TIME)
        return len(rows)
