"""Arrays that hardware captured beside a recording, from an HDF5 file: a one-dimensional dataset for each channel.

PandABlocks' clients write `/INENC1.VAL.Mean` and its like, scaled, and append to them while the file is open (SWMR).
The profile names the dataset of each channel (`how: index`, `dataset`). `ingest` reads them here; a live run lets a
process beside it do so (`sources/hdf5/arrays_file.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from stream_service.core.pairing.readback import Entries
from stream_service.errors import SourceError
from stream_service.hdf5.failures import HDF5_ERRORS, reason_of
from stream_service.hdf5.opening import open_hdf5
from stream_service.hdf5.targets import NOWHERE_ELSE, AlsoBelow
from stream_service.sources.recording import MOST_FRAMES
from stream_service.text.utf8 import shown_name

MOST_NAMES = 30
"""Datasets that an error message lists."""


def read_arrays(path: Path, datasets: Mapping[str, str], also: AlsoBelow = NOWHERE_ELSE) -> tuple[Entries, ...]:
    """The array of each channel, whose `datasets` are named. Raises `SourceError` naming what is missing or wrong."""
    try:
        with open_hdf5(path, also).file as file:
            return arrays_in(path, file, datasets)
    except HDF5_ERRORS as error:
        raise SourceError(f"{path} cannot be read as hardware-captured arrays: {reason_of(error)}") from error


def arrays_in(path: Path, file: h5py.File, datasets: Mapping[str, str]) -> tuple[Entries, ...]:
    """The same of a file that is open. Raises `SourceError`, and what h5py raises."""
    return tuple(Entries(channel, _array(path, file, name), is_exact=True) for channel, name in datasets.items())


def _array(path: Path, file: h5py.File, name: str) -> npt.NDArray[np.float64]:
    found = file.get(name)
    if not isinstance(found, h5py.Dataset):
        names = sorted(shown_name(str(key)) for key in file)
        there = ", ".join(names[:MOST_NAMES]) + (", ..." if len(names) > MOST_NAMES else "") or "nothing"
        raise SourceError(f"{path} has no dataset {name}, which the profile names; there: {there}")
    if found.ndim != 1 or found.dtype.kind not in "fiu" or found.shape[0] > MOST_FRAMES:
        raise SourceError(
            f"{name} in {path} is {found.shape} {found.dtype}, not one number for each frame (at most {MOST_FRAMES})"
        )
    return np.asarray(found[()], np.float64)
