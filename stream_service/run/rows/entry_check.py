"""The rows of a run, at its end, against what its hardware-captured arrays tell as a whole (ADR 0045).

A frame had an entry while it was not known yet what would follow. Where a trigger was missed, or was one too many, and
nobody can tell where, or where all of it tells otherwise, its row is flagged; one that could not be told and now can is
put right by a later row (`unsure_rows`). Rows that an earlier service has written are checked as all others are, and
show whether arrays without times are those of before (`arrays_of_before`).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from stream_service.core.exposure import POSITION_CHANNELS, Flag
from stream_service.core.ledger import Ledger
from stream_service.core.pairing.hardware_arrays import HardwareArrays
from stream_service.core.stage_map import StageMap
from stream_service.kernels import Grouping
from stream_service.run.rows.arrays_of_before import contradicted_rows
from stream_service.run.rows.file_thread import FileThread
from stream_service.standard_file import StandardFile
from stream_service.text.counted import agrees, counted, they_are

NEAR, NEAR_ZERO = 1e-9, 1e-12
"""Of a value, and in metres or electronvolts: what the map of the stage, to the sample and back, may cost."""


class EntryCheck:
    """Of one run."""

    def __init__(self, file: FileThread, ledger: Ledger, stage_map: StageMap, grouping: Grouping) -> None:
        self._file = file
        self._ledger = ledger
        self._stage_map = stage_map
        self._grouping = grouping
        self._n_left_out = 0
        self.from_before: set[int] = set()
        """Rows that an earlier service has written, by their places in the file."""

    def write(self, arrays: HardwareArrays) -> list[int]:
        """Flag the rows, which are all in the file, that are not as the arrays tell; these are concluded.

        Gives those that are not to be used any more, by their places in the file.
        """
        ordinals = np.arange(self._ledger.n_seen)
        told = {name: found for name in arrays if (found := arrays.final_values(name, ordinals.tolist())) is not None}
        of_numbers = {}
        if self.from_before:
            of_channels = {name: arrays.counted_values(name, ordinals.tolist()) for name in arrays}
            of_numbers = {name: values for name, values in of_channels.items() if values is not None}
        if not (told or of_numbers):
            return []
        epochs, unique_ids = self._ledger.identities(ordinals)
        places = {frame: n for n, frame in enumerate(zip(epochs.tolist(), unique_ids.tolist(), strict=True))}

        def check(file: StandardFile) -> list[int]:
            frames, stored = file.read_identities(), dict(file.read_readbacks())
            stored["x"], stored["y"] = self._stage_map.stage(stored["x_m"], stored["y_m"])
            stored["energy"] = stored["energy_eV"]
            rows_of_frames = [
                [places[frame] for frame in zip(of_epochs, of_ids, strict=True) if frame in places]
                for of_epochs, of_ids in zip(*(column.tolist() for column in frames), strict=True)
            ]
            wrong: dict[bool, set[int]] = {True: set(), False: set()}
            for name, (values, is_told) in told.items():
                wrong[name in POSITION_CHANNELS] |= {
                    row
                    for row, of_row in enumerate(rows_of_frames)
                    if not (
                        is_told[of_row].all() and _is_right(float(stored[name][row]), values[of_row], self._grouping)
                    )
                }
            first_ordinals = {row: min(of_row) for row, of_row in enumerate(rows_of_frames) if of_row}
            for name, values in of_numbers.items():
                is_alike = {
                    row: _is_right(float(stored[name][row]), values[rows_of_frames[row]], self._grouping)
                    for row in first_ordinals
                    if np.isfinite(values[rows_of_frames[row]]).all() and np.isfinite(stored[name][row])
                }
                wrong[name in POSITION_CHANNELS] |= contradicted_rows(is_alike, first_ordinals, self.from_before)
            left_out = sorted(wrong[True])
            file.doubt(left_out, Flag.UNMATCHED)
            file.doubt(sorted(wrong[False] - wrong[True]), Flag.UNMATCHED, are_used=True)
            return left_out

        left_out = self._file.call(check)
        self._n_left_out = len(left_out)
        return left_out

    def notes(self) -> Iterator[str]:
        """What was flagged, in sentences."""
        if n := self._n_left_out:
            yield (
                f"{counted(n, 'row')} {agrees(n, 'is')} flagged unmatched at the end, since the hardware-captured "
                f"arrays as a whole do not tell that {agrees(n, 'its')} position is right: {they_are(n)} not used"
            )


def _is_right(stored: float, values: npt.NDArray[np.float64], grouping: Grouping) -> bool:
    """True of a row that has what its frames, (k,) each, are told to have: the mean, or that of the one it keeps.

    Which one is best is not known: it may be any. A row without a value is flagged already, and says no more.
    """
    if stored != stored:
        return True
    if grouping is Grouping.FIRST:
        values = values[:1]
    elif grouping is not Grouping.BEST and len(values):
        values = values.mean(keepdims=True)
    return bool((abs(stored - values) <= NEAR * abs(values) + NEAR_ZERO).any())
