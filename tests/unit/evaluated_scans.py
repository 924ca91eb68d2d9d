"""Small scans with two bad rows, as files of several layouts; and what is found in a file."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from stream_service.quality_report.evaluated_file import EvaluatedFile
from stream_service.quality_report.evaluation import Evaluation, EvaluationSettings, evaluate_rows
from stream_service.quality_report.view import View
from stream_service.sources.hdf5.recording import Hdf5Paths, Hdf5Recording

SIDE, N_ROWS = 48, 100
DIM, MOVED = 50, 77
"""A row with a third of the light, and one whose centre of mass lies six pixels beside the others'."""
STEP_M = 1e-6


def positions_m() -> npt.NDArray[np.float64]:
    """(N, 2) of a raster about the origin."""
    y, x = np.divmod(np.arange(N_ROWS), 10)
    return np.column_stack([x - 4.5, y - 4.5]) * STEP_M


def frames() -> npt.NDArray[np.uint16]:
    """(N, y, x) counts of a disc of light with some structure, that shifts slowly over the scan."""
    rng = np.random.default_rng(14)
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE // 2
    made = []
    for row, (x_m, y_m) in enumerate(positions_m()):
        shift = 6.0 if row == MOVED else 0.0
        ripple = 1 + 0.3 * np.cos(0.9 * x + 1e6 * x_m) * np.cos(0.7 * y - 1e6 * y_m)
        light = 200 * np.exp(-((x - shift) ** 2 + y**2) / 150) * ripple
        made.append(rng.poisson(light * (0.35 if row == DIM else 1.0)))
    return np.array(made, np.uint16)


def write_seed_layout(path: Path) -> Path:
    """Frames and positions at the paths of the ingestion kit's own example."""
    with h5py.File(path, "w") as file:
        file["/entry_1/data/data"] = frames()
        for name, values in zip("xy", positions_m().T, strict=True):
            file[f"/entry_1/instrument/positioners/{name}"] = values
    return path


def write_cxi(path: Path) -> Path:
    """CXI with what a scan needs, and a mask of one bad column, which is bright."""
    pixels = frames()
    pixels[:, :, 3] = 60000
    mask = np.zeros(pixels.shape[1:], np.uint8)
    mask[:, 3] = 1
    with h5py.File(path, "w") as file:
        file["/cxi_version"] = 160
        detector = "/entry_1/instrument_1/detector_1"
        file[f"{detector}/data"] = pixels
        file[f"{detector}/mask"] = mask
        file[f"{detector}/distance"] = 0.5
        file[f"{detector}/x_pixel_size"] = file[f"{detector}/y_pixel_size"] = 55e-6
        file["/entry_1/sample_1/geometry_1/translation"] = np.column_stack([-positions_m(), np.zeros(N_ROWS)])
        file["/entry_1/instrument_1/source_1/energy"] = 710 * 1.602176634e-19
        file["/entry_1/data_1/data"] = h5py.SoftLink(f"{detector}/data")
        file["/entry_1/data_1/translation"] = h5py.SoftLink("/entry_1/sample_1/geometry_1/translation")
    return path


def evaluated(path: Path) -> Evaluation:
    """What an evaluation of the whole file finds, without options."""
    with Hdf5Recording(path, Hdf5Paths()) as recording:
        view = View.of(recording.frame_shape, None, None, None)
        file = EvaluatedFile(recording, view)
        return evaluate_rows(file, EvaluationSettings(quality=file.made_with.quality()))
