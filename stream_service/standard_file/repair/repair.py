"""A standard file put in order after its writer was killed, or after it was cut off: `ptychostream repair`.

The rows that are whole go into a new file, made and closed beside the old one; the old one is only read. In place means
that the new file takes its name, once the old one has another.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from stream_service.core.energies import RowEnergies
from stream_service.core.frame_status import FrameStatus
from stream_service.errors import SourceError, WriteError
from stream_service.hdf5.opening import open_cut, writer_flags
from stream_service.output_file import check_output, whole_file
from stream_service.standard_file.repair.left_writer import check_is_left
from stream_service.standard_file.repair.salvage import Salvage, ranges_of, salvage
from stream_service.standard_file.schema import cxi_tree, paths
from stream_service.standard_file.schema.codes import END_STATES, LEDGER_COUNTS, STORED_CODES
from stream_service.standard_file.schema.columns import GrowingColumn
from stream_service.standard_file.schema.contents import text_in
from stream_service.standard_file.schema.ledger_columns import count_path
from stream_service.standard_file.schema.spec import DatasetSpec, fixed_string
from stream_service.standard_file.write.creation import create_file
from stream_service.standard_file.write.guarded_file import GuardedFile
from stream_service.standard_file.write.write_errors import write_error
from stream_service.text.counted import agrees, counted
from stream_service.text.units import JOULES_PER_EV

BLOCK_BYTES = 32 << 20
MOST_RANGES = 5
"""Of lost rows that are named."""


@dataclass(frozen=True, slots=True)
class Repaired:
    """Outcome of a repair."""

    path: Path
    """The file that is in order now."""
    original: Path
    """The old file, as it was."""
    n_rows: int
    message: str
    """What was done, as it stands in the file."""
    is_new: bool
    """False if there was nothing to do."""


def repair(
    path: Path,
    output: Path | None = None,
    *,
    force: bool = False,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Repaired:
    """Write the whole rows of a standard file to `output`, or in its place, the old one beside it under another name.

    Raises `SourceError` if it is not a standard file, is being written, or has no whole row; `ConfigError` for an
    output that is the input; `WriteError`.
    """
    if output is not None:
        check_output(output, force=force, inputs=(path,))
    place = Path(os.path.realpath(path)) if output is None else output  # a link to itself is refused by who opens it
    beside = place.with_name(f"{place.stem}_unrepaired{place.suffix}")
    with open_cut(path) as file:
        if not file.is_standard:
            raise SourceError(
                f"{path} is not a standard file, and only those can be repaired: `ptychostream ingest hdf5` reads raw "
                "files that were not closed as they are"
            )
        was_closed = not writer_flags(path)
        if not was_closed:
            check_is_left(file, clock, sleep)
        found = salvage(file)
        if was_closed and _is_in_order(found):
            return Repaired(path, path, len(found.rows), "nothing is wrong with it", is_new=False)
        if not len(found.rows) and found.n_announced:
            raise SourceError(
                f"{path} has no row that is whole (it announces {found.n_announced}): nothing can be kept; copy it "
                "again, or ingest the raw file of the detector"
            )
        if output is None and os.path.lexists(beside):
            raise WriteError(f"{beside} exists already: move it away, or choose another name by --output")
        story = _Story.of(found, path)
        try:
            with whole_file(place, replace=output is None or force) as unfinished:
                _write(unfinished, found, story)
                if output is None:
                    _keep(place, beside)
        except OSError as error:
            raise write_error(place, "write the repaired file", error) from error
    return Repaired(place, beside if output is None else path, len(found.rows), story.message, is_new=True)


def _is_in_order(found: Salvage) -> bool:
    data: Any = found.file[paths.CXI_DATA]
    state = text_in(found.file.get(paths.STATE))  # type: ignore[arg-type]
    is_cut = found.file.id.get_filesize() > os.stat(found.file.path).st_size
    count = found.file.get(paths.N_ROWS)
    is_damaged = isinstance(count, h5py.Dataset) and int(count[()]) > data.shape[0]
    is_whole = not found.n_lost and data.shape[0] == found.n_announced and not is_damaged
    return state in END_STATES and is_whole and not is_cut


def _keep(path: Path, beside: Path) -> None:
    """Give the old file another name, while it has its own, or a copy of it where it can have only one."""
    try:
        os.link(path, beside)
    except FileExistsError:
        raise
    except OSError:
        with whole_file(beside, replace=False) as copy:
            shutil.copyfile(path, copy)


@dataclass(frozen=True, slots=True)
class _Story:
    """End of the run, as far as the file tells, and the account that belongs to the rows that are left."""

    state: str
    end_reason: str
    message: str
    end_timestamp_ns: int
    counts: Mapping[str, int]
    ledger: Mapping[str, np.ndarray[Any, Any]] | None

    @classmethod
    def of(cls, found: Salvage, path: Path) -> _Story:
        def text(name: str) -> str:
            return text_in(found.file.get(name)) or ""  # type: ignore[arg-type]

        def number(name: str) -> int:
            dataset: Any = found.file.get(name)
            return int(dataset[()]) if isinstance(dataset, h5py.Dataset) else 0

        state = text(paths.STATE)
        has_ended = state in END_STATES
        counts = {name: number(count_path(found.file, name)) for name in LEDGER_COUNTS}
        ledger = _account(found, counts) if has_ended else None
        if state == "COMPLETE" and (found.n_lost or ledger is None):
            state = "INCOMPLETE"
        lost = np.setdiff1d(np.arange(found.n_announced), found.rows)
        ranges = list(ranges_of(lost))
        named = ", ".join(ranges[:MOST_RANGES]) + (", ..." if len(ranges) > MOST_RANGES else "")
        what = "the file was cut off" if len(lost) or (has_ended and ledger is None) else "the file was not closed"
        said = [
            what if has_ended else f"the writer died (state {state})",
            f"ptychostream {version('ptychostream')} kept {len(found.rows)} of {counted(found.n_announced, 'row')}",
        ]
        if len(lost):
            said.append(f"lost are the rows {named}, as they were numbered before")
        if found.left_out:
            said.append(
                f"{' and '.join(found.left_out)} {agrees(len(found.left_out), 'is')} not whole and left out: "
                "`ptychostream evaluate --apply` writes them again"
            )
        before = text(paths.MESSAGE)
        message = "; ".join(said) + (f". Before that: {before}" if before else "")
        end_ns = number(paths.END_TIMESTAMP) or os.stat(path).st_mtime_ns
        reason = text(paths.END_REASON) if has_ended else ""
        return cls(
            state if has_ended else "ABORTED",
            reason or (what if has_ended else "its writer was killed, or the machine failed"),
            message,
            max(end_ns, number(paths.START_TIMESTAMP)),
            counts,
            ledger,
        )

    def values(self, found: Salvage) -> dict[str, Any]:
        """Values of datasets of fixed size, by path."""
        values: dict[str, Any] = {
            paths.N_ROWS: len(found.rows),
            paths.STATE: self.state,
            paths.END_REASON: self.end_reason,
            paths.MESSAGE: self.message,
            paths.END_TIMESTAMP: self.end_timestamp_ns,
            paths.END_TIME: cxi_tree.iso_time(self.end_timestamp_ns),
            **{count_path(found.file, name): count for name, count in self.counts.items()},
        }
        energies_eV = found.columns[paths.ROW_ENERGY]
        known: Any = found.file[paths.ENERGY]
        of_rows = RowEnergies()
        for row_eV in energies_eV:
            of_rows.add(float(row_eV))
        energy_eV, has_ended = of_rows.energy_eV, text_in(found.file.get(paths.STATE)) in END_STATES  # type: ignore[arg-type]
        # it is written at the end of a run; before that it is what the first frame said
        if (has_ended and np.isfinite(known[()])) or not np.isfinite(energy_eV):
            energy_eV = float(known[()])
        if np.isfinite(energy_eV):  # in one place or the other it may not have been written any more
            values |= {paths.ENERGY: energy_eV, paths.BEAM_ENERGY: energy_eV}
            values[paths.SOURCE_ENERGY] = energy_eV * JOULES_PER_EV
        return values


def _account(found: Salvage, counts: dict[str, int]) -> Mapping[str, np.ndarray[Any, Any]] | None:
    """The ledger's columns, the frames of lost rows `lost`, and `counts` made to agree; None if they are not known."""
    epochs, ids = found.columns[paths.EPOCH], found.columns[paths.UNIQUE_ID]
    used = epochs >= 0
    statuses = found.columns[paths.FRAME_STATUS][used]
    n_stored, n_backfilled = (int(np.count_nonzero(statuses == code)) for code in STORED_CODES)
    counts["lost"] += counts["stored"] + counts["backfilled"] - n_stored - n_backfilled
    counts["stored"], counts["backfilled"] = n_stored, n_backfilled
    if found.ledger is None:
        return None
    kept = set(zip(epochs[used].tolist(), ids[used].tolist(), strict=True))
    columns = {name: column.copy() for name, column in found.ledger.items()}
    status = columns["status"]
    for place in np.flatnonzero(np.isin(status, STORED_CODES)):
        if (int(columns["epoch"][place]), int(columns["unique_id"][place])) not in kept:
            status[place] = FrameStatus.LOST
    return columns


def _write(path: Path, found: Salvage, story: _Story) -> None:
    values = story.values(found)
    keys = set(paths.LIVE_KEYS)
    datasets = tuple(
        _settled(spec, values, len(found.rows) if spec.path in keys else None) for spec in found.tree.datasets
    )
    guarded, opened = create_file(path, replace(found.tree, datasets=datasets), swmr=False)
    try:
        _fill(guarded, opened, found, story)
        guarded.file.flush()
        os.fsync(guarded.fd)
    except BaseException:
        guarded.abandon()
        raise
    guarded.close()


def _settled(spec: DatasetSpec, values: Mapping[str, Any], n_keys: int | None) -> DatasetSpec:
    """A dataset of fixed size with the value that it is to have."""
    if spec.value is None:
        return spec
    if n_keys is not None:
        keys = np.zeros(spec.value.shape, spec.dtype)
        n = min(n_keys, len(keys))
        keys[:n] = np.arange(1, n + 1)
        return replace(spec, value=keys)
    path = next((name for name in (spec.path, *spec.links) if name in values), None)
    if path is None:
        return spec
    value = values[path]
    if isinstance(value, str):
        return replace(spec, value=fixed_string(value, spec.dtype.itemsize))
    return replace(spec, value=np.asarray(value, spec.dtype).reshape(spec.value.shape))


def _fill(guarded: GuardedFile, opened: Mapping[str, h5py.Dataset], found: Salvage, story: _Story) -> None:
    data = GrowingColumn(opened[paths.CXI_DATA])
    step = max(1, BLOCK_BYTES // max(1, 4 * int(np.prod(opened[paths.CXI_DATA].shape[1:]))))
    for start in range(0, len(found.rows), step):
        frames = found.frames(start, start + step)
        guarded.reserve(frames.nbytes)
        data.write_chunks(start, frames)
    ledger = {f"{paths.LEDGER}/{name}": column for name, column in (story.ledger or {}).items()}
    for path, column in {**found.columns, **found.readbacks, **ledger}.items():
        block = np.ascontiguousarray(column, opened[path].dtype)
        guarded.reserve(block.nbytes)
        if len(block):
            GrowingColumn(opened[path]).write(0, block)
