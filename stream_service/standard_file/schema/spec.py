"""The words in which the file's layout is written down: groups, datasets, links, as data.

Everything a reader may ever see is stated here before the file exists: under SWMR nothing can be added afterwards,
neither dataset nor attribute nor link. Strings are fixed in length, because variable-length datasets cannot be read
while the file grows; attributes are ordinary text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np

from stream_service.text.utf8 import encoded

CHUNK_ROWS = 1024
"""8 KiB for a column of float64: small enough to be rewritten at every flush."""

Attribute = str | bool | int | float | np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True, eq=False)
class DatasetSpec:
    """One dataset and every name it has. With `value` it is fixed in size, without it grows from zero rows."""

    path: str
    about: str
    """One sentence, stored as `@description`."""
    dtype: np.dtype[Any]
    item_shape: tuple[int, ...] = ()
    """Growing: shape of one entry along the first axis."""
    value: np.ndarray[Any, Any] | np.generic | None = None
    """Fixed: its content at creation; it may be rewritten in place."""
    units: str = ""
    links: tuple[str, ...] = ()
    """Further paths of the same bytes (hard links)."""
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    fill: float | int | None = None
    """Growing: what a reader sees where nothing was written; None = 0, or NaN for floating point."""
    chunk_rows: int = CHUNK_ROWS
    """Growing: entries per chunk."""
    is_optional: bool = False
    """Files of earlier versions have none."""

    @property
    def fill_value(self) -> float | int:
        """A hole must not look like data: NaN where the type has one."""
        if self.fill is not None:
            return self.fill
        return float("nan") if self.dtype.kind == "f" else 0


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """A whole file: what is created, in this order, before the first row."""

    groups: Mapping[str, Mapping[str, Attribute]]
    """Path to attributes; parents come first. "/" is the root."""
    datasets: tuple[DatasetSpec, ...]
    soft_links: Mapping[str, str]
    """Path to target."""


def plot_of(signal: str, n_axes: int) -> Mapping[str, Attribute]:
    """Attributes of an h5 group that NeXus viewers plot by themselves: `signal`, over the indices of its pixels.

    Without `@axes` of the group they would take CXI's, on the dataset, and find no axis `y`, nor one of one dimension
    for "translation"; "." is NeXus' word for an axis that has no dataset.
    """
    axes = np.array(["."] * n_axes, dtype=h5py.string_dtype())
    return {"NX_class": "NXdata", "signal": signal, "axes": axes}


def scalar(value: float, dtype: type[np.generic] = np.float64) -> np.generic:
    """A number with its type in the file."""
    return dtype(value)


def fixed_string(text: str, length: int | None = None) -> np.ndarray[Any, Any]:
    """`text` as a UTF-8 string of fixed length in bytes, cut at a character boundary if it is too long."""
    data = encoded(text, length)
    return np.array(data, dtype=h5py.string_dtype("utf-8", length if length is not None else max(len(data), 1)))


def number_dataset(path: str, about: str, value: float, units: str, *links: str) -> DatasetSpec:
    """One number."""
    return DatasetSpec(path, about, np.dtype(np.float64), value=scalar(value), units=units, links=links)


def whole_dataset(path: str, about: str, value: int) -> DatasetSpec:
    """One whole number."""
    return DatasetSpec(path, about, np.dtype(np.int64), value=np.int64(value))


def text_dataset(path: str, about: str, text: str, length: int | None = None) -> DatasetSpec:
    """One text; `length` in bytes reserves room to rewrite it."""
    value = fixed_string(text, length)
    return DatasetSpec(path, about, value.dtype, value=value)


def array_dataset(path: str, about: str, value: np.ndarray[Any, Any], units: str = "") -> DatasetSpec:
    """An array that is known at creation."""
    return DatasetSpec(path, about, value.dtype, value=value, units=units)
