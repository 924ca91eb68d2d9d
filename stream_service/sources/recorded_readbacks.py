"""Readbacks that were recorded apart from the frames: histories with time stamps, or a row for each frame.

An HDF5 file holds histories, `/entry/readbacks/<channel>/{value, timestamp_ns}`, as every standard file of a live run
does. A log (CSV) holds either: with `unique_id` or `frame_index` (frames since the start of the scan, from 0) a row
belongs to one frame; with `timestamp_ns` or `timestamp_s` alone, its columns are histories. Histories are paired with
frames by time, as live. Positions are those of the stage.
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
from stream_service.sources.epics_columns import FRAME_INDEX, TIMESTAMP, UNIQUE_ID
from stream_service.sources.epics_csv import read_epics_csv
from stream_service.sources.recorded_units import units_of
from stream_service.sources.recording import MOST_FRAMES

CSV_SUFFIXES = (".csv", ".txt", ".tsv", ".dat")
READBACKS = "/entry/readbacks"
COLUMNS = {"x": "posx_m", "y": "posy_m", "energy": "energy_eV", "exposure": "exposure_s"}
"""Of a log, by channel."""
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
class FrameRows:
    """Values of single frames, in metres, eV and seconds."""

    key: str
    """What `row_of` goes by: unique_id, or frame_index, the frames since the start of the scan."""
    row_of: Mapping[int, int]
    columns: Mapping[str, npt.NDArray[np.float64]]
    """By channel; (rows,) each, NaN where the log has no number."""

    def values(self, unique_id: int, ordinal: int) -> dict[str, float]:
        """The values of a frame by channel; none if it has no row."""
        row = self.row_of.get(unique_id if self.key == UNIQUE_ID else ordinal)
        return {} if row is None else {name: float(values[row]) for name, values in self.columns.items()}


@dataclass(frozen=True, slots=True, eq=False)
class RecordedReadbacks:
    """What a file of readbacks holds: histories, or rows."""

    path: Path
    histories: Mapping[str, RecordedHistory] = field(default_factory=dict)
    """By channel: x, y, energy, and `<channel>_moving` where the motion was recorded."""
    rows: FrameRows | None = None
    notes: tuple[str, ...] = ()
    """Cells of the log that are no numbers."""


def load_readbacks(path: Path) -> RecordedReadbacks:
    """Read a file of readbacks. Raises `SourceError` naming what is missing or wrong."""
    return _from_log(path) if path.suffix.lower() in CSV_SUFFIXES else _from_hdf5(path)


def _from_log(path: Path) -> RecordedReadbacks:
    table = read_epics_csv(path)
    columns = {name: table.columns[column] for name, column in COLUMNS.items() if column in table.columns}
    for key in (UNIQUE_ID, FRAME_INDEX):
        if key in table.identities:
            keys = table.identities[key].tolist()
            row_of = {value: row for row, value in enumerate(keys)}
            if len(row_of) < len(keys):
                raise SourceError(f"{path}: of {len(keys)} rows {len(keys) - len(row_of)} repeat a {key}")
            return RecordedReadbacks(path, rows=FrameRows(key, row_of, columns), notes=table.problems)
    if TIMESTAMP not in table.identities:
        raise SourceError(
            f"{path} does not say which frame a row belongs to: it needs a column unique_id, frame_index (from 0), "
            "timestamp_ns or timestamp_s"
        )
    stamps_ns = table.identities[TIMESTAMP]
    histories = {
        name: _in_order_of_time(stamps_ns[known], values[known], "eV" if name == "energy" else "m")
        for name, values in columns.items()
        if name != "exposure" and (known := np.isfinite(values)).any()
    }
    return RecordedReadbacks(path, histories)


def _from_hdf5(path: Path) -> RecordedReadbacks:
    try:
        with h5py.File(path, "r") as file:
            found = file.get(READBACKS)
            if not isinstance(found, h5py.Group):
                raise SourceError(
                    f"{path} has no {READBACKS}: give a standard file of a live run, an HDF5 file with "
                    f"{READBACKS}/x and {READBACKS}/y, each with value and timestamp_ns, or a log (.csv)"
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
    return _in_order_of_time(np.asarray(stamp[()], np.int64), np.asarray(value[()], np.float64), units_of(value))


def _in_order_of_time(
    timestamps_ns: npt.NDArray[np.int64], values: npt.NDArray[np.float64], unit: str
) -> RecordedHistory:
    order = np.argsort(timestamps_ns, kind="stable")
    return RecordedHistory(timestamps_ns[order], values[order], unit)
