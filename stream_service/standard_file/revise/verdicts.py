"""Verdicts on the rows of a file, written into it after its run: `/entry/keep`, CXI's `detector_1/score` and `tags`.

A row that is rejected has keep = 0 and the tag; one that has the tag and is rejected no more gets keep = 1 again. What
was left out for another reason (keep = 0 without the tag) stays left out. Where all three are there, their values are
written over, in an order in which a second attempt repairs whatever the first one left; else a copy with them takes the
name of the file. Killed at any moment, the file stays readable, and the same command again ends it.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from stream_service.core.row import KEEP
from stream_service.errors import SourceError
from stream_service.hdf5.bounded_file import BoundedFile
from stream_service.hdf5.failures import readable
from stream_service.hdf5.opening import open_hdf5
from stream_service.hdf5.overwriting import Overwriting, open_beside
from stream_service.output_file import whole_file
from stream_service.standard_file.read.announced_rows import standard_rows
from stream_service.standard_file.rules.verdict_rules import REJECTED, heading_of
from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.contents import dataset_at
from stream_service.standard_file.write.write_errors import HDF5_FAILURES, NoRoomError, write_error

ACTION = "write the verdicts into it"
HEADINGS = {paths.SCORE: "outlier score", paths.TAGS: REJECTED}
"""CXI 1.6 wants the names of scores and tags in an attribute `headings`."""
DESCRIPTIONS = {
    paths.KEEP: KEEP.about,
    paths.SCORE: "How unlike its neighbours each row is: 0 to 1; NaN for one that was not evaluated.",
    paths.TAGS: "1 = the row is rejected for its quality.",
}
COPY_BYTES = 8 << 20
ANY_WRITE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
ROOM_BYTES = 1 << 20
"""For what HDF5 adds to a copy beside the values."""

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class RowVerdicts:
    """Verdicts on all rows of a file."""

    score: npt.NDArray[np.float64]
    """(n,) 0 to 1; NaN for rows that were not evaluated."""
    rejected: Flags
    evaluated: Flags
    """Rows of which the verdict counts; what the file says of others stays."""


@dataclass(frozen=True, slots=True, eq=False)
class _Said:
    """What a file says of its rows."""

    keep: npt.NDArray[np.uint8]
    score: npt.NDArray[np.float64]
    tags: npt.NDArray[np.uint8]

    @classmethod
    def in_file(cls, found: dict[str, h5py.Dataset | None], n: int) -> _Said:
        """As it is; a file that does not say keeps every row, and has neither scores nor tags."""

        def read(path: str, otherwise: Any) -> npt.NDArray[Any]:
            dataset = found.get(path)
            return otherwise if dataset is None else np.asarray(dataset[..., :n]).reshape(n)

        keep, tags = read(paths.KEEP, np.ones(n)) != 0, read(paths.TAGS, np.zeros(n)) != 0
        return cls(keep.astype(np.uint8), read(paths.SCORE, np.full(n, np.nan)).astype(float), tags.astype(np.uint8))

    def revised(self, verdicts: RowVerdicts) -> _Said:
        """With these verdicts."""
        evaluated, rejected = verdicts.evaluated, verdicts.rejected
        is_ours = (self.keep != 0) | (self.tags != 0)  # else it is left out for a reason of somebody else
        return _Said(
            np.where(evaluated, is_ours & ~rejected, self.keep).astype(np.uint8),
            np.where(evaluated, verdicts.score, self.score),
            np.where(evaluated, is_ours & rejected, self.tags).astype(np.uint8),
        )

    def steps_to(self, after: _Said) -> Iterator[tuple[str, npt.NDArray[Any]]]:
        """What to write, and where: a row whose tag is taken is kept first, one that is tagged is left out last."""
        yield paths.SCORE, after.score
        yield paths.KEEP, np.where(after.tags < self.tags, after.keep, self.keep)
        yield paths.TAGS, after.tags
        yield paths.KEEP, after.keep

    def column(self, path: str) -> npt.NDArray[Any]:
        """The values at a path."""
        return {paths.KEEP: self.keep, paths.SCORE: self.score, paths.TAGS: self.tags}[path]


def check_takes_verdicts(path: Path) -> None:
    """Raise `SourceError` for a file that is being written, or has no place for verdicts: before anything long.

    Likewise for one that is write-protected, also where the folder or the user's rights would let it be replaced.
    """
    if path.exists() and not path.stat().st_mode & ANY_WRITE:
        raise SourceError(f"{path} is write-protected: apply the verdicts to a copy, or allow writing (chmod u+w)")
    with _opened(path) as file:
        _places(file, None)


def apply_verdicts(path: Path, verdicts: RowVerdicts) -> tuple[str, ...]:
    """Write them into a closed file; the paths where it says them now. Raises `SourceError`, `WriteError`."""
    real, n = Path(os.path.realpath(path)), len(verdicts.score)
    with _opened(real) as file:
        places = _places(file, n)
        with readable(str(path)):
            found = {place: dataset_at(file, place) for place in places}
            before = _Said.in_file(found, n)
            plain = {
                place: over
                for place, dataset in found.items()
                if dataset is not None and (over := Overwriting.of(dataset.id, n)) is not None
            }
        try:
            if len(plain) == len(places):
                _write_over(real, file, plain, before.steps_to(before.revised(verdicts)))
            else:
                _write_copy(real, places, before.revised(verdicts))
        except HDF5_FAILURES as error:
            raise write_error(path, ACTION, error) from error
    return places


@contextmanager
def _opened(path: Path) -> Iterator[BoundedFile]:
    opened = open_hdf5(path)
    with opened.file as file:
        rows = standard_rows(file) if file.is_standard else None
        is_unfinished = rows is not None and (rows.n_beyond or not rows.end.has_ended)
        if not opened.is_closed or is_unfinished:
            raise SourceError(
                f"{path} is being written, or its writer died: verdicts are written into files whose run has ended; "
                f"if it died, `ptychostream repair {path}` comes first"
            )
        yield file


def _places(file: BoundedFile, n: int | None) -> tuple[str, ...]:
    """The paths where this file has its verdicts, of `n` rows if that is given. Raises `SourceError`."""
    places: tuple[str, ...] = ()
    for frames, of_frames in ((paths.DATA, (paths.KEEP,)), (paths.CXI_DATA, (paths.SCORE, paths.TAGS))):
        data = dataset_at(file, frames)
        if data is None or data.ndim != 3 or (n is not None and data.shape[0] != n):
            continue
        if os.path.realpath(data.file.filename) != os.path.realpath(file.path):
            raise SourceError(f"{file.path} has its frames in {data.file.filename}: verdicts belong into that file")
        places += of_frames
    for place in places:
        dataset, ours = dataset_at(file, place), HEADINGS.get(place)
        if dataset is not None and ours is not None and heading_of(dataset) != ours:
            raise SourceError(f"{file.path}:{place} is somebody else's: it is not replaced; take the lists of rows")
    if not places:
        rows = "" if n is None else f" of {n} rows"
        raise SourceError(
            f"{file.path} has no frames{rows} at {paths.DATA} or {paths.CXI_DATA}, beside which verdicts stand: take "
            "the lists of rows instead, or make a standard file with `ptychostream ingest`"
        )
    return places


def _write_over(
    path: Path, file: BoundedFile, plain: dict[str, Overwriting], steps: Iterator[tuple[str, npt.NDArray[Any]]]
) -> None:
    fd = open_beside(path, file.id)
    try:
        for place, values in steps:
            if place in plain:
                plain[place].write(fd, values)
                os.fsync(fd)  # in this order also on the disk
    finally:
        os.close(fd)


def _write_copy(path: Path, places: tuple[str, ...], said: _Said) -> None:
    """A copy with the verdicts, which takes the name of the file once it is whole."""
    needed = path.stat().st_size + ROOM_BYTES + 32 * len(said.score)
    if (free := shutil.disk_usage(path.parent).free) < needed:
        raise NoRoomError(28, free, needed)
    with whole_file(path) as unfinished:
        with path.open("rb") as source, unfinished.open("xb") as copy:
            shutil.copyfileobj(source, copy, COPY_BYTES)
        shutil.copystat(path, unfinished)
        with h5py.File(unfinished, "r+") as file:
            for place in places:
                _put(file, place, said.column(place))
        with unfinished.open("rb") as written:
            os.fsync(written.fileno())


def _put(file: h5py.File, place: str, values: npt.NDArray[Any]) -> None:
    dataset = file.get(place)
    if isinstance(dataset, h5py.Dataset) and dataset.shape == values.shape:
        dataset[...] = values
        return
    if dataset is not None:
        del file[place]
    made = file.create_dataset(place, data=values)
    made.attrs["description"] = DESCRIPTIONS[place]
    if place in HEADINGS:
        made.attrs.create("headings", [HEADINGS[place]], dtype=h5py.string_dtype())
