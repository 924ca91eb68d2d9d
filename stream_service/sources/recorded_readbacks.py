"""Readbacks that were recorded apart from the frames: histories with time stamps, or values for each frame.

Two kinds of file. `/entry/readbacks/<channel>/{value, timestamp_ns}` holds histories, as every standard file of a live
run does; they are paired with frames by time, as live. A sidecar (`ptychostream sidecar`) holds values for each frame;
they are paired by the frames' identity. Positions of histories are those of the stage, those of a sidecar are the beam
on the sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from stream_service.core.units import ELECTRONVOLTS, METRES
from stream_service.errors import SourceError
from stream_service.sources.recorded_units import units_of
from stream_service.sources.recording import MOST_FRAMES

READBACKS = "/entry/readbacks"
NEEDED = ("x", "y")


@dataclass(frozen=True, slots=True, eq=False)
class RecordedHistory:
    """Every update of one channel, in the order of time."""

    timestamps_ns: npt.NDArray[np.int64]
    """(n,) Unix epoch."""
    values: npt.NDArray[np.float64]
    """(n,) in the channel's own unit."""
    unit: str = ""

    @property
    def scale(self) -> float:
        """Factor to metres or electronvolts; 1 for any other unit."""
        return METRES.get(self.unit) or ELECTRONVOLTS.get(self.unit) or 1.0


@dataclass(frozen=True, slots=True, eq=False)
class RecordedReadbacks:
    """What a file of readbacks holds."""

    path: Path
    histories: Mapping[str, RecordedHistory] = field(default_factory=dict)
    """By channel: x, y, energy, and `<channel>_moving` where the motion was recorded."""


def load_readbacks(path: Path) -> RecordedReadbacks:
    """Read the histories in a file. Raises `SourceError` naming what is missing or wrong."""
    try:
        with h5py.File(path, "r") as file:
            found = file.get(READBACKS)
            if not isinstance(found, h5py.Group):
                raise SourceError(
                    f"{path} has no {READBACKS}: give a standard file of a live run, or an HDF5 file with "
                    f"{READBACKS}/x and {READBACKS}/y, each with value and timestamp_ns"
                )
            histories = {name: _history(path, group) for name, group in found.items() if isinstance(group, h5py.Group)}
    except OSError as error:
        raise SourceError(f"{path} cannot be read as readbacks: {error}") from error
    missing = [name for name in NEEDED if name not in histories or not len(histories[name].values)]
    if missing:
        there = ", ".join(histories) or "none"
        raise SourceError(f"{path} has no updates of {' and '.join(missing)} in {READBACKS}; channels there: {there}")
    return RecordedReadbacks(path, histories)


def _history(path: Path, group: h5py.Group) -> RecordedHistory:
    value, stamp = group.get("value"), group.get("timestamp_ns")
    where = f"{path}:{group.name}"
    if not isinstance(value, h5py.Dataset) or not isinstance(stamp, h5py.Dataset):
        raise SourceError(f"{where} needs two datasets, value and timestamp_ns")
    if value.ndim != 1 or value.shape != stamp.shape:
        raise SourceError(f"{where}: value has shape {value.shape} and timestamp_ns {stamp.shape}; one stamp per value")
    if value.dtype.kind not in "iufb" or stamp.dtype.kind not in "iu" or len(value) > MOST_FRAMES:
        raise SourceError(f"{where}: {len(value)} values of {value.dtype} stamped in {stamp.dtype} are no history")
    timestamps_ns = np.asarray(stamp[()], np.int64)
    order = np.argsort(timestamps_ns, kind="stable")
    return RecordedHistory(timestamps_ns[order], np.asarray(value[()], np.float64)[order], units_of(value))
