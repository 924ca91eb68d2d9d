"""References of the simulated camera in a file: dark, flat and mask, for whoever corrects its frames."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from iocsim.physics.beamline import Beamline
from iocsim.replay import ReplayFrames
from iocsim.whole_file import whole_file


def write_references(beamline: Beamline, path: Path) -> None:
    """Write `dark`, `flat` and `mask` in the axes of the raw frames, as a beamline would have measured them.

    A replayed file has a mask only. Raises ValueError for a suffix other than .npz or .h5, OSError.
    """
    arrays: dict[str, np.ndarray] = {}
    if beamline.camera is not None:
        exposure_s = beamline.config.reference_exposure_s
        arrays["dark"] = beamline.camera.dark_reference(exposure_s)
        arrays["flat"] = beamline.camera.flat_reference(exposure_s)
        arrays["mask"] = beamline.camera.bad_pixel_mask()
    elif isinstance(beamline.frames, ReplayFrames) and beamline.frames.mask is not None:
        arrays["mask"] = beamline.frames.mask
    if path.suffix not in (".npz", ".h5", ".hdf5"):
        raise ValueError(f"--references {path}: the name must end in .npz or .h5")
    with whole_file(path) as file:
        if path.suffix == ".npz":
            np.savez(file, allow_pickle=False, **arrays)
        else:
            with h5py.File(file, "w") as hdf5:
                for name, array in arrays.items():
                    hdf5[name] = array
