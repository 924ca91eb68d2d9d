"""The end of a live run: up to it, and after the last updates of its channels, nothing was posted."""

from __future__ import annotations

import json

import h5py
import numpy as np
import numpy.typing as npt

from stream_service.core.clock import BEFORE_ALL_TIME
from stream_service.core.frame import MOST_NS, NS_PER_S
from stream_service.sources.tables.recorded_units import text_of
from stream_service.standard_file.schema import paths

RUN_START, RUN_END = paths.START_TIMESTAMP, paths.END_TIMESTAMP
STAMPS, FLAGS, SETTINGS = paths.STAMPS, paths.FLAGS, paths.SETTINGS
SAME_TIME_NS = 60 * NS_PER_S
"""A live run begins with its first frame; one that is fed from a recording begins long after it."""


def end_of_live_run(file: h5py.File) -> int:
    """In nanoseconds of the Unix epoch; `BEFORE_ALL_TIME` if the file is none of a live run.

    The run's end is our own clock's, the stamp of the last row that nothing was wrong with is the detector's: either
    proves it. The end of a replay or an ingest proves nothing, as that was another day.
    """
    stamps_ns, flags = _whole_numbers(file, STAMPS, 2), _whole_numbers(file, FLAGS, 1)
    if stamps_ns is None or flags is None or len(stamps_ns) != len(flags):
        return BEFORE_ALL_TIME
    good = stamps_ns[flags == 0]
    if not good.size or not 0 < good.max() < MOST_NS:
        return BEFORE_ALL_TIME
    start, end = (_whole_numbers(file, name, 0) for name in (RUN_START, RUN_END))
    if start is None or end is None or not 0 < end < MOST_NS or not _was_live(file):
        return int(good.max())
    is_of_that_day = abs(int(start) - int(good[good > 0].min())) < SAME_TIME_NS
    return max(int(good.max()), int(end)) if is_of_that_day else int(good.max())


def _was_live(file: h5py.File) -> bool:
    """True if somebody asked for a run; an ingest has other settings."""
    settings = file.get(SETTINGS)
    if not isinstance(settings, h5py.Dataset) or settings.shape != ():
        return False
    try:
        return "request" in json.loads(text_of(settings[()]))
    except ValueError:
        return False


def _whole_numbers(file: h5py.File, name: str, n_axes: int) -> npt.NDArray[np.int64] | None:
    found = file.get(name)
    if not isinstance(found, h5py.Dataset) or found.dtype.kind not in "iu" or found.ndim != n_axes:
        return None
    return np.asarray(found[()], np.int64)
