"""A row of a standard file, closed or growing: its pixels and all that stands beside them, as a page shows it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from stream_service.core.exposure import Flag
from stream_service.core.frame_status import FrameStatus
from stream_service.core.reason import words
from stream_service.errors import SourceError
from stream_service.standard_file.read.announced_rows import rows_announced
from stream_service.standard_file.read.bad_rows import judged_bad
from stream_service.standard_file.read.stored_settings import StoredSettings
from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.contents import dataset_at, group_at, names_in, number_in, text_in, units_of
from stream_service.standard_file.schema.row_columns import PLACES
from stream_service.text.local_time import local_time


def n_rows_in(file: h5py.Group) -> int:
    """Rows that readers may take. Raises `SourceError` for what is no standard file."""
    keys = [np.asarray(found[()]) for path in paths.LIVE_KEYS if (found := dataset_at(file, path)) is not None]
    if len(keys) != len(paths.LIVE_KEYS):
        raise SourceError("it announces no rows: it is not a standard file")
    n, data = rows_announced(file, keys), dataset_at(file, paths.DATA)
    if data is not None and n > data.shape[0]:  # a damaged number: there is no memory for so many
        raise SourceError(f"it announces {n} rows, of which {data.shape[0]} are in it")
    return n


def rejecting_score(file: h5py.Group) -> float:
    """The score from which on rows are rejected, as the settings in the file say."""
    return StoredSettings.read(text_in(dataset_at(file, paths.SETTINGS)) or "").quality().threshold


def bad_rows(file: h5py.Group, rows: slice, threshold: float) -> npt.NDArray[np.bool_]:
    """True for those of these rows that are rejected for their quality."""
    n = rows.stop - rows.start

    def column(path: str, blank: float) -> npt.NDArray[np.float64] | None:
        """`blank` where the file has no value yet; None if it has no such column."""
        found = dataset_at(file, path)
        if found is None:
            return None
        values, there = np.full(n, blank), np.asarray(found[rows])
        values[: len(there)] = there
        return values

    score, gates = column(f"{paths.QC}/score", math.nan), column(f"{paths.QC}/gates", 0.0)
    if score is None or gates is None:
        return np.zeros(n, bool)
    return judged_bad(score, gates, column(paths.TAGS, 0.0), threshold)


def nearest_row(file: h5py.Group, x_m: float, y_m: float) -> int:
    """The row whose position is nearest, of several the latest. Raises `SourceError` if no row has a position."""
    n = n_rows_in(file)
    x, y = (_column(file, path, n) for path in (paths.POS_X, paths.POS_Y))
    distances = np.hypot(x - x_m, y - y_m)
    if not np.isfinite(distances).any():
        raise SourceError("no row in it has a position yet")
    return int(np.flatnonzero(distances == np.nanmin(distances))[-1])


def stored_row(file: h5py.Group, row: int) -> tuple[dict[str, Any], npt.NDArray[np.float32]]:
    """Facts, by name as JSON has them (None: not known), and pixels (y, x). Raises `SourceError`."""
    if not 0 <= row < n_rows_in(file):
        raise SourceError(f"row {row} is not in it")
    data = dataset_at(file, paths.DATA)
    if data is None:
        raise SourceError("it has no frames")
    facts: dict[str, Any] = {"row": row, "shape": list(data.shape[1:])}
    for path, column in PLACES:
        if column.shape or column.codes is not None:
            continue
        facts[column.name] = _entry(file, path, row)
    status = _entry(file, paths.FRAME_STATUS, row) or []
    facts["status"] = [FrameStatus(code).name.lower() for code in status if code in set(FrameStatus)]
    facts["flags"] = [(flag.name or "").lower() for flag in Flag(_entry(file, paths.FLAGS, row) or 0)]
    facts["score"] = _entry(file, f"{paths.QC}/score", row)
    facts["reason"] = _reason(file, row)
    facts["is_rejected"] = bool(bad_rows(file, slice(row, row + 1), rejecting_score(file))[0])
    stamp_ns = next(iter(facts.get("timestamp_ns") or []), 0)
    facts["time"] = local_time(stamp_ns)
    facts["readbacks"] = _readbacks(file, stamp_ns)
    pixels = np.asarray(data[row], np.float32)
    return facts, pixels


def _column(file: h5py.Group, path: str, n: int) -> npt.NDArray[np.float64]:
    found = dataset_at(file, path)
    if found is None:
        raise SourceError(f"it has no {path}")
    return np.asarray(found[:n], np.float64)


def _entry(file: h5py.Group, path: str, row: int) -> Any:
    found = dataset_at(file, path)
    if found is None or found.ndim == 0 or found.shape[0] <= row:
        return None
    value = np.asarray(found[row]).tolist()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _reason(file: h5py.Group, row: int) -> str:
    code, first, second = (_entry(file, f"{paths.QC}/{name}", row) for name in ("reason", "number", "second"))
    return words(code, first or 0.0, second or 0.0) if code else ""


def _readbacks(file: h5py.Group, stamp_ns: int) -> list[Mapping[str, Any]]:
    """The latest update of each channel before the frame was stamped, by the clock of the frames."""
    group = group_at(file, paths.READBACKS)
    found = []
    for channel in names_in(group) if group is not None and stamp_ns else ():
        values, stamps = (dataset_at(file, f"{paths.READBACKS}/{channel}/{name}") for name in ("value", "timestamp_ns"))
        if values is None or stamps is None:
            continue
        offset_s = number_in(dataset_at(file, paths.clock_offset(channel))) or 0.0
        offset_ns = int(1e9 * offset_s) if math.isfinite(offset_s) else 0
        n = min(values.shape[0], stamps.shape[0])
        at = int(np.searchsorted(stamps[:n], stamp_ns + offset_ns, "right")) - 1
        if at >= 0:
            value = float(values[at])
            age_s = (stamp_ns + offset_ns - int(stamps[at])) / 1e9
            known = value if math.isfinite(value) else None
            found.append({"channel": channel, "value": known, "unit": units_of(values) or "", "age_s": age_s})
    return found
