"""A scan as TIFF files with a log (CSV) beside them, written by software that is not ours: tifffile and csv."""

from __future__ import annotations

import csv
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

EPICS_EPOCH_NS = 631_152_000 * 10**9
Values = Any
"""A number for all frames, or one for each."""


def areadetector_tags(
    unique_id: int, timestamp_ns: int | None, attributes: Mapping[str, Any]
) -> list[tuple[int, str, int, Any, bool]]:
    """The private tags that ADCore's NDFileTIFF writes; its floats have six decimals (`%f`)."""
    stamp_ns = 0 if timestamp_ns is None else timestamp_ns - EPICS_EPOCH_NS
    tags: list[tuple[int, str, int, Any, bool]] = [
        (65000, "d", 1, stamp_ns / 1e9, True),
        (65001, "I", 1, unique_id & 0xFFFFFFFF, True),
        (65002, "I", 1, stamp_ns // 10**9, True),
        (65003, "I", 1, stamp_ns % 10**9, True),
    ]
    for code, (name, value) in enumerate(attributes.items(), 65010):
        text = f"{name}:{value:f}" if isinstance(value, float) else f"{name}:{value}"
        tags.append((code, "s", 0, text, True))
    return tags


def write_tiff(
    path: Path,
    frame: np.ndarray[Any, Any],
    *,
    unique_id: int | None = None,
    timestamp_ns: int | None = None,
    attributes: Mapping[str, Any] | None = None,
    **options: Any,
) -> None:
    """One frame (y, x) as a file, or several (n, y, x) as a stack; with `unique_id` as NDFileTIFF would write it."""
    if unique_id is not None:
        options |= {
            "software": "EPICS areaDetector",
            "extratags": areadetector_tags(unique_id, timestamp_ns, attributes or {}),
        }
    tifffile.imwrite(path, frame, **{"photometric": "minisblack", "metadata": None, "description": ""} | options)


def write_log(path: Path, columns: Mapping[str, Sequence[Any]], delimiter: str = ",") -> Path:
    """A CSV with these columns; numbers in full."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream, delimiter=delimiter)
        table.writerow(columns)
        for row in zip(*columns.values(), strict=True):
            table.writerow([value.item() if isinstance(value, np.generic) else value for value in row])
    return path


def write_tiff_scan(
    folder: Path,
    frames: np.ndarray[Any, Any],
    *,
    x: Values,
    y: Values,
    unit: str = "m",
    unique_ids: Sequence[int] | np.ndarray[Any, Any] | None = None,
    timestamps_ns: Sequence[int] | np.ndarray[Any, Any] | None = None,
    energy_eV: Values = None,
    exposure_s: Values = None,
    det_dist_m: Values = None,
    pixel_m: Values = None,
    first_number: int = 1,
    missing: Collection[int] = (),
    name: str = "scan001_{:04d}.tif",
    **options: Any,
) -> tuple[str, Path]:
    """`frames` (n, y, x) as numbered files, and their log with a row each; a glob pattern and the path of the log.

    `unique_ids` go into both, as areaDetector's tags and as a column. The files with the numbers in `missing` are not
    written, their rows are. `options` are tifffile's.
    """
    n = len(frames)
    numbers = range(first_number, first_number + n)
    for index, number in enumerate(numbers):
        if number in missing:
            continue
        identity: dict[str, Any] = {}
        if unique_ids is not None:
            stamp_ns = None if timestamps_ns is None else int(timestamps_ns[index])
            identity = {"unique_id": int(unique_ids[index]), "timestamp_ns": stamp_ns}
        write_tiff(folder / name.format(number), frames[index], **identity, **options)
    columns = {
        "frame_index": numbers,
        "unique_id": unique_ids,
        "timestamp_ns": timestamps_ns,
        f"posx_{unit}": x,
        f"posy_{unit}": y,
        "energy_eV": energy_eV,
        "det_dist_m": det_dist_m,
        "pixel_m": pixel_m,
        "exposure_s": exposure_s,
    }
    given = {key: np.broadcast_to(np.asarray(values), n) for key, values in columns.items() if values is not None}
    before, _, after = name.partition("{")
    return str(folder / f"{before}*{after.rpartition('}')[2]}"), write_log(folder / "epics_log.csv", given)
