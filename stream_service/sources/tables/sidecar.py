"""A sidecar: the HDF5 file beside TIFF frames that holds what belongs to each of them, a row a frame.

Made by `ptychostream sidecar`, or by hand with any part of it, below `/entry` or at the root: `posx_m` and `posy_m` or
`pos` (N, 2), `energy_eV`, `det_dist_m`, `pixel_m`, `exposure_s` (each () or (N,)), `frame_index`, `unique_id`,
`timestamp_ns`, `file` and `page`, `dark`, `flat`, `mask` (y, x). `@units` are honoured. Positions are those of the beam
on the sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.core.frame import MOST_NS
from stream_service.errors import SourceError
from stream_service.hdf5.failures import readable
from stream_service.hdf5.opening import open_hdf5
from stream_service.hdf5.targets import NOWHERE_ELSE, AlsoBelow
from stream_service.settings.recorded_choices import Match
from stream_service.sources.hdf5.contents import Scale, energy_scale, exposure_scale, image_of, length_scale
from stream_service.sources.hdf5.dataset import StoredDataset
from stream_service.sources.hdf5.tree import Hdf5Tree
from stream_service.sources.tables.sidecar_matching import MOST_KEY, Rows

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
NUMBERS: Mapping[str, tuple[str, Scale]] = {
    "energy": ("energy_eV", energy_scale),
    "exposure": ("exposure_s", exposure_scale),
    "det_dist": ("det_dist_m", length_scale),
    "pixel": ("pixel_m", length_scale),
}
"""Quantities that may be one number or one a row."""


@dataclass(frozen=True, slots=True, eq=False)
class Sidecar:
    """Content of a sidecar, in SI units."""

    path: Path
    n_rows: int
    """0 if it has nothing that goes by rows."""
    columns: Mapping[str, Floats]
    """x, y, energy, exposure, det_dist, pixel, as far as they are there: (n_rows,), or () for one number."""
    rows: Rows
    """What the rows say of their identity."""
    timestamp_ns: Ints | None
    """(n_rows,) Unix epoch."""
    files: tuple[tuple[str, int], ...] | None
    """Name of each row's file and the image in it, counted from 0; the name is empty for a row without a frame."""
    matched_by: Match | None
    """How rows and files found each other when the sidecar was made."""
    problems: Mapping[str, str]
    """By dataset (`energy_eV`): why what it holds cannot be taken."""
    references: Mapping[str, npt.NDArray[Any]]
    """dark, flat and mask that have not been applied yet."""


def read_sidecar(path: Path, frame_shape: tuple[int, int], also: AlsoBelow = NOWHERE_ELSE) -> Sidecar:
    """Read a sidecar for frames of this shape. Raises `SourceError` naming the dataset and what is wrong with it."""
    with readable(str(path)):
        opened = open_hdf5(path, also)
    with opened.file as file:
        return _Reader(Hdf5Tree(file, path)).read(frame_shape)


class _Reader:
    """The datasets of one file; notes how many rows they have."""

    def __init__(self, tree: Hdf5Tree) -> None:
        self._tree = tree
        self._n_rows = 0
        self._first_column = ""
        self._matched_by: Match | None = None
        self._problems: dict[str, str] = {}

    def read(self, frame_shape: tuple[int, int]) -> Sidecar:
        columns = self._positions()
        for name, (dataset, scale) in NUMBERS.items():
            if (values := self._number(dataset, scale)) is not None:
                columns[name] = values
        index, unique_id = self._wholes("frame_index", MOST_KEY), self._wholes("unique_id", MOST_KEY)
        stamps_ns = self._wholes("timestamp_ns", MOST_NS)
        files = self._files()
        references = self._references(frame_shape)
        if not (columns or references):
            raise SourceError(
                f"{self._tree.path} holds nothing of a sidecar, such as /entry/posx_m and /entry/posy_m; it holds: "
                f"{self._tree.names_in()}"
            )
        return Sidecar(
            path=self._tree.path,
            n_rows=self._n_rows,
            columns=columns,
            rows=Rows(self._n_rows, index, unique_id),
            timestamp_ns=stamps_ns,
            files=files,
            matched_by=self._matched_by,
            problems=self._problems,
            references=references,
        )

    def _find(self, name: str) -> StoredDataset | None:
        found = self._tree.first(f"/entry/{name}", f"/{name}")
        if found is not None:
            found.check_holds(self._tree.file_bytes)
        return found

    def _positions(self) -> dict[str, Floats]:
        split = {axis: self._find(f"pos{axis}_m") for axis in "xy"}
        packed = self._find("pos")
        if all(split.values()):
            return {axis: self._column(stored, length_scale) for axis, stored in split.items() if stored is not None}
        if packed is not None:
            if packed.shape[1:] != (2,) or not packed.is_numeric:
                raise SourceError(f"{packed.where} is {packed.shape} {packed.dtype}; positions are (N, 2), x then y")
            self._note_rows(packed)
            values = packed.whole().astype(np.float64) * length_scale(packed)
            return {"x": values[:, 0], "y": values[:, 1]}
        if alone := next((stored for stored in split.values() if stored is not None), None):
            raise SourceError(f"{alone.where} is there, but not the position on the other axis")
        return {}

    def _number(self, name: str, scale: Scale) -> Floats | None:
        stored = self._find(name)
        if stored is None:
            return None
        if not stored.is_numeric or len(stored.shape) > 1:
            return self._column(stored, scale)
        try:
            factor = scale(stored)
        except SourceError as error:  # who gives the number otherwise need not care
            self._problems[name] = str(error)
            return None
        if stored.shape in ((), (1,)):
            return stored.whole().reshape(()).astype(np.float64) * factor
        return self._column(stored, lambda _: factor)

    def _column(self, stored: StoredDataset, scale: Scale) -> Floats:
        if len(stored.shape) != 1 or not stored.is_numeric:
            raise SourceError(f"{stored.where} is {stored.shape} {stored.dtype}; one number for each frame is needed")
        self._note_rows(stored)
        return stored.whole().astype(np.float64) * scale(stored)

    def _wholes(self, name: str, most: int) -> Ints | None:
        """Whole numbers from 0 on, whatever type they are stored as."""
        stored = self._find(name)
        if stored is None:
            return None
        if len(stored.shape) != 1 or not stored.is_numeric:
            raise SourceError(f"{stored.where} is {stored.shape} {stored.dtype}; whole numbers are needed")
        self._note_rows(stored)
        values = stored.whole()
        if values.dtype.kind == "f":
            values = values.astype(np.float64)  # half a float cannot be compared with so large a number
        if not ((values >= 0) & (values < most)).all() or bool((values != np.floor(values)).any()):
            raise SourceError(f"{stored.where} holds what is not a whole number from 0 to {most}")
        return values.astype(np.int64)

    def _files(self) -> tuple[tuple[str, int], ...] | None:
        stored = self._find("file")
        if stored is None:
            return None
        if len(stored.shape) != 1 or stored.dtype.kind not in "SO":
            raise SourceError(f"{stored.where} is {stored.shape} {stored.dtype}; names of files are needed")
        self._note_rows(stored)
        with readable(stored.where):
            names = [bytes(name).decode("utf-8") for name in stored.whole().tolist()]
        pages = self._pages(len(names))
        if (matched_by := stored.text("matched_by")) in list(Match):
            self._matched_by = Match(matched_by)
        return tuple(zip(names, pages, strict=True))

    def _pages(self, n: int) -> list[int]:
        stored = self._find("page")
        if stored is None:
            return [0] * n
        if stored.shape != (n,) or stored.dtype.kind not in "iu":
            raise SourceError(f"{stored.where} is {stored.shape} {stored.dtype}; whole numbers are needed")
        return stored.whole().tolist()

    def _references(self, frame_shape: tuple[int, int]) -> dict[str, npt.NDArray[Any]]:
        references: dict[str, npt.NDArray[Any]] = {}
        for kind in ("dark", "flat", "mask"):
            stored = self._find(kind)
            image = image_of(stored, frame_shape)
            if stored is not None and image is not None and not stored.is_applied:
                references[kind] = image
        return references

    def _note_rows(self, stored: StoredDataset) -> None:
        """All columns are equally long."""
        if not self._first_column:
            self._n_rows, self._first_column = stored.rows, stored.path
            if not stored.rows:
                raise SourceError(f"{stored.where} is empty")
        if stored.rows != self._n_rows:
            raise SourceError(f"{stored.where} has {stored.rows} rows, {self._first_column} has {self._n_rows}")
