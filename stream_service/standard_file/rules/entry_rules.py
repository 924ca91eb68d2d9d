"""Is `/entry` what PtyPy and we need? Rules about shapes, numbers and the consistency of the two halves.

They hold for every file with the `/entry` schema; `identity_rules` adds what only our own files promise. Works on a
file that grows or crashed (`swmr=True`) as well: every dataset is opened through its `/entry` path only, because a
live file must not be read through two links.
"""

from __future__ import annotations

from collections.abc import Iterator

import h5py
import numpy as np

from stream_service.core.plausibility import LIMITS, number_doubt
from stream_service.standard_file.read.announced_rows import is_empty
from stream_service.standard_file.rules.finding import Finding, error, warning
from stream_service.standard_file.rules.pixel_rules import pixel_findings
from stream_service.standard_file.rules.scan_rules import energy_findings, scan_findings
from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.codes import FLAG_CODES
from stream_service.standard_file.schema.contents import RowExtent, dataset_at, group_at, is_vlen_string, number_in
from stream_service.text.counted import counted
from stream_service.text.units import JOULES_PER_EV

POSITION_TOLERANCE_M = 1e-12
"""A picometre: far below any encoder, far above rounding."""


def entry_findings(file: h5py.File, extent: RowExtent) -> Iterator[Finding]:
    """Findings in the `/entry` schema of this file."""
    data = dataset_at(file, paths.DATA)
    if data is None:
        if isinstance(file.get(paths.DATA), h5py.Group):
            message = (
                "is an h5 group: this is a raw detector file; make a standard file with 'ptychostream ingest hdf5'."
            )
        else:
            message = "is missing; a standard file holds its frames there."
        yield error(paths.DATA, message)
        return
    if data.ndim != 3:
        yield error(paths.DATA, f"has shape {data.shape}; frames are (row, y, x).")
        return
    yield from _data_findings(data, extent, dataset_at(file, paths.INTENSITY))
    yield from _position_findings(file, extent)
    yield from _flag_findings(file, extent)
    yield from _image_findings(file, data.shape[1:])
    yield from pixel_findings(file, extent)
    for name in LIMITS:
        yield from _scalar_findings(file, name)
    yield from scan_findings(file, extent)
    yield from energy_findings(file, extent)
    yield from _vlen_findings(file)


def consistency_findings(file: h5py.File) -> Iterator[Finding]:
    """Findings where `/entry` and `/entry_1` of a closed file differ."""
    yield from _translation_findings(file)
    energy_eV = number_in(dataset_at(file, paths.ENERGY))
    for path, factor in ((paths.SOURCE_ENERGY, JOULES_PER_EV), (paths.BEAM_ENERGY, 1.0)):
        value = number_in(dataset_at(file, path))
        if value is None or energy_eV is None or not np.isfinite(energy_eV):
            continue
        if not np.isclose(value / factor, energy_eV, rtol=1e-6):
            yield error(path, f"is {value / factor:.6g} eV, /entry/energy_eV says {energy_eV:.6g} eV; correct one.")
    basis = dataset_at(file, paths.BASIS_VECTORS)
    if basis is not None and basis.shape == (2, 3) and (basis[0, 1] < 0 or basis[1, 0] < 0):
        yield warning(
            str(basis.name),
            "points against +y or +x; PtyPy does not look and would find the twin image: rotate or flip the frames.",
        )
    for ours, theirs in (
        (paths.DET_DIST, f"{paths.DETECTOR}/distance"),
        (paths.PIXEL, f"{paths.DETECTOR}/x_pixel_size"),
        (paths.PIXEL, f"{paths.DETECTOR}/y_pixel_size"),
    ):
        a, b = number_in(dataset_at(file, ours)), number_in(dataset_at(file, theirs))
        if a is not None and b is not None and not np.isclose(a, b, rtol=1e-6):
            yield error(theirs, f"is {b:g} m, {ours} says {a:g} m; correct one.")


def _data_findings(data: h5py.Dataset, extent: RowExtent, intensity: h5py.Dataset | None) -> Iterator[Finding]:
    n_rows = extent.n_rows
    if data.dtype != np.float32:
        yield warning(paths.DATA, f"holds {data.dtype}; this schema says float32.")
    if n_rows == 0:
        yield warning(paths.DATA, "has no rows; nothing was recorded.")
    if data.chunks is not None and data.chunks == (1, *data.shape[1:]) and data.id.get_num_chunks() < n_rows:
        missing = n_rows - data.id.get_num_chunks()
        yield error(paths.DATA, f"has {n_rows} rows, but {missing} of them were never written; do not use them.")
    elif data.dtype.kind == "f":
        sums = np.array([np.sum(data[i], dtype="f8") for i in range(n_rows)])
        if (bad := np.flatnonzero(~np.isfinite(sums))).size:
            yield error(paths.DATA, f"has pixels that are not finite numbers in {_rows(bad)}; mask or repeat them.")
        if lost := [row for row in map(int, np.flatnonzero(sums == 0)) if is_empty(data, intensity, row)]:
            yield error(
                paths.DATA,
                f"is 0 everywhere in {_rows(lost)}, in which light was measured: the file was not copied completely; "
                "copy it again, or keep the other rows by 'ptychostream repair'.",
            )


def _position_findings(file: h5py.File, extent: RowExtent) -> Iterator[Finding]:
    n_rows = extent.n_rows
    pos = dataset_at(file, paths.POS)
    if pos is None:
        yield error(paths.POS, "is missing; it holds x and y of the beam on the sample, in metres.")
        return
    if not extent.fits(pos, 2):
        yield error(paths.POS, f"has shape {pos.shape}; for {n_rows} frames it must be ({n_rows}, 2).")
        return
    values = np.asarray(pos[:n_rows], np.float64)
    flags = dataset_at(file, paths.FLAGS)
    flagged = flags[:n_rows] != 0 if flags is not None and extent.fits(flags) else np.zeros(n_rows, bool)
    finite = np.isfinite(values).all(axis=1)
    if (bad := np.flatnonzero(~finite & ~flagged)).size:
        yield error(paths.POS, f"is not a finite number in {_rows(bad)}, and nothing flags them; leave them out.")
    if (bad := np.flatnonzero(~finite & flagged)).size:
        yield warning(paths.POS, f"is not known in {_rows(bad)}, as /entry/frames/flags says; leave them out.")
    known = values[finite]
    if len(known) > 1 and np.ptp(known, axis=0).max() == 0:
        yield warning(paths.POS, "is the same in every row; did the stage move?")
    for axis, path in enumerate((paths.POS_X, paths.POS_Y)):
        column = dataset_at(file, path)
        if column is None:
            yield warning(path, "is missing; PtyPy wants the positions as two datasets.")
        elif not extent.fits(column) or not np.array_equal(column[:n_rows], values[:, axis], equal_nan=True):
            yield error(path, f"differs from column {axis} of /entry/pos; write it again from there.")


def _flag_findings(file: h5py.File, extent: RowExtent) -> Iterator[Finding]:
    """Rows that say themselves why they are not to be trusted."""
    found, keep = dataset_at(file, paths.FLAGS), dataset_at(file, paths.KEEP)
    if found is None or not extent.fits(found) or found.dtype.kind not in "iu":
        return
    flags = np.asarray(found[: extent.n_rows])
    if not flags.any():
        return
    flagged = flags != 0
    counts = {name: int(np.count_nonzero(flags & bit)) for bit, name in FLAG_CODES.items()}
    reasons = ", ".join(f"{name} {n}" for name, n in counts.items() if n)
    used = np.asarray(keep[: extent.n_rows]) != 0 if keep is not None and extent.fits(keep) else np.ones_like(flagged)
    n_used = int(np.count_nonzero(flagged & used))
    consequence = (
        f"{n_used} of them are used, as their positions are known" if n_used else "none of them is used (/entry/keep)"
    )
    yield warning(paths.FLAGS, f"flags {_rows(np.flatnonzero(flagged))} of {extent.n_rows} ({reasons}); {consequence}.")


def _translation_findings(file: h5py.File) -> Iterator[Finding]:
    pos, translation = dataset_at(file, paths.POS), dataset_at(file, paths.TRANSLATION)
    if pos is None or translation is None or pos.shape[1:] != (2,):
        return
    if translation.shape != (pos.shape[0], 3):
        yield error(paths.TRANSLATION, f"has shape {translation.shape}; for /entry/pos it must be ({pos.shape[0]}, 3).")
        return
    sample, beam = np.asarray(translation[()])[:, :2], np.asarray(pos[()])
    known = np.isfinite(beam).all(axis=1)
    off = np.abs(sample + beam).max(axis=1) > POSITION_TOLERANCE_M
    if (bad := np.flatnonzero(off & known)).size:
        same = np.allclose(sample[known], beam[known], rtol=0, atol=POSITION_TOLERANCE_M)
        hint = "it has the sign of /entry/pos" if same else f"it differs in {_rows(bad)}"
        yield error(paths.TRANSLATION, f"must be minus /entry/pos (motion of the sample), but {hint}; correct it.")


def _image_findings(file: h5py.File, frame_shape: tuple[int, ...]) -> Iterator[Finding]:
    for path in (paths.MASK, paths.DARK, paths.FLAT):
        image = dataset_at(file, path)
        if image is not None and image.shape != frame_shape:
            yield error(path, f"has shape {image.shape}, the frames {frame_shape}; they must agree.")
    mask = dataset_at(file, paths.MASK)
    if mask is None:
        yield warning(paths.MASK, "is missing; without it PtyPy takes every pixel for good.")
        return
    values = np.asarray(mask[()])
    if values.dtype.kind not in "iub" or not np.isin(values, (0, 1)).all():
        largest = values.max(initial=0)
        yield error(paths.MASK, f"holds values up to {largest}; only 0 (good) and 1 (bad) may stand here.")
    elif values.size and values.all():
        yield error(paths.MASK, "calls every pixel bad; nothing can be reconstructed: correct the mask.")


def _scalar_findings(file: h5py.File, name: str) -> Iterator[Finding]:
    where = f"{paths.ENTRY}/{name}"
    dataset = dataset_at(file, where)
    if dataset is None:
        if name != "exposure_s":
            yield error(where, "is missing; PtyPy needs it.")
        return
    value = number_in(dataset)
    if value is None:
        yield error(where, f"has shape {dataset.shape} and type {dataset.dtype}; PtyPy wants one number.")
    elif not np.isfinite(value):
        level = warning if name == "exposure_s" else error
        yield level(where, f"is {value}; write the true value in {LIMITS[name].unit}.")
    elif (doubt := number_doubt(name, value)) is not None:
        yield (error if doubt.is_impossible else warning)(where, doubt.message)


def _vlen_findings(file: h5py.File) -> Iterator[Finding]:
    found: list[str] = []

    def note(name: str, member: h5py.Group | h5py.Dataset) -> None:
        if isinstance(member, h5py.Dataset) and is_vlen_string(member):
            found.append(f"{paths.ENTRY}/{name}")

    if (entry := group_at(file, paths.ENTRY)) is not None:
        entry.visititems(note)
    for path in found:
        yield error(path, "is text of variable length, which no live reader can read; write it with a fixed length.")


def _rows(indices: np.ndarray | list[int]) -> str:
    shown = ", ".join(str(int(index)) for index in indices[:5])
    return f"{counted(len(indices), 'row')} ({shown}{', ...' if len(indices) > 5 else ''})"
