"""Columns recorded for each frame beside its pixels, read in blocks and given as plain Python values.

A frame's values leave here as a live frame's NDAttributes do: float, int or text, None where a PV was not connected.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.core.frame import EPICS_EPOCH_S, MOST_NS, NS_PER_S, AttributeValue
from stream_service.errors import SourceError
from stream_service.sources.hdf5.dataset import StoredDataset
from stream_service.text.utf8 import decoded

MOST_TEXT_BYTES = 1 << 16
"""Of one text; NDFileHDF5 stores texts in 256."""


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """The values of one name, a row a frame."""

    name: str
    stored: StoredDataset
    component: int | None = None
    """Of a dataset (N, k), which of the k; None for (N,)."""
    scale: float = 1.0
    is_inverse: bool = False
    """True for a wavelength that becomes an energy: its value is `scale` divided by what is stored."""
    nan_is_none: bool = False
    """True for a PV that was not connected when the file was opened: NDFileHDF5 then stores NaN as float32."""

    def values(self, start: int, stop: int) -> list[AttributeValue]:
        """The values of rows `start` to `stop` - 1."""
        array = self.stored.read(start, stop)
        if self.component is not None:
            array = array[:, self.component]
        if self.is_inverse:
            with np.errstate(divide="ignore"):
                array = self.scale / array.astype(np.float64)
        elif self.scale != 1.0:
            with np.errstate(over="ignore"):  # what becomes infinite is flagged as invalid where it is paired
                array = array.astype(np.float64) * self.scale
        if array.dtype.kind == "S":
            known: dict[bytes, str] = {}
            return [known.get(value) or known.setdefault(value, decoded(value)) for value in array.tolist()]
        values: list[AttributeValue] = array.tolist()
        if self.nan_is_none and np.isnan(array).any():
            return [None if value != value else value for value in values]
        return values


def is_column(stored: StoredDataset) -> bool:
    """True if a dataset can be a column: (N,), of plain numbers or of texts of fixed length."""
    is_text = stored.dtype.kind == "S" and 0 < stored.dtype.itemsize <= MOST_TEXT_BYTES
    return len(stored.shape) == 1 and (stored.is_numeric or stored.dtype == np.bool_ or is_text)


@dataclass(frozen=True, slots=True, eq=False)
class Identities:
    """The uniqueId of each frame."""

    stored: StoredDataset
    """(N,) or (N, 1), whole numbers."""

    def __post_init__(self) -> None:
        shape, dtype = self.stored.shape, self.stored.dtype
        if dtype.kind not in "iu" or len(shape) not in (1, 2) or (len(shape) == 2 and shape[1] != 1):
            raise SourceError(f"{self.stored.where} is {shape} {dtype}; a uniqueId is one whole number for each frame")

    def read(self, start: int, stop: int) -> npt.NDArray[np.int64]:
        """Those of rows `start` to `stop` - 1."""
        return self.stored.read(start, stop).reshape(-1).astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Stamps:
    """The detector's stamp of each frame."""

    stored: tuple[StoredDataset, ...]
    to_ns: Callable[[Sequence[npt.NDArray[Any]]], npt.NDArray[np.int64]]
    """From rows of the datasets to nanoseconds of the Unix epoch."""
    kinds: str = "iu"
    """Kinds of dtype that the datasets may have."""

    def __post_init__(self) -> None:
        for stored in self.stored:
            is_fit = stored.dtype.kind in self.kinds and stored.shape and stored.shape[1:] in ((), (1,))
            if not is_fit:
                raise SourceError(f"{stored.where} is {stored.shape} {stored.dtype}; not a stamp for each frame")

    def read(self, start: int, stop: int) -> npt.NDArray[np.int64]:
        """Those of rows `start` to `stop` - 1, in nanoseconds of the Unix epoch; 0 where nothing was stored."""
        stamps_ns = self.to_ns([stored.read(start, stop).reshape(-1) for stored in self.stored])
        if (bad := np.flatnonzero((stamps_ns > MOST_NS) | (stamps_ns < -MOST_NS))).size:
            row = start + int(bad[0])
            raise SourceError(
                f"{self.stored[0].where}: frame {row} is stamped {stamps_ns[bad[0]]} ns after 1970, which cannot be"
            )
        return stamps_ns


def unix_stamps(stored: StoredDataset) -> Stamps:
    """Of a dataset of nanoseconds of the Unix epoch."""
    return Stamps((stored,), lambda arrays: arrays[0].astype(np.int64))


def epics_stamps(seconds: StoredDataset, nanoseconds: StoredDataset) -> Stamps:
    """Of the columns NDArrayEpicsTSSec and NDArrayEpicsTSnSec; exact."""
    return Stamps((seconds, nanoseconds), _from_epics)


def driver_stamps(stored: StoredDataset) -> Stamps:
    """Of the column NDArrayTimeStamp, to the nanosecond as ADCore converts the same double for PVA."""
    return Stamps((stored,), _from_double, "f")


def _from_epics(arrays: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.int64]:
    seconds, nanoseconds = (array.astype(np.int64) for array in arrays)
    stamps_ns = (seconds + EPICS_EPOCH_S) * NS_PER_S + nanoseconds
    return np.where((seconds == 0) & (nanoseconds == 0), 0, stamps_ns)


def _from_double(arrays: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.int64]:
    # what is not a number, or is beyond 64 bits, must not be cast: it is made to fail the check of its size instead
    total_s = np.nan_to_num(arrays[0].astype(np.float64), nan=-(2.0**33), posinf=2.0**33, neginf=-(2.0**33))
    total_s = np.clip(total_s, -(2.0**33), 2.0**33)
    whole_s = np.floor(total_s)
    nanoseconds = ((total_s - whole_s) * 1e9).astype(np.int64)
    stamps_ns = (whole_s.astype(np.int64) + EPICS_EPOCH_S) * NS_PER_S + nanoseconds
    return np.where(total_s == 0, 0, stamps_ns)
