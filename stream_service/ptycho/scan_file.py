"""A standard file as a reconstruction needs it: numbers, optics, number of rows. Frames stay there."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from stream_service.core.plausibility import HC_EV_M, LIMITS, ScanGeometry, number_doubts, scan_doubts
from stream_service.errors import SourceError
from stream_service.hdf5.bounded_file import BoundedFile
from stream_service.hdf5.failures import readable
from stream_service.hdf5.opening import open_hdf5
from stream_service.hdf5.targets import NOWHERE_ELSE, AlsoBelow
from stream_service.ptycho.optics.near_field import NearField
from stream_service.ptycho.orientation.detector_orientation import Orientation
from stream_service.settings.optics import Optics
from stream_service.standard_file.read.announced_rows import standard_rows
from stream_service.standard_file.read.stored_end import StoredEnd
from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.contents import as_text, dataset_at, group_at, number_in, text_in
from stream_service.standard_file.schema.entry_tree import OPEN_KEY_CAPACITY
from stream_service.text.validation_messages import explain

USED = (paths.POS, paths.POS_X, paths.POS_Y, paths.MASK)
"""Datasets that recipes and exports read beside those that are read here: they must be there, and lead nowhere else."""


@dataclass(frozen=True, slots=True)
class ScanFile:
    """A standard file as it was when it was read."""

    path: Path
    scan_id: str
    state: str
    """Of the run: RECEIVING ... COMPLETE, INCOMPLETE, ABORTED, FAILED; empty if the file does not say."""
    is_growing: bool
    """It is open for writing, or its writer was killed: it opens with `swmr=True` only, or has rows not to be read."""
    n_rows: int
    """Rows that are whole."""
    n_kept: int
    """Rows not rejected (`/entry/keep`)."""
    n_rows_expected: int | None
    """None if the length of the scan was not known at its start."""
    frame_shape: tuple[int, int]
    """Rows and columns of a stored frame."""
    center_px: tuple[float, float]
    """Row and column of the optical axis; an integer is the middle of a pixel."""
    axis_signs: tuple[int, int]
    """-1 where the rows (columns) of a stored frame grow against +y (+x) of the beam on the sample."""
    energy_eV: float
    det_dist_m: float
    pixel_m: float
    optics: Optics
    settings: Mapping[str, Any]
    """With which it was made, as recorded."""
    orientation: Orientation | None = None
    """Tried instead of what `axis_signs` say."""
    also: AlsoBelow = NOWHERE_ELSE
    """Folders to which the file may lead beside its own."""
    why: str = ""
    """Why the run ended, in words."""
    notes: tuple[str, ...] = ()
    """What there is to say of its rows, for whoever shows it."""

    @classmethod
    def read(cls, path: Path, also: AlsoBelow = NOWHERE_ELSE) -> Self:
        """Read it, closed or growing. Raises `SourceError`: what is missing, and what to do."""
        if not (os.path.isfile(path) or os.path.isdir(path)):  # of a folder, what opens it says so
            raise SourceError(f"{path} is not there: give a standard file (<scan>_std.h5)")
        with open_hdf5(path, also).file as file, readable(str(path)):
            return cls._from_file(path, file)

    def open(self) -> BoundedFile:
        """The file, open for reading; with `swmr=True` where it is being written, or was when its writer died."""
        return open_hdf5(self.path, self.also).file

    def frame(self, data: h5py.Dataset, row: int, good: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
        """The stored frame (y, x) of a row, out of the dataset of frames. Raises `SourceError` for a damaged one."""
        pixels = np.asarray(data[row])
        if not np.isfinite(pixels[good]).all():
            raise SourceError(
                f"{self.path}: row {row} has good pixels that are no numbers: it is damaged; copy it again, or ingest "
                "the raw file anew"
            )
        return pixels

    @classmethod
    def _from_file(cls, path: Path, file: BoundedFile) -> Self:
        if not file.is_standard:
            raise SourceError(f"{path} is not a standard file: make one of it with `ptychostream ingest`")
        end = StoredEnd.of(file)  # first: once a run has ended, all its rows are there
        rows = standard_rows(file)
        is_growing, n_rows = rows.n_beyond > 0 or not rows.is_closed, rows.n_rows
        data, keep = dataset_at(file, paths.DATA), dataset_at(file, paths.KEEP)
        basis = dataset_at(file, paths.BASIS_VECTORS)
        keys = dataset_at(file, paths.KEY_DATA)
        used = [dataset_at(file, path_in) for path_in in USED]
        if data is None or keep is None or basis is None or keys is None or None in used:
            raise SourceError(f"{path} lacks datasets of a standard file: `ptychostream validate` says which")
        step_y, step_x = float(basis[0, 1]), float(basis[1, 0])
        capacity = int(keys.shape[0])
        places = paths.ENERGY, paths.DET_DIST, paths.PIXEL, paths.CENTER_Y, paths.CENTER_X
        energy_eV, det_dist_m, pixel_m, center_y, center_x = (_number(path, file, place) for place in places)
        for doubt in number_doubts({"energy_eV": energy_eV, "det_dist_m": det_dist_m, "pixel_m": pixel_m}):
            raise SourceError(
                f"{path}: /entry/{doubt.name} {doubt.message} Ingest again with the right {doubt.correction}"
            )
        return cls(
            path=path,
            scan_id=text_in(dataset_at(file, paths.SCAN_ID)) or path.stem,
            state=end.state,
            why=end.why,
            is_growing=is_growing,
            n_rows=n_rows,
            n_kept=int(np.count_nonzero(keep[:n_rows])),
            n_rows_expected=None if capacity == OPEN_KEY_CAPACITY else capacity,
            frame_shape=(int(data.shape[1]), int(data.shape[2])),
            center_px=(center_y, center_x),
            axis_signs=(-1 if step_y < 0 else 1, -1 if step_x < 0 else 1),
            energy_eV=energy_eV,
            det_dist_m=det_dist_m,
            pixel_m=pixel_m,
            optics=_optics_of(path, file),
            settings=_settings_of(file),
            also=file.also,
            notes=rows.notes,
        )

    @property
    def upright(self) -> Orientation:
        """Rotation and flip that make the stored frames upright: their rows growing with +y, their columns with +x."""
        rows, columns = self.axis_signs
        if self.orientation is not None:
            return self.orientation
        return Orientation(flip_rows=rows < 0, flip_columns=columns < 0)

    @property
    def profile(self) -> Mapping[str, Any]:
        """The profile with which it was made, as recorded; empty if there was none."""
        return self.settings.get("profile") or {}

    @property
    def preprocessing(self) -> Mapping[str, Any]:
        """The preprocessing with which it was made, likewise."""
        return self.settings.get("preprocessing") or self.profile.get("preprocessing") or {}

    @property
    def end(self) -> StoredEnd:
        """State and reason."""
        return StoredEnd(self.state, self.why)

    @property
    def has_ended(self) -> bool:
        """The run is over: no row will come."""
        return self.end.has_ended

    @property
    def wavelength_m(self) -> float:
        """Wavelength of the light."""
        return HC_EV_M / self.energy_eV

    @property
    def square_px(self) -> int:
        """Side of the largest even square about the optical axis: what PtyPy takes of a frame."""
        room = min(min(c, n - c) for c, n in zip(self.square_center_px, self.frame_shape, strict=True))
        return 2 * max(room, 0)

    @property
    def square_center_px(self) -> tuple[int, int]:
        """Row and column of a stored frame at side // 2 of the square, so that *upright* it has the axis there.

        That is the axis, or, along an axis that the upright frame has in reverse order, the pixel behind it: of an
        even number of pixels number n // 2 from the front is number n // 2 - 1 from the back.
        """
        orientation = self.upright
        reverses = (
            (orientation.flip_columns, orientation.flip_rows)
            if orientation.transpose
            else (orientation.flip_rows, orientation.flip_columns)
        )
        row, column = (round(value) + reverse for value, reverse in zip(self.center_px, reverses, strict=True))
        return row, column

    @property
    def square(self) -> tuple[slice, slice]:
        """The part of a stored frame that is the square."""
        half = self.square_px // 2
        row, column = self.square_center_px
        return slice(row - half, row + half), slice(column - half, column + half)

    def check_plausible(self) -> None:
        """Raise `SourceError` for a scan that cannot be meant by its numbers, with the optics that it has now."""
        geometry = ScanGeometry(
            energy_eV=self.energy_eV,
            det_dist_m=self.det_dist_m,
            pixel_m=self.pixel_m,
            frame_shape=self.frame_shape,
            is_near_field=self.optics.propagation == "near_field",
            defocus_m=self.optics.defocus_m,
        )
        positions_m, is_whole = self._positions_to_judge()
        for doubt in scan_doubts(geometry, positions_m, is_whole=is_whole):
            if doubt.is_impossible:
                near = "" if geometry.is_near_field else "; if the frames are of the near field, say --near-field"
                raise SourceError(
                    f"{self.path}: /entry/pos {doubt.message} Ingest again with the right one: {doubt.correction}{near}"
                )

    def _positions_to_judge(self) -> tuple[npt.NDArray[np.float64], bool]:
        """Those of the rows that are used, or, of a scan that grows, the planned ones; whether they are the whole."""
        with self.open() as file, readable(str(self.path)):
            planned = [dataset_at(file, path) for path in (paths.PLANNED_X, paths.PLANNED_Y)]
            is_planned = self.is_growing and None not in planned
            found = planned if is_planned else [dataset_at(file, path) for path in (paths.POS_X, paths.POS_Y)]
            columns = [np.asarray(one[()], np.float64) for one in found if one is not None]
            keep = dataset_at(file, paths.KEEP)
            if not is_planned and keep is not None:
                columns = [column[: self.n_rows][keep[: self.n_rows] != 0] for column in columns]
        return np.column_stack(columns), is_planned or not self.is_growing

    def sample_pixel_yx_m(self, shape: tuple[int, int]) -> tuple[float, float]:
        """Pixel of the wave on the sample, for frames of `shape` (rows, columns)."""
        if self.optics.propagation == "near_field":
            near = NearField.of(self.optics, self.det_dist_m, self.pixel_m)
            return near.pixel_m, near.pixel_m
        extent_m = self.wavelength_m * self.det_dist_m / self.pixel_m
        return extent_m / shape[0], extent_m / shape[1]


def _number(path: Path, file: h5py.File, name: str) -> float:
    value = number_in(dataset_at(file, name))
    if value is None or not math.isfinite(value):
        limits = LIMITS.get(name.removeprefix(f"{paths.ENTRY}/"))
        what_to_do = f": ingest again with {limits.option}" if limits else ""
        raise SourceError(f"{path}: {name} is not known; a reconstruction needs it{what_to_do}")
    return value


def _settings_of(file: h5py.File) -> Mapping[str, Any]:
    try:
        settings = json.loads(text_in(dataset_at(file, paths.SETTINGS)) or "{}")
    except json.JSONDecodeError:
        return {}
    return settings if isinstance(settings, dict) else {}


def _optics_of(path: Path, file: h5py.File) -> Optics:
    group = group_at(file, paths.OPTICS)
    found = {}
    for name in Optics.model_fields:
        dataset = dataset_at(group, name) if group is not None else None
        if dataset is not None:
            value = dataset[()]
            text = as_text(value)
            found[name] = text if text is not None else np.asarray(value).tolist()
    try:
        return Optics.model_validate(found)
    except ValidationError as error:
        raise SourceError(f"{path}: {paths.OPTICS} does not describe optics:\n{explain(error, Optics)}") from error
