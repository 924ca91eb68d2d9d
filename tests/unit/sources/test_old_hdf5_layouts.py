"""Datasets laid out as HDF5 wrote them from 1.4 on: each is read as HDF5 itself reads it."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from old_layouts import CHUNKED, COMPACT, CONTIGUOUS, write_old

from stream_service.hdf5.opening import open_hdf5
from stream_service.sources.hdf5.recording import Hdf5Paths, Hdf5Recording

VALUES = np.arange(12, dtype=np.int32)
KINDS = {"contiguous": CONTIGUOUS, "compact": COMPACT, "chunked": CHUNKED}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("version", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", [(12,), (3, 4), (1, 3, 4)])
def test_datasets_of_every_layout_version_are_read(
    tmp_path: Path, version: int, kind: str, shape: tuple[int, ...]
) -> None:
    path, values = tmp_path / "old.h5", VALUES.reshape(shape)
    write_old(path, version, KINDS[kind], values)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(np.asarray(file["data"]), values)
    with open_hdf5(path).file as file:
        np.testing.assert_array_equal(file["data"][()], values)
    if len(shape) > 1:
        with Hdf5Recording(path, Hdf5Paths(data="/data")) as recording:
            assert recording.n_frames == 1
