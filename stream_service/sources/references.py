"""Dark, flat and mask as a beamline keeps them: `.npy`, `.npz` or a dataset in an HDF5 file (`FILE:/dataset`)."""

from __future__ import annotations

import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from stream_service.errors import ConfigError

HDF5_SUFFIXES = (".h5", ".hdf5", ".cxi", ".nxs")
NUMPY_SUFFIXES = (".npy", ".npz")
UNREADABLE = (OSError, ValueError, EOFError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What numpy and h5py raise for a file that is missing, broken, or not what its name says."""


def load_reference(location: str, kind: str) -> npt.NDArray[Any]:
    """The (y, x) array of a reference; `kind` (dark, flat, mask) is the default name inside a file of several.

    A stack of frames (n, y, x) gives its median. Raises `ConfigError` naming the file and what it lacks.
    """
    name, _, dataset = location.partition(":/")
    path = Path(name)
    try:
        array = _read(path, dataset, kind)
    except UNREADABLE as error:
        raise ConfigError(f"cannot read the {kind} {path}: {error}") from error
    if array.dtype.kind not in "buif" or array.size == 0:
        raise ConfigError(f"the {kind} in {path} is {array.shape} {array.dtype}, not an image of numbers")
    if array.ndim == 3:
        array = np.median(array, axis=0)
    if array.ndim != 2:
        raise ConfigError(f"the {kind} in {path} has shape {array.shape}; one frame (rows, columns) is needed")
    return array


def reference_exposure_s(location: str) -> float:
    """The exposure time that a reference file says it was taken with (`exposure_s`, an attribute); NaN if none."""
    path = Path(location.partition(":/")[0])
    if path.suffix not in HDF5_SUFFIXES:
        return math.nan
    try:
        with h5py.File(path, "r") as file:
            return float(file.attrs.get("exposure_s", math.nan))
    except (*UNREADABLE, TypeError) as error:
        raise ConfigError(f"cannot read the exposure time of {path}: {error}") from error


def _read(path: Path, dataset: str, kind: str) -> npt.NDArray[Any]:
    if path.suffix in HDF5_SUFFIXES:
        return _from_hdf5(path, "/" + (dataset or kind))
    if path.suffix not in NUMPY_SUFFIXES:
        raise ConfigError(f"{kind} {path}: give a .npy, .npz or HDF5 file (FILE.h5:/path/to/dataset)")
    with path.open("rb") as stream:
        loaded = np.load(stream)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            return loaded
        if kind not in loaded:
            raise ConfigError(f"{path} holds {', '.join(loaded)} but no '{kind}'")
        return loaded[kind]


def _from_hdf5(path: Path, dataset: str) -> npt.NDArray[Any]:
    with h5py.File(path, "r") as file:
        found = file.get(dataset)
        if not isinstance(found, h5py.Dataset):
            raise ConfigError(f"{path} has no dataset {dataset}")
        return np.asarray(found[()])
