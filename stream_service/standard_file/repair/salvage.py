"""Salvage of a standard file that was not closed, or cut off: the rows that are whole, and all around them.

A row is whole if its live key announces it, its frame and every column of it lie in the file, and its identity was
written; of columns that are optional the fill stands where a value is lost. Verdicts that were written into a finished
file lie behind all else in it: they follow the rows, or are left out where they are not whole. What follows from
another column (`translation`, `posx_m`, `posy_m` from `pos`) is made again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from stream_service.errors import SourceError
from stream_service.hdf5.bounded_file import BoundedFile
from stream_service.hdf5.cut_short import collect_pieces
from stream_service.hdf5.failures import COPY_AGAIN, HDF5_ERRORS, reason_of
from stream_service.settings.request import MOST_FRAMES
from stream_service.standard_file.read.announced_rows import is_empty, rows_announced
from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.codes import END_STATES
from stream_service.standard_file.schema.contents import text_in
from stream_service.standard_file.schema.ledger_columns import LEDGER_COLUMNS
from stream_service.standard_file.schema.row_columns import row_column_specs, translation
from stream_service.standard_file.schema.spec import CHUNK_ROWS, Attribute, DatasetSpec, Tree
from stream_service.standard_file.schema.verdict_columns import verdict_specs
from stream_service.text.utf8 import shown_name, unescaped

DERIVED = (paths.TRANSLATION, paths.POS_X, paths.POS_Y)
APPLIED = (paths.SCORE, paths.TAGS)
"""A value of every row, written by `evaluate --apply` after the run."""
OWN_ATTRIBUTES = ("description", "units")
"""Of a `DatasetSpec`, which has fields for them."""


@dataclass(frozen=True, slots=True)
class Salvage:
    """Content found in an open file."""

    file: BoundedFile
    tree: Tree
    """As it will be written: what does not grow has its values."""
    n_announced: int
    rows: npt.NDArray[np.intp]
    """Those that are whole, by their place in the file."""
    columns: Mapping[str, np.ndarray[Any, Any]]
    """By path, of these rows; without the frames."""
    readbacks: Mapping[str, np.ndarray[Any, Any]]
    ledger: Mapping[str, np.ndarray[Any, Any]] | None
    """Its columns; None if they were not written, or are not whole."""
    left_out: tuple[str, ...]
    """Paths of applied verdicts that are not whole."""

    @property
    def n_lost(self) -> int:
        """Rows that were announced and are not whole."""
        return self.n_announced - len(self.rows)

    def frames(self, start: int, stop: int) -> npt.NDArray[np.float32]:
        """Pixels of the rows `start` to `stop` - 1 of those that are whole."""
        data: Any = self.file[paths.CXI_DATA]
        return np.stack([data[int(row)] for row in self.rows[start:stop]]).astype(np.float32, copy=False)


def salvage(file: BoundedFile) -> Salvage:
    """Look through a file that `open_cut` has opened. Raises `SourceError` if it cannot be put in order."""
    n_bytes = os.stat(file.path).st_size
    try:
        data, ids = file[paths.CXI_DATA], file[paths.UNIQUE_ID]
        specs = {spec.path: spec for spec in row_column_specs(data.shape[1:], ids.shape[1])}
        found = _Members(n_bytes)
        found.walk(file, "/")
        keys = [np.asarray(file[path]) for path in paths.LIVE_KEYS]
        has_ended = text_in(file[paths.STATE]) in END_STATES
    except (SourceError, KeyError, *HDF5_ERRORS) as error:
        raise _hopeless(file, error) from error
    announced = rows_announced(file, keys)
    if has_ended and announced == len(keys[0]):
        announced = max(announced, int(data.shape[0]))
    specs = {path: spec for path, spec in specs.items() if path in found.datasets or not spec.is_optional}
    needed = (*specs, *(f"{paths.LEDGER}/{name}" for name in LEDGER_COLUMNS))
    if missing := [path for path in needed if path not in found.datasets]:
        raise SourceError(f"{file.path} lacks {missing[0]}, which every standard file has: it cannot be repaired")
    n_there = min(announced, int(data.shape[0]))
    if announced > MOST_FRAMES:  # no run has so many: a damaged number
        announced = n_there
    whole = np.ones(n_there, bool)
    for path, spec in specs.items():
        if path not in DERIVED and not spec.is_optional:
            whole &= _there(found.datasets[path], n_there, n_bytes)
    for row in np.flatnonzero(whole)[::-1]:  # what is cut is cut at the end
        if not is_empty(data, found.datasets[paths.INTENSITY], int(row)):
            break
        whole[row] = False
    columns = _columns(found, specs, whole, n_bytes)
    rows = np.flatnonzero(whole)
    readbacks = _readbacks(found, n_bytes)
    ledger = _ledger(found, n_bytes)
    verdicts = (spec.path for spec in verdict_specs())  # made again by who evaluates the file
    growing = {*specs, *readbacks, *(f"{paths.LEDGER}/{name}" for name in LEDGER_COLUMNS), *verdicts}
    try:
        datasets = tuple(
            _of_rows(found.spec(path, is_growing=path in growing), rows, len(data)) for path in found.datasets
        )
    except (SourceError, *HDF5_ERRORS) as error:
        raise _hopeless(file, error) from error
    tree = Tree(found.groups, datasets, found.soft_links)
    return Salvage(file, tree, announced, rows, columns, readbacks, ledger, tuple(found.left_out))


def _of_rows(spec: DatasetSpec, rows: npt.NDArray[np.intp], n_rows: int) -> DatasetSpec:
    """A dataset with its values of these rows, if it has one of each."""
    if spec.path not in APPLIED or spec.value is None or spec.value.shape != (n_rows,):
        return spec
    return replace(spec, value=np.asarray(spec.value)[rows])


def _hopeless(file: BoundedFile, error: BaseException) -> SourceError:
    reason = reason_of(error).split(f": {COPY_AGAIN}")[0]
    return SourceError(
        f"{file.path} cannot be repaired, since what a standard file begins with is not whole ({reason}): "
        f"{COPY_AGAIN}, or ingest the raw file of the detector"
    )


@dataclass(slots=True)
class _Members:
    """Everything in a file: groups and their attributes, each dataset once with its other names, soft links."""

    n_bytes: int
    groups: dict[str, Mapping[str, Attribute]] = field(default_factory=dict)
    datasets: dict[str, h5py.Dataset] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)
    soft_links: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    """Paths of what is not whole, and can be spared."""
    _paths: dict[int, str] = field(default_factory=dict)

    def walk(self, group: h5py.Group, path: str) -> None:
        """Enter all below an h5 group. Of several names a dataset has the one by which the writer calls it."""
        self.groups[path] = _attributes(group)
        for name in map(str, group):
            place = f"{path.rstrip('/')}/{shown_name(name)}"
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.SoftLink):
                self.soft_links[place] = shown_name(link.path)
            elif place in APPLIED and not self._is_whole(group, name):
                self.left_out.append(place)
            elif isinstance(link, h5py.HardLink):
                member = group[name]
                if isinstance(member, h5py.Group):
                    self.walk(member, place)
                elif isinstance(member, h5py.Dataset):
                    self._enter(place, member, group.id.links.get_info(unescaped(name)).u)

    def _is_whole(self, group: h5py.Group, name: str) -> bool:
        """False for a dataset of rows of which something lies beyond the end of the file."""
        try:
            dataset: Any = group[name]
            for attribute in map(dataset.attrs.get_id, dataset.attrs):
                if attribute.get_type().get_class() == h5py.h5t.STRING and attribute.get_type().is_variable_str():
                    return dataset.file.id.get_filesize() <= self.n_bytes  # HDF5 never returns from a heap cut off
            return bool(_there(dataset, dataset.shape[0], self.n_bytes).all())
        except (SourceError, KeyError, *HDF5_ERRORS):
            return False

    def _enter(self, place: str, dataset: h5py.Dataset, address: int) -> None:
        known = self._paths.setdefault(address, place)
        if known == place:
            self.datasets[place], self.names[place] = dataset, []
        elif place in (paths.CXI_DATA, paths.TRANSLATION):
            self._paths[address] = place
            self.datasets[place] = self.datasets.pop(known)
            self.names[place] = [known, *self.names.pop(known)]
        else:
            self.names[known].append(place)

    def spec(self, path: str, *, is_growing: bool) -> DatasetSpec:
        """Specification of a dataset that is made again."""
        dataset = self.datasets[path]
        attributes = _attributes(dataset)
        return DatasetSpec(
            path,
            str(attributes.get("description", "")),
            dataset.dtype,
            dataset.shape[1:] if is_growing else (),
            value=None if is_growing else np.asarray(dataset[()], dataset.dtype),
            units=str(attributes.get("units", "")),
            links=tuple(self.names[path]),
            attributes={name: value for name, value in attributes.items() if name not in OWN_ATTRIBUTES},
            fill=dataset.fillvalue if is_growing else None,
            chunk_rows=dataset.chunks[0] if dataset.chunks else CHUNK_ROWS,
        )


def _attributes(member: h5py.Group | h5py.Dataset) -> dict[str, Any]:
    return {shown_name(str(name)): value for name, value in member.attrs.items()}


def _there(dataset: h5py.Dataset, n_rows: int, n_bytes: int) -> npt.NDArray[np.bool_]:
    """Mask of the first rows of a dataset that lie in the file."""
    there = np.zeros(n_rows, bool)
    pieces: list[tuple[int, int]] = []
    with suppress(*HDF5_ERRORS):  # an index that ends in the middle: what it says until then is good
        collect_pieces(dataset.id, pieces)
    step = dataset.chunks[0] if dataset.chunks else dataset.shape[0]
    row_bytes = int(np.prod(dataset.shape[1:])) * dataset.dtype.itemsize
    for row, end in pieces:  # of the last chunk the rows that are used may be there, and the rest not
        there[row : row + step] = (end - row_bytes * np.arange(step)[::-1] <= n_bytes)[: max(0, n_rows - row)]
    there[dataset.shape[0] :] = False
    return there


def _columns(
    found: _Members, specs: Mapping[str, DatasetSpec], whole: npt.NDArray[np.bool_], n_bytes: int
) -> dict[str, np.ndarray[Any, Any]]:
    """The columns of the rows that are whole; takes those from `whole` whose values were not written."""
    last = int(np.flatnonzero(whole)[-1]) + 1 if whole.any() else 0
    columns = {}
    for path, spec in specs.items():
        if spec.is_optional:
            there = _there(found.datasets[path], last, n_bytes)
            columns[path] = np.full((whole.sum(), *spec.item_shape), spec.fill_value, spec.dtype)
            columns[path][there[whole[:last]]] = _rows_of(found.datasets[path], whole[:last] & there)
        elif path != paths.CXI_DATA and path not in DERIVED:
            columns[path] = _rows_of(found.datasets[path], whole[:last])
    known = np.isfinite(columns[paths.POS]).all(axis=1) | (columns[paths.FLAGS] != 0)
    is_written = (columns[paths.EPOCH] >= 0).any(axis=1) & known
    whole[np.flatnonzero(whole)[~is_written]] = False
    if not is_written.all():
        columns = {path: values[is_written] for path, values in columns.items()}
    pos = columns[paths.POS]
    columns[paths.POS_X], columns[paths.POS_Y] = np.ascontiguousarray(pos[:, 0]), np.ascontiguousarray(pos[:, 1])
    columns[paths.TRANSLATION] = translation(pos)
    _follow_rows(columns[paths.REPLACES], np.flatnonzero(whole))
    return columns


def _follow_rows(replaces: npt.NDArray[np.int64], rows: npt.NDArray[np.intp]) -> None:
    """Name replaced rows by their new place; -1 for those that are lost."""
    places = {int(row): place for place, row in enumerate(rows)}
    replaces[:] = [places.get(int(row), -1) for row in replaces]


def _rows_of(dataset: h5py.Dataset, wanted: npt.NDArray[np.bool_]) -> np.ndarray[Any, Any]:
    """Blocks that lie in the file, one by one: others cannot be read."""
    step = dataset.chunks[0] if dataset.chunks else max(1, len(wanted))
    wanted = wanted[: dataset.shape[0]]
    blocks = [
        np.asarray(dataset[start : start + step])[: len(wanted) - start][wanted[start : start + step]]
        for start in range(0, len(wanted), step)
        if wanted[start : start + step].any()
    ]
    return np.concatenate(blocks) if blocks else np.zeros((0, *dataset.shape[1:]), dataset.dtype)


def _readbacks(found: _Members, n_bytes: int) -> dict[str, np.ndarray[Any, Any]]:
    """Updates of each channel up to the first that is not whole."""
    readbacks: dict[str, np.ndarray[Any, Any]] = {}
    for value_path in [path for path in found.datasets if path.startswith(paths.READBACKS) and path.endswith("/value")]:
        pair = [value_path, f"{value_path.rpartition('/')[0]}/timestamp_ns"]
        if pair[1] not in found.datasets:
            continue
        n = min(found.datasets[path].shape[0] for path in pair)
        there = np.logical_and.reduce([_there(found.datasets[path], n, n_bytes) for path in pair])
        n = n if there.all() else int(np.argmin(there))
        for path in pair:
            readbacks[path] = _rows_of(found.datasets[path], np.ones(n, bool))
    return readbacks


def _ledger(found: _Members, n_bytes: int) -> dict[str, np.ndarray[Any, Any]] | None:
    datasets = {name: found.datasets[f"{paths.LEDGER}/{name}"] for name in LEDGER_COLUMNS}
    lengths = {dataset.shape[0] for dataset in datasets.values()}
    if len(lengths) != 1 or lengths == {0}:
        return None
    if not all(_there(dataset, dataset.shape[0], n_bytes).all() for dataset in datasets.values()):
        return None
    return {name: np.asarray(dataset) for name, dataset in datasets.items()}


def ranges_of(rows: npt.NDArray[np.intp]) -> Iterator[str]:
    """Row numbers as ranges, in words."""
    if not len(rows):
        return
    for run in np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1):
        yield str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}"
