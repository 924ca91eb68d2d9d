"""The sidecar of TIFF frames: an HDF5 file with a row for each row of a log, and the frame each of them belongs to.

Pairing is decided once, when the sidecar is made, and is there to be read: `file` and `page` of each row. The file gets
its name only when it is whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from stream_service.errors import SourceError
from stream_service.standard_file.write.creation import LIBVER
from stream_service.standard_file.write.whole_hdf5 import whole_hdf5
from stream_service.text.printable import printable

DATASETS: Mapping[str, tuple[str, str]] = {
    "frame_index": ("", "number of the frame in the log"),
    "unique_id": ("", "uniqueId of the frame's NDArray"),
    "timestamp_ns": ("ns", "time stamp of the frame, Unix epoch"),
    "posx_m": ("m", "x of the beam on the sample"),
    "posy_m": ("m", "y of the beam on the sample"),
    "energy_eV": ("eV", "photon energy"),
    "det_dist_m": ("m", "distance from sample to detector"),
    "pixel_m": ("m", "edge of a detector pixel"),
    "exposure_s": ("s", "exposure time of the frame"),
    "file": ("", "name of the frame's TIFF file; empty for a row without a frame"),
    "page": ("", "image in that file, from 0; -1 for a row without a frame"),
    "dark": ("", "frame without beam, in detector axes"),
    "flat": ("", "frame without sample, in detector axes"),
    "mask": ("", "0 = good pixel, in detector axes"),
}
"""What a sidecar can hold: unit and meaning."""
MAY_BE_ONE = ("energy_eV", "det_dist_m", "pixel_m", "exposure_s")
"""Stored as a single number if all rows agree."""
FORMAT = "ptychostream sidecar"


@dataclass(frozen=True, slots=True, eq=False)
class SidecarContents:
    """Content of a sidecar."""

    columns: Mapping[str, npt.NDArray[Any]]
    """By name of the dataset, (n,) each: numbers in the units of `DATASETS`."""
    files: Sequence[str]
    """(n,) names; empty for a row without a frame."""
    pages: npt.NDArray[np.int64]
    """(n,)"""
    matched_by: str
    """How rows and files found each other."""
    references: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    """dark, flat, mask (y, x)."""
    provenance: Mapping[str, str] = field(default_factory=dict)
    """HDF5 attributes of `/entry` that say what it was made of."""


def write_sidecar(path: Path, contents: SidecarContents) -> None:
    """Write the file, replacing one of this name.

    Raises `WriteError`, and `SourceError` for a name that is no UTF-8; then nothing is left behind.
    """
    with whole_hdf5(path, "write the sidecar", libver=LIBVER) as (file, _):
        _write(file, contents)


def _write(file: h5py.File, contents: SidecarContents) -> None:
    entry = file.create_group("entry")
    entry.attrs.update({"format": FORMAT, **contents.provenance})
    arrays = {name: _one_if_equal(name, values) for name, values in contents.columns.items()}
    names = [_name(name) for name in contents.files]
    text = h5py.string_dtype("utf-8", max(1, *map(len, names)))
    arrays |= {"file": np.array(names, text), "page": contents.pages, **contents.references}
    for name, (unit, meaning) in DATASETS.items():
        if name in arrays:
            dataset = entry.create_dataset(name, data=arrays[name])
            dataset.attrs["description"] = meaning
            if unit:
                dataset.attrs["units"] = unit
    entry["file"].attrs["matched_by"] = contents.matched_by


def _name(file: str) -> bytes:
    try:
        return file.encode()
    except UnicodeEncodeError:
        raise SourceError(
            f"the name of the file {printable(file)} is no UTF-8: rename it, frames are found by name"
        ) from None


def _one_if_equal(name: str, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return values[0] if name in MAY_BE_ONE and bool((values == values[0]).all()) else values
