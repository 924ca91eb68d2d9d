"""Remarks on what the rows of a scan show where that contradicts what a reconstruction takes for granted."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stream_service.core.energies import TOLERANCE as ENERGY_TOLERANCE
from stream_service.ptycho.optics.inline_hologram import bright_field_cone
from stream_service.ptycho.orientation.detector_orientation import Orientation
from stream_service.ptycho.scan_file import ScanFile
from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.contents import dataset_at
from stream_service.text.counted import agrees, counted

FEWEST_ROWS = 8
MOST_FRAMES = 16
"""Spread over the scan: their mean is smooth enough to see where there is light."""
AXIS_TOLERANCE_PX = 3.0
"""The sample deflects single frames by more; in the mean over a scan its deflections cancel to a pixel or two."""
MOST_LIT_EDGE = 0.5
"""Share of the pixels along the edge of the mean frame that are lit: around a cone in the far field it is dark."""


def frame_remarks(scan: ScanFile) -> tuple[str, ...]:
    """Sentences; of the pixels none for a scan in the near field, or with too few rows to see anything."""
    return (*_energy_remark(scan), *_pixel_remarks(scan))


def _energy_remark(scan: ScanFile) -> tuple[str, ...]:
    """That rows are used which were taken at another photon energy than the one that is reconstructed with."""
    with scan.open() as file:
        found, keep = dataset_at(file, paths.ROW_ENERGY), dataset_at(file, paths.KEEP)
        if found is None or keep is None or len(found) < scan.n_rows:
            return ()
        energies_eV = np.asarray(found[: scan.n_rows], np.float64)[np.asarray(keep[: scan.n_rows]) > 0]
    off = energies_eV[np.abs(energies_eV - scan.energy_eV) > ENERGY_TOLERANCE * scan.energy_eV]
    if not len(off):
        return ()
    return (
        f"{counted(len(off), 'row')} of {scan.n_kept} {agrees(len(off), 'was')} taken at {off.min():g} to "
        f"{off.max():g} eV, and all are reconstructed with {scan.energy_eV:g} eV: give a scan of each energy by itself",
    )


def _pixel_remarks(scan: ScanFile) -> tuple[str, ...]:
    if scan.optics.propagation == "near_field" or scan.n_kept < FEWEST_ROWS:
        return ()
    lit = _lit_edge(scan)
    if lit > MOST_LIT_EDGE:
        return (
            f"the mean frame is lit along {lit:.0%} of its edge, as in the near field, and a cone in the far field "
            "leaves the edge dark: if the detector sees a magnified in-line hologram of the sample, say --near-field "
            "(and --defocus, or optics.propagation of the profile)",
        )
    return _axis_remark(scan)


def _axis_remark(scan: ScanFile) -> tuple[str, ...]:
    mean_px = _mean_centre_px(scan)
    if mean_px is None:
        return ()
    off = mean_px - np.array(scan.center_px)
    if float(np.hypot(*off)) <= AXIS_TOLERANCE_PX:
        return ()
    rows, columns = _in_raw_axes(scan, off)
    return (
        f"the mean centre of mass of the frames lies {np.hypot(*off):.1f} pixels beside the optical axis at row "
        f"{scan.center_px[0]:g}, column {scan.center_px[1]:g}: if the middle of the cone is the axis, ingest again "
        f"with --roi-center moved by {rows:+.1f} rows, {columns:+.1f} columns of a raw frame (by default its middle), "
        "else the image is displaced and has a ramp on its phase",
    )


def _mean_centre_px(scan: ScanFile) -> npt.NDArray[np.float64] | None:
    """Median over the rows used, (row, column); None where the file does not know it."""
    with scan.open() as file:
        found = [dataset_at(file, f"{paths.FEATURES}/com_{axis}") for axis in "yx"]
        keep = dataset_at(file, paths.KEEP)
        if keep is None or any(one is None or len(one) < scan.n_rows for one in found):
            return None
        used = np.asarray(keep[: scan.n_rows]) > 0
        columns = [np.asarray(one[: scan.n_rows], np.float64)[used] for one in found if one is not None]
    finite = np.isfinite(columns[0]) & np.isfinite(columns[1])
    if not finite.any():
        return None
    return np.array([np.median(column[finite]) for column in columns])


def _in_raw_axes(scan: ScanFile, off_px: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A distance in a stored frame, in raw axes: before rotate, flip and bin of the ingest."""
    preprocessing = scan.preprocessing
    orientation = Orientation.of_profile(
        int(preprocessing.get("rotate") or 0), str(preprocessing.get("flip") or "none")
    )
    return orientation.matrix.T @ off_px * int(preprocessing.get("bin") or 1)


def _lit_edge(scan: ScanFile) -> float:
    """Share of the good pixels along the edge that the direct beam lights."""
    with scan.open() as file:
        data, keep, mask = (dataset_at(file, path) for path in (paths.DATA, paths.KEEP, paths.MASK))
        assert data is not None
        assert keep is not None
        assert mask is not None
        rows = np.flatnonzero(np.asarray(keep[: scan.n_rows]))
        rows = rows[:: max(1, len(rows) // MOST_FRAMES)]
        mean = np.mean([np.asarray(data[int(row)], np.float64) for row in rows], axis=0)
        good = np.asarray(mask) == 0
    edge = np.ones(mean.shape, bool)
    edge[1:-1, 1:-1] = False
    edge &= good & np.isfinite(mean)
    lit = bright_field_cone(np.where(np.isfinite(mean), mean, 0.0), good)
    return float(np.mean(lit[edge])) if edge.any() else 0.0
