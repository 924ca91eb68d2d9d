"""HDF5 files of a few frames in every layout, as trees of values by path, for tests of what reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from hdf5_writer import nd_frame, pixels_of

from iocsim.hdf5.file import FileOptions, NDFile
from iocsim.hdf5.layout import DefaultLayout

J_PER_EV = 1.602176634e-19
N = 7
POSITIONS_M = np.random.default_rng(2).normal(0, 1e-6, (N, 2))
FRAMES = np.array([pixels_of(index) for index in range(N)])


def write_areadetector(path: Path, n: int = N, **options: Any) -> Path:
    """A file as NDFileHDF5 writes it, closed."""
    file = NDFile(path, nd_frame(0), DefaultLayout(), FileOptions(**options))
    for index in range(n):
        file.append(nd_frame(index))
    file.close()
    return path


def write_tree(path: Path, tree: dict[str, Any]) -> Path:
    """Datasets by path; `path@name` is an HDF5 attribute."""
    with h5py.File(path, "w") as file:
        for name, value in tree.items():
            where, _, attribute = name.partition("@")
            if attribute:
                file[where].attrs[attribute] = value
            else:
                file[where] = value
    return path


def seed_tree(**changes: Any) -> dict[str, Any]:
    """The `/entry` schema of the ingestion kit; None takes something out."""
    tree = {
        "data": FRAMES,
        "pos": POSITIONS_M,
        "energy_eV": 710.0,
        "det_dist_m": 0.1,
        "pixel_m": 75e-6,
        "exposure_s": 0.02,
        **changes,
    }
    return {f"/entry/{name}": value for name, value in tree.items() if value is not None}


def cxi_tree(**changes: Any) -> dict[str, Any]:
    """A CXI file by the specification; positions are the motion of the sample."""
    tree = {
        "instrument_1/detector_1/data": FRAMES,
        "instrument_1/detector_1/distance": 0.1,
        "instrument_1/detector_1/x_pixel_size": 75e-6,
        "instrument_1/source_1/energy": 710 * J_PER_EV,
        "sample_1/geometry_1/translation": np.column_stack([-POSITIONS_M, np.zeros(N)]),
        "data_1/data": h5py.SoftLink("/entry_1/instrument_1/detector_1/data"),
        **changes,
    }
    return {f"/entry_1/{name}": value for name, value in tree.items() if value is not None}
