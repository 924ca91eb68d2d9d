"""Careful reading of a file that may hold anything at any path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from stream_service.text.utf8 import decoded


def dataset_at(group: h5py.Group, path: str) -> h5py.Dataset | None:
    """The dataset at `path`, None if there is nothing or something else (dangling links included)."""
    found = group.get(path)
    return found if isinstance(found, h5py.Dataset) else None


def group_at(group: h5py.Group, path: str) -> h5py.Group | None:
    """The h5 group at `path`, None if there is nothing or something else."""
    found = group.get(path)
    return found if isinstance(found, h5py.Group) else None


def names_in(group: h5py.Group) -> list[str]:
    """The names of everything in the h5 group, dangling links included."""
    return [str(name) for name in group]


def values_in(group: h5py.Group, path: str, n_rows: int) -> np.ndarray[Any, Any]:
    """The first `n_rows` entries of a dataset that is known to be there; `KeyError` if it is not."""
    dataset = dataset_at(group, path)
    if dataset is None:
        raise KeyError(path)
    return np.asarray(dataset[:n_rows])


@dataclass(frozen=True, slots=True)
class RowExtent:
    """Number of rows in a file. One that grows or crashed has as many as its live keys say; the rest is unfinished."""

    n_rows: int
    is_growing: bool

    def fits(self, dataset: h5py.Dataset, *item_shape: int) -> bool:
        """True if the dataset has all rows, of this shape each."""
        if dataset.shape[1:] != item_shape or dataset.ndim == 0:
            return False
        return dataset.shape[0] == self.n_rows or (self.is_growing and dataset.shape[0] > self.n_rows)


def is_numeric(dataset: h5py.Dataset) -> bool:
    """True for integers, floating point and complex numbers."""
    return dataset.dtype.kind in "iufc"


def number_in(dataset: h5py.Dataset | None) -> float | None:
    """The one real number in a dataset of size 1, None for anything else."""
    if dataset is None or dataset.size != 1 or dataset.dtype.kind not in "iuf":
        return None
    return float(np.asarray(dataset[()]).reshape(()))


def text_in(dataset: h5py.Dataset | None) -> str | None:
    """The one string in a dataset of size 1, None for anything else."""
    if dataset is None or dataset.size != 1:
        return None
    return as_text(np.asarray(dataset[()]).reshape(-1)[0])


def as_text(value: Any) -> str | None:
    """An attribute or element as text, None if it is not text."""
    return decoded(value) if isinstance(value, bytes | str) else None


def units_of(dataset: h5py.Dataset) -> str | None:
    """`@units` as text, None where it is absent or not text."""
    return as_text(dataset.attrs.get("units"))


def is_vlen_string(dataset: h5py.Dataset) -> bool:
    """True for strings of variable length, which no SWMR reader can read."""
    info = h5py.check_string_dtype(dataset.dtype)
    return info is not None and info.length is None
