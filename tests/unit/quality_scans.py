"""Scans with labelled faults, simulated and real, and the verdicts on them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from iocsim.physics.faulty_scan import faulty_scan
from iocsim.physics.given_frames import apply_faults
from stream_service.core.row import FEATURES_DTYPE, row_dtype
from stream_service.kernels import Corrections, FrameReducer, Geometry, measure_rows
from stream_service.qc import Evaluator, Verdicts
from stream_service.settings.quality import QualitySettings

DATA = Path(os.environ.get("PTYCHOSTREAM_TEST_DATA", "../shared/data"))
REAL = DATA / "petra3_p25_nearfield.cxi"
BLOCK = 64


@dataclass(frozen=True, slots=True)
class Judged:
    """A scan with its labels and verdicts."""

    kinds: NDArray[np.str_]
    """(n,) empty for a sound frame."""
    verdicts: Verdicts


def simulated(
    trajectory: Any,
    contrast: Any,
    seed: int,
    fault_share: float,
    n: int,
    *,
    hides_energy: bool = False,
) -> Judged:
    """A scan of `iocsim`, corrected as a run does it; with a fault share of 0 all that varies is healthy.

    With `hides_energy` its readback does not tell of a wrong one.
    """
    scan = faulty_scan(trajectory, contrast, n, seed=seed, fault_share=fault_share)
    shape = scan.frames.shape[1:]
    corrections = Corrections(dark=scan.dark, flat=scan.flat, mask=scan.mask != 0, saturation_level=scan.saturation_ADU)
    reducer = FrameReducer(Geometry(shape), corrections)
    features = np.zeros(n, FEATURES_DTYPE)
    for first in range(0, n, BLOCK):
        raw = scan.frames[first : first + BLOCK]
        out = np.zeros(raw.shape, np.float32)
        exposures_s = np.full((len(raw), 1), scan.exposure_s)
        reducer.reduce_rows([[frame] for frame in raw], exposures_s, out, features[first : first + BLOCK])
    return Judged(
        scan.kinds, _verdicts(scan.x_m, scan.y_m, features, shape, np.nan if hides_energy else scan.energy_eV)
    )


def real(seed: int, fault_share: float) -> Judged:
    """The real scan with faults on some of its frames."""
    with h5py.File(REAL) as file:
        frames = np.asarray(file["entry_1/instrument_1/detector_1/data"])
        good = np.asarray(file["entry_1/instrument_1/detector_1/mask"]) == 0
        x_m, y_m = -np.asarray(file["entry_1/sample_1/geometry_1/translation"], np.float64)[:, :2].T
    made = apply_faults(frames, seed, fault_share=fault_share)
    features = np.zeros(len(frames), FEATURES_DTYPE)
    features["n_saturated"] = ((made.frames >= frames.max()) & good).sum(axis=(1, 2))
    measure_rows(made.frames.astype(np.float32), good, features)
    return Judged(made.kinds, _verdicts(x_m, y_m, features, good.shape, np.nan))


def _verdicts(
    x_m: NDArray[Any], y_m: NDArray[Any], features: NDArray[Any], shape: tuple[int, int], energy_eV: Any
) -> Verdicts:
    rows = np.zeros(len(features), row_dtype(1))
    rows["x_m"], rows["y_m"], rows["keep"], rows["energy_eV"] = x_m, y_m, 1, energy_eV
    rows["features"] = features
    evaluator = Evaluator(QualitySettings(), shape)
    evaluator.add(rows)
    return evaluator.verdicts()


def area(scores: NDArray[np.float64], is_faulty: NDArray[np.bool_]) -> float:
    """Under the ROC curve: how often a fault has the higher score than a sound frame, ties half."""
    sound = np.sort(scores[~is_faulty])
    below, above = (np.searchsorted(sound, scores[is_faulty], side=side) for side in ("left", "right"))
    return float(np.mean((below + above) / 2) / len(sound))
