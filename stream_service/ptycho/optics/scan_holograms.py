"""The holograms in the frames of a standard file, closed or growing: of the middle of the scan, read twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from stream_service.errors import SourceError
from stream_service.ptycho.optics.inline_hologram import InlineHolograms, bright_field_cone
from stream_service.ptycho.scan_file import ScanFile
from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.contents import values_in

Floats = npt.NDArray[np.floating[Any]]

MOST_FRAMES = 250
"""Those around the middle of the scan, where neighbours overlap on all sides."""
FEWEST_FRAMES = 8
FEWEST_PIXELS = 16


@dataclass(frozen=True, slots=True, eq=False)
class ScanHolograms:
    """In-line hologram of a scan: what its frames show without a reconstruction."""

    holograms: InlineHolograms
    mean: Floats
    """(y, x) mean of the frames used."""
    good: npt.NDArray[np.bool_]
    """(y, x) pixels that are not masked."""


def read_holograms(scan: ScanFile) -> ScanHolograms:
    """Read them. Raises `SourceError` for a scan with too few rows, and for a damaged one."""
    with scan.open() as file:
        positions_yx_m = values_in(file, paths.POS, scan.n_rows)[:, ::-1]
        keep = values_in(file, paths.KEEP, scan.n_rows) > 0
        good = np.asarray(file[paths.MASK]) == 0
        rows = middle_rows(positions_yx_m, keep & np.isfinite(positions_yx_m).all(axis=1))
        if len(rows) < FEWEST_FRAMES:
            raise SourceError(f"{scan.path} has {len(rows)} rows to use: too few to see how frames follow positions")
        data = file[paths.DATA]
        assert isinstance(data, h5py.Dataset)
        mean = np.zeros(scan.frame_shape)
        frames = partial(_frames, scan, data, rows, good)
        for frame in frames():
            mean += frame / len(rows)
        _check_there_is_something_to_see(scan, mean, good, positions_yx_m[rows])
        holograms = InlineHolograms.of(frames(), mean, good, scan.center_px, positions_yx_m[rows])
    return ScanHolograms(holograms, mean, good)


def middle_rows(positions_yx_m: Floats, usable: npt.NDArray[np.bool_], most: int = MOST_FRAMES) -> npt.NDArray[np.intp]:
    """The usable rows nearest to the middle of the scan, in order."""
    rows = np.flatnonzero(usable)
    away = positions_yx_m[rows] - np.median(positions_yx_m[rows], axis=0) if len(rows) else np.zeros((0, 2))
    return np.sort(rows[np.argsort((away**2).sum(axis=1), kind="stable")[:most]])


def _check_there_is_something_to_see(
    scan: ScanFile, mean: Floats, good: npt.NDArray[np.bool_], positions_yx_m: Floats
) -> None:
    if not np.ptp(positions_yx_m, axis=0).any():
        raise SourceError(f"{scan.path}: the beam stood still, so nothing can be seen moving")
    lit = np.argwhere(bright_field_cone(mean, good))
    if len(lit) < FEWEST_PIXELS or not np.ptp(lit, axis=0).any():
        raise SourceError(f"{scan.path}: the frames are dark, or masked ({len(lit)} pixels have light)")


def _frames(
    scan: ScanFile, data: h5py.Dataset, rows: npt.NDArray[np.intp], good: npt.NDArray[np.bool_]
) -> Iterator[npt.NDArray[Any]]:
    return (np.asarray(scan.frame(data, int(row), good), np.float64) for row in rows)
