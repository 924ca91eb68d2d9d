"""Readbacks that were recorded apart from the frames: histories with time stamps, or a row for each frame.

An HDF5 file holds histories, `/entry/readbacks/<channel>/{value, timestamp_ns}`, as every standard file of a live run
does. A log (CSV) holds either: with `unique_id` or `frame_index` (frames since the start of the scan, from 0) a row
belongs to one frame; with `timestamp_ns` or `timestamp_s` alone, its columns are histories. Histories are paired with
frames by time, as live. Positions are those of the stage.

A history is known from its first update to the end of the log: its last entry of any channel, or, in the file of a live
run, the end of the run. What was after that nobody wrote down.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from stream_service.core.clock import BEFORE_ALL_TIME
from stream_service.core.frame import MOST_NS, NS_PER_S
from stream_service.errors import ConfigError, SourceError
from stream_service.hdf5.opening import open_hdf5
from stream_service.hdf5.targets import NOWHERE_ELSE, AlsoBelow
from stream_service.settings.recorded_choices import Match
from stream_service.sources.recording import MOST_FRAMES
from stream_service.sources.tables.epics_columns import FRAME_INDEX, LONGEST_LIST, TIMESTAMP, UNIQUE_ID
from stream_service.sources.tables.epics_csv import EpicsTable, read_epics_csv
from stream_service.sources.tables.live_run_end import end_of_live_run
from stream_service.sources.tables.log_time import in_order_of_time
from stream_service.sources.tables.recorded_units import units_of
from stream_service.sources.tables.sidecar_matching import Rows
from stream_service.standard_file.schema import paths
from stream_service.text.counted import agrees, counted
from stream_service.text.units import ELECTRONVOLTS, METRES, UnitTable, is_same_unit
from stream_service.text.utf8 import shown_name

CSV_SUFFIXES = (".csv", ".txt", ".tsv", ".dat")
READBACKS = paths.READBACKS
COLUMNS = {"x": "posx_m", "y": "posy_m", "energy": "energy_eV", "exposure": "exposure_s"}
"""Of a log, by channel."""
NEEDED = ("x", "y")
PAIRED = (*NEEDED, "energy")
"""Channels whose histories say where a frame was taken; of others nothing is asked but to be recorded."""
MOTIONS = ("x_moving", "y_moving")
"""Channels that tell when those move."""


@dataclass(frozen=True, slots=True, eq=False)
class RecordedHistory:
    """Every update of one channel, in the order of time."""

    timestamps_ns: npt.NDArray[np.int64]
    """(n,) Unix epoch."""
    values: npt.NDArray[np.float64]
    """(n,) in the channel's own unit; NaN for an update that was not a number."""
    unit: str = ""
    is_sampled: bool = False
    """True unless somebody says that there is an entry whenever the axis moved: silence is not rest."""

    @property
    def is_constant(self) -> bool:
        """True if every update says the same: the axis was never seen to move."""
        return bool(np.all(self.values == self.values[0])) if len(self.values) else True

    @property
    def scale(self) -> float:
        """Factor to metres or electronvolts; 1 for any other unit."""
        return METRES.factor(self.unit) or ELECTRONVOLTS.factor(self.unit) or 1.0


@dataclass(frozen=True, slots=True, eq=False)
class FrameRows:
    """Values of single frames, in metres, eV and seconds."""

    identity: Rows
    """What the rows say of whose they are."""
    columns: Mapping[str, npt.NDArray[np.float64]]
    """By channel; (rows,) each, NaN where the log has no number."""
    stamps_ns: npt.NDArray[np.int64] | None = None
    """(rows,) where the log has them, too."""

    def values(self, row: int) -> dict[str, float]:
        """The values of one row by channel."""
        return {name: float(values[row]) for name, values in self.columns.items()}


@dataclass(frozen=True, slots=True, eq=False)
class RecordedReadbacks:
    """Content of a file of readbacks: histories, or rows."""

    path: Path
    histories: Mapping[str, RecordedHistory] = field(default_factory=dict)
    """By channel: x, y, energy, and `<channel>_moving` where the motion was recorded."""
    rows: FrameRows | None = None
    notes: tuple[str, ...] = ()
    """Cells of the log that are not numbers."""
    confirmed_until_ns: int = BEFORE_ALL_TIME
    """In the file of a live run: nothing was posted after the last updates until then."""
    offset_s: float = 0.0
    """What the operator had added to the stamps."""

    def has(self, channel: str) -> bool:
        """True if there is any update of this channel."""
        return channel in self.histories and len(self.histories[channel].values) > 0

    @property
    def has_positions(self) -> bool:
        """True if x and y are here, so that the recording's own do not count."""
        columns = self.rows.columns if self.rows else {}
        return all(self.has(axis) or axis in columns for axis in "xy")

    @property
    def known_until_ns(self) -> int:
        """Up to this time every update of every channel is here."""
        newest = (int(history.timestamps_ns[-1]) for history in self.histories.values() if len(history.values))
        return max(self.confirmed_until_ns, *newest, BEFORE_ALL_TIME)


def load_readbacks(
    path: Path,
    offset_s: float | None = None,
    match: Match = Match.AUTO,
    also: AlsoBelow = NOWHERE_ELSE,
    *,
    on_change: bool = False,
    columns: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
) -> RecordedReadbacks:
    """Read a file of readbacks; `offset_s` is added to its time stamps, `match` says how rows find their frames.

    `columns` of a log hold quantities, `units` are theirs, where the operator says them (`posx`, `energy`, ...).

    `on_change`: a log by time has an entry whenever an axis moved, and between entries it stood still.

    Raises `SourceError` naming what is missing or wrong.
    """
    offset_ns = round((offset_s or 0.0) * NS_PER_S)
    if path.suffix.lower() not in CSV_SUFFIXES:
        if columns:
            raise ConfigError(f"--column is about a log (CSV); in {path} the channels have names: {READBACKS}/x")
        return _from_hdf5(path, offset_ns, also, on_change=on_change, units=_by_channel(units or {}))
    table = read_epics_csv(path, columns, units)
    if UNIQUE_ID in table.identities or FRAME_INDEX in table.identities:
        if offset_s is not None:
            raise ConfigError(f"{path} has a row for each frame, so that --readbacks-offset-s has no meaning for it")
        if on_change:
            raise ConfigError(f"{path} has a row for each frame, so that --readbacks-on-change has no meaning for it")
        return _rows_of(table, match)
    if TIMESTAMP not in table.identities:
        raise SourceError(
            f"{path} does not say which frame a row belongs to: it needs a column unique_id, frame_index (from 0), "
            f"timestamp_ns or timestamp_s; there are: {', '.join(table.names)[:LONGEST_LIST]}. If one "
            "of them says it, name it: --column frame_index=NAME, with --row-offset 1 if it counts from 1"
        )
    return _histories_of(table, offset_ns, on_change=on_change)


def _rows_of(table: EpicsTable, match: Match) -> RecordedReadbacks:
    key = UNIQUE_ID if UNIQUE_ID in table.identities else FRAME_INDEX
    n_repeated = table.n_rows - len(np.unique(table.identities[key]))
    if match is Match.AUTO and n_repeated:
        raise SourceError(
            f"{table.path}: of {counted(table.n_rows, 'row')} {n_repeated} {agrees(n_repeated, 'repeats')} "
            f"a {key}; if the n-th row is the n-th frame, say --match order"
        )
    columns = {name: table.columns[column] for name, column in COLUMNS.items() if column in table.columns}
    identity = Rows(table.n_rows, table.identities.get(FRAME_INDEX), table.identities.get(UNIQUE_ID))
    return RecordedReadbacks(table.path, rows=FrameRows(identity, columns), notes=(*_told(table), *table.problems))


def _histories_of(table: EpicsTable, offset_ns: int, *, on_change: bool) -> RecordedReadbacks:
    """An empty cell is not an update; one that is not a number is an update that nobody can trust."""
    stamps_ns = table.identities[TIMESTAMP] + offset_ns
    histories: dict[str, RecordedHistory] = {}
    notes: list[str] = []
    for name in PAIRED:
        column = COLUMNS[name]
        if column not in table.columns or not np.isfinite(table.columns[column]).any():
            continue
        there = ~table.is_blank[column]
        values = table.columns[column][there]
        unit = "eV" if name == "energy" else "m"
        ordered = in_order_of_time(stamps_ns[there], values, f"{table.path}, {column}")
        histories[name] = RecordedHistory(*ordered, unit, not on_change)
        if n_bad := int(np.count_nonzero(np.isnan(values))):
            notes.append(
                f"{table.path}: {n_bad} of {counted(len(values), 'value')} of {column} "
                f"{agrees(n_bad, 'is')} not a number; frames beside {agrees(n_bad, 'it')} are flagged"
            )
    # a row without any value says that the log went on until then
    return RecordedReadbacks(
        table.path,
        histories,
        notes=(*_told(table), *notes),
        confirmed_until_ns=int(stamps_ns.max()),
        offset_s=offset_ns / NS_PER_S,
    )


def _told(table: EpicsTable) -> Iterator[str]:
    """Note on what the table was taken for."""
    if table.renamed:
        yield f"{table.path}: {'; '.join(table.renamed)}"
    yield from table.notes


def _by_channel(units: Mapping[str, str]) -> dict[str, str]:
    """Units that the operator gave, by channel of the file."""
    channels = {"posx": "x", "posy": "y", **{column: name for name, column in COLUMNS.items()}}
    by_channel = {channels.get(name, name): unit for name, unit in units.items()}
    for name, unit in by_channel.items():
        table = _table(name)
        if name not in PAIRED or unit not in table:
            wanted = (
                f"the unit must be {table.choice}" if name in PAIRED else "the quantity must be posx, posy or energy"
            )
            raise ConfigError(f"--unit {name}={unit}: {wanted}")
    return by_channel


def _table(name: str) -> UnitTable:
    return ELECTRONVOLTS if name == "energy" else METRES


def _from_hdf5(
    path: Path, offset_ns: int, also: AlsoBelow, *, on_change: bool, units: Mapping[str, str]
) -> RecordedReadbacks:
    try:
        with open_hdf5(path, also).file as file:
            found = file.get(READBACKS)
            if not isinstance(found, h5py.Group):
                raise SourceError(
                    f"{path} has no {READBACKS}: give a standard file of a live run, an HDF5 file with "
                    f"{READBACKS}/x and {READBACKS}/y, each with value and timestamp_ns, or a log (.csv)"
                )
            members = list(found.items())  # h5py holds its lock from the first to the last: no error may come between
            groups = {shown_name(name): group for name, group in members if isinstance(group, h5py.Group)}
            histories = {
                name: _history(path, name, group, offset_ns, on_change=on_change, given_unit=units.get(name, ""))
                for name, group in groups.items()
            }
            confirmed_until_ns = end_of_live_run(file)
            notes = [
                f"{path}:{READBACKS}/{name} is taken in {unit}, as --unit says; the file says {own}"
                for name, unit in units.items()
                if name in histories and (own := _own_unit(groups[name])) and not is_same_unit(own, unit)
            ]
    except OSError as error:
        raise SourceError(f"{path} cannot be read as readbacks: {error}") from error
    missing = [name for name in NEEDED if name not in histories or not len(histories[name].values)]
    if missing:
        there = ", ".join(histories) or "none"
        raise SourceError(f"{path} has no updates of {' and '.join(missing)} in {READBACKS}; channels there: {there}")
    if confirmed_until_ns > BEFORE_ALL_TIME:
        confirmed_until_ns += offset_ns
    return RecordedReadbacks(
        path,
        histories,
        notes=tuple(notes),
        confirmed_until_ns=confirmed_until_ns,
        offset_s=offset_ns / NS_PER_S,
    )


def _own_unit(group: h5py.Group) -> str:
    return units_of(value) if isinstance(value := group.get("value"), h5py.Dataset) else ""


def _history(
    path: Path, name: str, group: h5py.Group, offset_ns: int, *, on_change: bool, given_unit: str
) -> RecordedHistory:
    value, stamp = group.get("value"), group.get("timestamp_ns")
    where = f"{path}:{group.name}"
    if not isinstance(value, h5py.Dataset) or not isinstance(stamp, h5py.Dataset):
        raise SourceError(f"{where} needs two datasets, value and timestamp_ns")
    if value.ndim != 1 or value.shape != stamp.shape:
        raise SourceError(f"{where}: value has shape {value.shape} and timestamp_ns {stamp.shape}; one stamp per value")
    if value.dtype.kind not in "iufb" or stamp.dtype.kind not in "iu" or len(value) > MOST_FRAMES:
        raise SourceError(
            f"{where}: {len(value)} values of {value.dtype} stamped in {stamp.dtype} are no history; timestamp_ns "
            "holds whole nanoseconds since 1970 (int64)"
        )
    unit = given_unit or units_of(value)
    known = _table(name)
    if name in PAIRED and len(value) and unit not in known:
        has = f"the unit {unit!r}" if unit else "no unit (@units)"
        raise SourceError(
            f"{where}/value has {has}; it must be one of {', '.join(known.usual)}; "
            f"the right one can be given: --unit {name}={'eV' if name == 'energy' else 'um'}"
        )
    stamps_ns, values = np.asarray(stamp[()], np.int64), np.asarray(value[()], np.float64)
    if stamps_ns.size and not (stamps_ns.min() > -MOST_NS and stamps_ns.max() < MOST_NS):
        raise SourceError(f"{where}/timestamp_ns reaches beyond the year 2116: whole nanoseconds since 1970 are needed")
    if name in PAIRED or name in MOTIONS:
        return RecordedHistory(*in_order_of_time(stamps_ns + offset_ns, values, where), unit, not on_change)
    order = np.argsort(stamps_ns, kind="stable")
    return RecordedHistory(stamps_ns[order] + offset_ns, values[order], unit)
