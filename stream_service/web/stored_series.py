"""Intensity and score over the rows of a file, few enough for a page: 200,000 rows are 1,000 bins."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.contents import dataset_at
from stream_service.web.stored_row import bad_rows, n_rows_in, rejecting_score

MOST_BINS = 1000
MOST_REJECTED = 500
"""Rejected rows that are marked one by one, the latest."""

Floats = npt.NDArray[np.float64]


def stored_series(file: h5py.Group) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Facts: rows, rows in a bin, the score that rejects. Arrays (bins,): `row` in the middle, `time_s` since the first
    row, `low`, `mean` and `high` of the intensity, `score`, the largest; and (n,) `rejected_row`, `rejected_score`."""
    n = n_rows_in(file)
    intensity, score = _column(file, paths.INTENSITY, n), _column(file, f"{paths.QC}/score", n)
    threshold = rejecting_score(file)
    stamps = dataset_at(file, paths.STAMPS)
    time_s = np.full(n, np.nan)
    if n and stamps is not None:
        first_ns = np.asarray(stamps[:n, 0])
        time_s = (first_ns - first_ns[0]) / 1e9
    step = max(1, -(-n // MOST_BINS))
    starts = np.arange(0, n, step)
    rejected = np.flatnonzero(bad_rows(file, slice(0, n), threshold))[-MOST_REJECTED:]
    ends = np.minimum(starts + step, n)
    arrays = {
        "row": (starts + ends - 1) / 2,
        "time_s": time_s[starts],
        "low": _binned(np.fmin, intensity, starts),
        "mean": _binned(np.add, np.nan_to_num(intensity), starts) / (ends - starts),
        "high": _binned(np.fmax, intensity, starts),
        "score": _binned(np.fmax, score, starts),
        "rejected_row": rejected.astype(np.float64),
        "rejected_score": score[rejected],
    }
    return {"n_rows": n, "step": step, "threshold": threshold}, arrays


def _binned(function: np.ufunc, values: Floats, starts: npt.NDArray[np.intp]) -> Floats:
    return function.reduceat(values, starts) if len(starts) else np.zeros(0)


def _column(file: h5py.Group, path: str, n: int) -> Floats:
    """(n,) NaN where the file has no value yet."""
    found = dataset_at(file, path)
    values = np.full(n, np.nan)
    if found is not None:
        n_there = min(n, found.shape[0])
        values[:n_there] = found[:n_there]
    return values
