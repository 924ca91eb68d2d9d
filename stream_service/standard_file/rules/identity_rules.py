"""Rules of our own files: every row has an identity, every frame an account, every run an end."""

from __future__ import annotations

import json
from collections.abc import Iterator

import h5py
import numpy as np

from stream_service.standard_file.read.announced_rows import n_announced
from stream_service.standard_file.read.stored_end import StoredEnd
from stream_service.standard_file.rules.finding import Finding, error, warning
from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.codes import (
    END_STATES,
    LEDGER_COUNTS,
    STATUS_CODES,
    STATUS_COUNTS,
    STORED_CODES,
)
from stream_service.standard_file.schema.contents import (
    RowExtent,
    dataset_at,
    group_at,
    number_in,
    text_in,
    values_in,
)
from stream_service.standard_file.schema.ledger_columns import count_path
from stream_service.standard_file.schema.row_columns import row_column_specs
from stream_service.text.counted import agrees, counted


def row_extent(file: h5py.File, *, is_growing: bool) -> RowExtent:
    """The rows of a file. Of one that grows the live keys are read before anything else is opened."""
    keys = dataset_at(file, paths.KEY_Y) if is_growing else None
    if keys is not None:
        return RowExtent(n_announced(np.asarray(keys)), is_growing)
    data = dataset_at(file, paths.DATA)
    return RowExtent(data.shape[0] if data is not None and data.ndim else 0, is_growing)


def identity_findings(file: h5py.File, extent: RowExtent) -> Iterator[Finding]:
    """Findings in rows, live keys, ledger and state of a file of ours."""
    data = dataset_at(file, paths.DATA)
    ids = dataset_at(file, paths.UNIQUE_ID)
    if data is None or data.ndim != 3:
        return  # entry_findings has said so
    if ids is None or ids.ndim != 2:
        yield error(paths.UNIQUE_ID, "is missing or not (row, slot); without it no row has an identity.")
        return
    n_said = number_in(dataset_at(file, paths.N_ROWS))
    if n_said is not None and n_said > data.shape[0] and not extent.is_growing:
        yield error(paths.N_ROWS, f"announces {n_said:.0f} rows, of which {data.shape[0]} are in the file.")
    state = text_in(dataset_at(file, paths.STATE))
    wrong = list(_column_findings(file, extent, data.shape[1:], ids.shape[1]))
    yield from wrong
    yield from _key_findings(file, extent, has_ended=state in END_STATES)
    if not wrong:
        yield from _row_findings(file, extent.n_rows)
        yield from _ledger_findings(file, extent, state)
    yield from _run_findings(file, state)
    if not extent.is_growing:  # else they are as long as the last flush made them, one by one
        yield from _readback_findings(file)


def _column_findings(file: h5py.File, extent: RowExtent, frame_shape: tuple[int, int], k: int) -> Iterator[Finding]:
    """Every column has a row for each frame of `/entry/data`."""
    n_rows = extent.n_rows
    for spec in row_column_specs(frame_shape, k):
        if not spec.path.startswith(f"{paths.ENTRY}/"):
            continue
        column = dataset_at(file, spec.path)
        if column is None:
            if not spec.is_optional:
                yield error(spec.path, "is missing; every standard file has it.")
        elif not extent.fits(column, *spec.item_shape):
            expected = (n_rows, *spec.item_shape)
            yield error(spec.path, f"has shape {column.shape}; for {n_rows} frames it must be {expected}.")


def _key_findings(file: h5py.File, extent: RowExtent, *, has_ended: bool) -> Iterator[Finding]:
    """Live keys are row + 1 from the first row on, without a hole, and never ahead of the rows."""
    n_rows = extent.n_rows
    for path in paths.LIVE_KEYS:
        dataset = dataset_at(file, path)
        if dataset is None or dataset.ndim != 1:
            yield error(path, "is missing; PtyPy's SwmrLoader follows it.")
            continue
        keys = np.asarray(dataset[()])
        n_keys = int(np.count_nonzero(keys))
        if not np.array_equal(keys[:n_keys], np.arange(1, n_keys + 1)):
            yield error(path, f"has a hole among its {n_keys} keys; a live reader stops there: copy the file anew.")
        elif n_keys > n_rows and not extent.is_growing:
            yield error(path, f"announces {n_keys} rows, but there are {n_rows}; the last rows are not to be trusted.")
        elif n_keys < n_rows and n_keys < len(keys):
            level = error if has_ended else warning
            yield level(path, f"announces {n_keys} of {n_rows} rows; use only the first {n_keys}.")
        elif n_keys < n_rows:
            yield warning(path, f"had room for {n_keys} keys; a live reader never saw the last {n_rows - n_keys} rows.")


def _row_findings(file: h5py.File, n_rows: int) -> Iterator[Finding]:
    ids, epochs = values_in(file, paths.UNIQUE_ID, n_rows), values_in(file, paths.EPOCH, n_rows)
    used = epochs >= 0
    if (empty := np.flatnonzero(~used.any(axis=1))).size:
        yield error(
            paths.EPOCH, f"names no frame in {counted(empty.size, 'row')}, the first is {empty[0]}; who took it?"
        )
    replaces = values_in(file, paths.REPLACES, n_rows)
    is_current = used & ~np.isin(np.arange(n_rows), replaces)[:, None]  # a row that is put right stays as it was
    identities, times = np.unique(np.stack([epochs[is_current], ids[is_current]]), axis=1, return_counts=True)
    for epoch, unique_id in identities[:, times > 1].T[:5]:
        yield error(paths.UNIQUE_ID, f"has frame {unique_id} of epoch {epoch} in more than one slot; keep one.")
    statuses = values_in(file, paths.FRAME_STATUS, n_rows)
    if (bad := np.flatnonzero((used & ~np.isin(statuses, STORED_CODES)).any(axis=1))).size:
        yield error(
            paths.FRAME_STATUS, f"calls frames of row {bad[0]} neither stored nor backfilled, yet they are here."
        )
    keep = values_in(file, paths.KEEP, n_rows)
    if not np.isin(keep, (0, 1)).all():
        yield error(paths.KEEP, f"holds {keep.max()}; only 0 (leave out) and 1 (use) may stand here.")
    if ((replaces < -1) | (replaces >= n_rows)).any():
        yield error(paths.REPLACES, f"names a row that does not exist (rows are 0 to {n_rows - 1}).")
    elif not ((replaces == np.floor(replaces)) & (replaces != np.arange(n_rows))).all():
        yield error(paths.REPLACES, "names what is not another row; a row replaces another one, or none (-1).")


def _ledger_findings(file: h5py.File, extent: RowExtent, state: str | None) -> Iterator[Finding]:
    """The counts add up to the frames expected, the columns say what the counts say, and the rows agree."""
    counts = {name: number_in(dataset_at(file, count_path(file, name))) for name in LEDGER_COUNTS}
    columns = [dataset_at(file, f"{paths.LEDGER}/{name}") for name in ("epoch", "unique_id", "status")]
    if None in counts.values() or None in columns:
        yield error(paths.LEDGER, "is not whole; every standard file accounts for its frames there.")
        return
    epochs, unique_ids, statuses = (np.asarray(column[()]) for column in columns if column is not None)
    number = {name: int(value) for name, value in counts.items() if value is not None}
    if state not in END_STATES:
        return
    if (not statuses.size or extent.is_growing) and state != "COMPLETE":  # one that ends unclosed failed to be written
        yield warning(
            paths.LEDGER, "names no frame: the run ended before its account was made; its counts are the last known."
        )
        return
    total = sum(number[name] for name in STATUS_COUNTS)
    if total != number["expected"]:
        yield error(paths.LEDGER, f"accounts for {counted(total, 'frame')}, but {number['expected']} were expected.")
    for code, name in STATUS_CODES.items():
        found = int(np.count_nonzero(statuses == code)) if name in number else 0
        if name in number and found != number[name]:
            yield error(f"{paths.LEDGER}/{name}", f"says {number[name]}, but the column 'status' has {found} of them.")
    stored = np.isin(statuses, STORED_CODES)
    in_ledger = set(zip(epochs[stored].tolist(), unique_ids[stored].tolist(), strict=True))
    row_epochs = values_in(file, paths.EPOCH, extent.n_rows)
    row_ids = values_in(file, paths.UNIQUE_ID, extent.n_rows)
    used = row_epochs >= 0
    in_rows = set(zip(row_epochs[used].tolist(), row_ids[used].tolist(), strict=True))
    if extra := sorted(in_rows - in_ledger):
        yield error(paths.LEDGER, f"does not know of {counted(len(extra), 'frame')} in rows, the first is {extra[0]}.")
    if absent := sorted(in_ledger - in_rows):
        n = counted(len(absent), "frame")
        yield error(
            paths.LEDGER, f"calls {n} stored that {agrees(len(absent), 'is')} in no row, the first is {absent[0]}."
        )
    missing = number["expected"] - number["stored"] - number["backfilled"]
    if state == "COMPLETE" and missing:
        yield error(
            paths.STATE,
            f"is COMPLETE, but {missing} of {counted(number['expected'], 'frame')} {agrees(missing, 'is')} "
            f"not in the file.",
        )


def _run_findings(file: h5py.File, state: str | None) -> Iterator[Finding]:
    if state not in END_STATES:
        yield warning(
            paths.STATE, f"is {state}: the run has not ended, or its writer was killed (then: 'ptychostream repair')."
        )
    elif state != "COMPLETE":
        yield warning(paths.STATE, f"is {StoredEnd.of(file)}.")
    start = number_in(dataset_at(file, paths.START_TIMESTAMP))
    end = number_in(dataset_at(file, paths.END_TIMESTAMP))
    if state in END_STATES and start is not None and end and end < start:
        yield error(paths.END_TIMESTAMP, "is before the start of the run; check the clocks.")
    for path in (paths.SETTINGS, paths.VERSIONS):
        text = text_in(dataset_at(file, path))
        if text is None:
            yield error(path, "is missing; without it the processing cannot be repeated.")
            continue
        try:
            json.loads(text)
        except ValueError as problem:
            yield error(path, f"is not JSON ({problem}); the processing cannot be repeated from it.")


def _readback_findings(file: h5py.File) -> Iterator[Finding]:
    readbacks = group_at(file, paths.READBACKS)
    for name in readbacks or ():
        value, stamp = (
            dataset_at(file, f"{paths.READBACKS}/{name}/value"),
            dataset_at(file, f"{paths.READBACKS}/{name}/timestamp_ns"),
        )
        if value is None or stamp is None or value.shape != stamp.shape:
            yield error(f"{paths.READBACKS}/{name}", "must hold 'value' and 'timestamp_ns' of equal length.")
