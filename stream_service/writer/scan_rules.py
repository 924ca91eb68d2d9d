"""Is the scan of a file one that can be meant? Its extent and its step, against the object's pixel by its numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator

import h5py
import numpy as np

from stream_service.core.plausibility import ScanGeometry, scan_doubts
from stream_service.writer.contents import RowExtent, dataset_at, number_in, text_in
from stream_service.writer.entry_tree import OPTICS
from stream_service.writer.finding import Finding, advice, error
from stream_service.writer.row_columns import KEEP


def scan_findings(file: h5py.File, extent: RowExtent) -> Iterator[Finding]:
    """Of the rows that are used, as far as the file has what is needed to judge them."""
    data, pos, keep = dataset_at(file, "/entry/data"), dataset_at(file, "/entry/pos"), dataset_at(file, KEEP)
    if data is None or pos is None or not extent.fits(pos, 2):
        return
    positions_m = np.asarray(pos[: extent.n_rows], np.float64)
    if keep is not None and extent.fits(keep):
        positions_m = positions_m[np.asarray(keep[: extent.n_rows]) != 0]
    geometry = geometry_in(file, (int(data.shape[1]), int(data.shape[2])))
    for doubt in scan_doubts(geometry, positions_m, is_whole=not extent.is_growing):
        yield (error if doubt.is_impossible else advice)("/entry/pos", doubt.message)


def geometry_in(file: h5py.File, frame_shape: tuple[int, int]) -> ScanGeometry:
    """What the file says of the size of the object's pixel; NaN and None where it does not."""
    energy_eV, det_dist_m, pixel_m = (
        _number_or_nan(file, f"/entry/{name}") for name in ("energy_eV", "det_dist_m", "pixel_m")
    )
    propagation = text_in(dataset_at(file, f"{OPTICS}/propagation"))
    return ScanGeometry(
        energy_eV=energy_eV,
        det_dist_m=det_dist_m,
        pixel_m=pixel_m,
        frame_shape=frame_shape,
        is_near_field=None if propagation is None else propagation == "near_field",
        defocus_m=number_in(dataset_at(file, f"{OPTICS}/defocus_m")),
    )


def _number_or_nan(file: h5py.File, where: str) -> float:
    value = number_in(dataset_at(file, where))
    return math.nan if value is None else value
