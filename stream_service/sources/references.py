"""Dark, flat and mask as a beamline keeps them: `.npy`, `.npz` or a dataset in an HDF5 file (`FILE:/dataset`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from stream_service.errors import ConfigError

HDF5_SUFFIXES = (".h5", ".hdf5", ".cxi", ".nxs")


def load_reference(location: str, kind: str) -> npt.NDArray[Any]:
    """The (y, x) array of a reference; `kind` (dark, flat, mask) is the default name inside a file of several.

    A stack of frames (n, y, x) gives its median. Raises `ConfigError` naming the file and what it lacks.
    """
    name, _, dataset = location.partition(":/")
    path = Path(name)
    try:
        if path.suffix == ".npy":
            array = np.load(path)
        elif path.suffix == ".npz":
            with np.load(path) as archive:
                if kind not in archive:
                    raise ConfigError(f"{path} holds {', '.join(archive)} but no '{kind}'")
                array = archive[kind]
        elif path.suffix in HDF5_SUFFIXES:
            array = _from_hdf5(path, "/" + (dataset or kind))
        else:
            raise ConfigError(f"{kind} {path}: give a .npy, .npz or HDF5 file (FILE.h5:/path/to/dataset)")
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the {kind} {path}: {error}") from error
    if array.ndim == 3:
        array = np.median(array, axis=0)
    if array.ndim != 2:
        raise ConfigError(f"the {kind} in {path} has shape {array.shape}; one frame (rows, columns) is needed")
    return array


def _from_hdf5(path: Path, dataset: str) -> npt.NDArray[Any]:
    with h5py.File(path, "r") as file:
        found = file.get(dataset)
        if not isinstance(found, h5py.Dataset):
            raise ConfigError(f"{path} has no dataset {dataset}")
        return found[()]
