"""Can the scan of a file be meant? Its extent and step against the object's pixel, and the energies of its rows."""

from __future__ import annotations

import math
from collections.abc import Iterator

import h5py
import numpy as np

from stream_service.core.energies import TOLERANCE
from stream_service.core.plausibility import ScanGeometry, scan_doubts
from stream_service.standard_file.rules.finding import Finding, error, warning
from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.contents import RowExtent, dataset_at, number_in, text_in
from stream_service.text.counted import agrees, counted


def scan_findings(file: h5py.File, extent: RowExtent) -> Iterator[Finding]:
    """Of the rows that are used, as far as the file has what is needed to judge them."""
    data, pos, keep = dataset_at(file, paths.DATA), dataset_at(file, paths.POS), dataset_at(file, paths.KEEP)
    if data is None or pos is None or not extent.fits(pos, 2):
        return
    positions_m = np.asarray(pos[: extent.n_rows], np.float64)
    if keep is not None and extent.fits(keep):
        positions_m = positions_m[np.asarray(keep[: extent.n_rows]) != 0]
    geometry = geometry_in(file, (int(data.shape[1]), int(data.shape[2])))
    for doubt in scan_doubts(geometry, positions_m, is_whole=not extent.is_growing):
        yield (error if doubt.is_impossible else warning)(paths.POS, doubt.message)


def energy_findings(file: h5py.File, extent: RowExtent) -> Iterator[Finding]:
    """Of rows that were taken at another energy than the file's one, or at none that is known."""
    found, energy_eV = dataset_at(file, paths.ROW_ENERGY), _number_or_nan(file, paths.ENERGY)
    if found is None or not extent.fits(found) or not math.isfinite(energy_eV) or extent.is_growing:
        return
    energies_eV = np.asarray(found[: extent.n_rows], np.float64)
    unknown = int(np.count_nonzero(~np.isfinite(energies_eV)))
    off = np.abs(energies_eV - energy_eV) > TOLERANCE * abs(energy_eV)
    if off.any():
        yield warning(
            paths.ROW_ENERGY,
            f"runs from {np.nanmin(energies_eV):g} to {np.nanmax(energies_eV):g} eV: {np.count_nonzero(off)} of "
            f"{counted(extent.n_rows, 'row')} {agrees(int(np.count_nonzero(off)), 'is')} off by more than "
            f"{TOLERANCE:.1%} from the {energy_eV:g} eV of /entry/energy_eV; reconstruct each energy by itself.",
        )
    if unknown:
        yield warning(paths.ROW_ENERGY, f"is not known in {unknown} of {counted(extent.n_rows, 'row')}.")


def geometry_in(file: h5py.File, frame_shape: tuple[int, int]) -> ScanGeometry:
    """Numbers of the file that fix the object's pixel; NaN and None where they are missing."""
    energy_eV, det_dist_m, pixel_m = (
        _number_or_nan(file, path) for path in (paths.ENERGY, paths.DET_DIST, paths.PIXEL)
    )
    propagation = text_in(dataset_at(file, f"{paths.OPTICS}/propagation"))
    return ScanGeometry(
        energy_eV=energy_eV,
        det_dist_m=det_dist_m,
        pixel_m=pixel_m,
        frame_shape=frame_shape,
        is_near_field=None if propagation is None else propagation == "near_field",
        defocus_m=number_in(dataset_at(file, f"{paths.OPTICS}/defocus_m")),
    )


def _number_or_nan(file: h5py.File, where: str) -> float:
    value = number_in(dataset_at(file, where))
    return math.nan if value is None else value
