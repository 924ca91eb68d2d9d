"""Corrections of rows that are in the file already, made at the end of the run.

A frame that the raw file has just before a reset of the counter puts all after it at later positions. One that has the
stamp of the frame after it tells that the clock stood: that stamp belongs to the earlier one. And a frame that comes
promptly may tell that the clock had stepped while those before it waited to be received. What hardware-captured arrays
tell as a whole is compared with the rows by `entry_check`. Which rows repeat which is settled last, by what can be
trusted then, where positions may be exposed again (`repeated_positions`).
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.core.exposure import Flag
from stream_service.core.ledger import Ledger
from stream_service.core.pairing.hardware_arrays import HardwareArrays
from stream_service.core.stage_map import StageMap
from stream_service.kernels import Grouping
from stream_service.run.rows.entry_check import EntryCheck
from stream_service.run.rows.file_thread import FileThread
from stream_service.run.rows.planned_positions import PlannedPositions
from stream_service.standard_file import StandardFile
from stream_service.text.counted import agrees, counted, they_are


class RowCorrections:
    """Of one run."""

    def __init__(
        self, file: FileThread, ledger: Ledger, planned: PlannedPositions, stage_map: StageMap, grouping: Grouping
    ) -> None:
        self.stood: set[int] = set()
        """Ordinals of frames that carry the stamp of the one before, as it turned out."""
        self.stepped: Set[int] = frozenset()
        """Those of frames that waited, and were stamped by a clock that had stepped."""
        self.shifted: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        """Ordinals of frames of which nobody knows how many were made before them, where that tells their position."""
        self.misordered: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        """Likewise those that were fetched, and are not stamped in the order of their ids."""
        self.n_unproven = 0
        """Frames that waited, and after which none came that would have shown whether it had."""
        self._file = file
        self._ledger = ledger
        self._planned = planned
        self._n_stood = self._n_stepped = self._n_shifted = self._n_misordered = 0
        self._entry_check = EntryCheck(file, ledger, stage_map, grouping)

    def displaced(self, ordinal: int) -> None:
        """The frame in this place was made just before a reset of the counter."""
        self._planned.displaced.add(ordinal)

    def salvaged(self, first_row: int, n: int) -> None:
        """So many rows, from this one on, were written by an earlier service."""
        self._entry_check.from_before.update(range(first_row, first_row + n))

    def write(self, arrays: HardwareArrays) -> None:
        """Correct the rows that are in the file, after which none follows; `arrays` are concluded."""
        self._planned.keep_first(self._file.call(lambda file: file.n_written))
        if self._planned.is_to_be_corrected:
            self._file.call(lambda file: file.plan_anew(self._planned_of))
        self._n_stood, self._n_stepped = (self._doubt(frames, Flag.NO_TIME) for frames in (self.stood, self.stepped))
        self._n_shifted = self._doubt(set(self.shifted.tolist()), Flag.UNCERTAIN)
        self._n_misordered = self._doubt(set(self.misordered.tolist()), Flag.UNCERTAIN)
        self._planned.doubt(self._entry_check.write(arrays))
        if (settled := self._planned.settle()) is not None:
            self._file.call(lambda file: file.settle(settled.planned, settled.replaces, settled.used))

    def notes(self) -> Iterator[str]:
        """Remarks on them, in sentences."""
        yield from self._entry_check.notes()
        if n := self._n_stood:
            yield (
                f"{counted(n, 'row')} {agrees(n, 'has')} the time stamp of a frame that was fetched from the raw file: "
                f"the detector's clock stood, and {they_are(n)} not used"
            )
        if n := self._n_stepped:
            yield (
                f"{counted(n, 'row')} of frames that had waited {agrees(n, 'was')} stamped by a clock that had "
                f"stepped, as the next frame showed: {they_are(n)} not used"
            )
        if n := self._n_shifted:
            yield (
                f"{counted(n, 'row')} came after the detector has reset its counter, or may have, and how many frames "
                f"were lost there is not known: nor is which entry of an array is theirs, and {they_are(n)} not used"
            )
        if n := self._n_misordered:
            yield (
                f"{counted(n, 'row')} {agrees(n, 'has')} frames from the raw file whose stamps are not in the order of "
                f"their ids: which entry of an array is whose is not known, and {they_are(n)} not used"
            )
        if n := self.n_unproven:
            yield (
                f"the last {counted(n, 'frame')} came late, and none after {agrees(n, 'it')}: whether the detector's "
                "clock stepped meanwhile is not known"
            )

    def _planned_of(self, epochs: npt.NDArray[Any], unique_ids: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        return self._planned.positions_of(self._ledger.epochs.order_of(epochs, unique_ids))

    def _doubt(self, ordinals: Set[int], reason: Flag) -> int:
        """Flag the rows of these frames; gives their number."""
        if not ordinals:
            return 0
        epochs, unique_ids = self._ledger.identities(np.array(sorted(ordinals), np.int64))

        def flag(file: StandardFile) -> list[int]:
            of_rows = file.read_identities()
            is_doubted = np.zeros(of_rows[0].shape, np.bool_)
            for epoch in np.unique(epochs).tolist():
                is_doubted |= (of_rows[0] == epoch) & np.isin(of_rows[1], unique_ids[epochs == epoch])
            rows = np.flatnonzero(is_doubted.any(axis=1)).tolist()
            file.doubt(rows, reason)
            return rows

        rows = self._file.call(flag)
        self._planned.doubt(rows)
        return len(rows)
