"""Rows that PtyPy got of a file that it followed, compared with those in the file.

Reading a growing HDF5 file can go wrong in silence (zeros for frames, a chunk for another: h5py issue 2803), and a
reconstruction of wrong frames looks like a bad one of good frames. So the recipe notes down what it got.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import h5py
import numpy as np
import numpy.typing as npt

from stream_service.ptycho.scan_file import ScanFile
from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.contents import values_in
from stream_service.text.counted import agrees, counted

FILE_NAME = "followed.npz"
"""Written by the recipe into its folder."""


@dataclass(frozen=True, slots=True, eq=False)
class FollowedRows:
    """The rows of a scan as PtyPy has them: a sum over each frame, and where it was."""

    sums: npt.NDArray[np.float64]
    positions_yx_m: npt.NDArray[np.float64]
    """(rows, 2)"""

    @classmethod
    def noted(cls, folder: Path) -> Self:
        """Rows that the recipe noted down."""
        with np.load(folder / FILE_NAME) as noted:
            return cls(noted["sums"], noted["positions_yx_m"])

    @classmethod
    def stored(cls, scan: ScanFile) -> Self:
        """Content of the file, of the square that PtyPy takes of a frame."""
        with scan.open() as file:
            data = file[paths.DATA]
            assert isinstance(data, h5py.Dataset)
            sums = np.array([data[index][scan.square].sum(dtype=np.float64) for index in range(scan.n_rows)])
            return cls(sums, values_in(file, paths.POS, scan.n_rows)[:, ::-1])

    def n_unlike(self, other: FollowedRows) -> int:
        """Rows that differ, in number or in what they hold."""
        n_common = min(len(self.sums), len(other.sums))
        frames = ~np.isclose(self.sums[:n_common], other.sums[:n_common], rtol=1e-6)
        positions = (self.positions_yx_m[:n_common] != other.positions_yx_m[:n_common]).any(axis=1)
        return int(np.sum(frames | positions)) + abs(len(self.sums) - len(other.sums))


def stored_mask(scan: ScanFile) -> npt.NDArray[np.uint8]:
    """The mask as it is in the file now."""
    with scan.open() as file:
        return np.asarray(file[paths.MASK])


def what_is_unseen(scan: ScanFile, seen: FollowedRows | None, mask: npt.NDArray[np.uint8]) -> str:
    """Content of the file of an ended run that PtyPy has not seen, in words; empty if there is none.

    `seen` is None if PtyPy did not get to the end, `mask` is what it began with.
    """
    if seen is None:
        return "PtyPy waited for rows that did not come"
    if n_unlike := seen.n_unlike(FollowedRows.stored(scan)):
        return f"PtyPy read {n_unlike} of {counted(scan.n_rows, 'row')} wrong, or not at all"
    if scan.n_kept != scan.n_rows:
        n_rejected = scan.n_rows - scan.n_kept
        return f"{counted(n_rejected, 'row')} {agrees(n_rejected, 'is')} rejected"
    if not np.array_equal(mask, stored_mask(scan)):
        return "the mask has grown"
    return ""
