"""A small example run, row by row: what tests and documentation write, so that they need not invent one each.

Every value follows from the row's index, so a reader can check any row without knowing how it came to be.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.core.frame_status import FrameStatus
from stream_service.core.row import CELLS_SIDE, FEATURES_DTYPE, RowBlock
from stream_service.standard_file.schema.header import ChannelColumn, FileHeader
from stream_service.standard_file.schema.ledger_columns import LedgerColumns
from stream_service.standard_file.schema.verdict_columns import VERDICTS_DTYPE
from stream_service.standard_file.write.swmr_file import StandardFile

START_NS = 1_763_683_200_000_000_000
"""2025-11-21 00:00 UTC."""
FIRST_UNIQUE_ID = 1


def example_header(n_rows: int | None = None, **changes: Any) -> FileHeader:
    """The header of a small zone-plate scan; `changes` replace any of its fields."""
    frame_shape = changes.get("frame_shape", (6, 8))
    planned_m = None
    if n_rows:
        planned_m = np.array([example_row(i)[["x_m", "y_m"]].item() for i in range(n_rows)])
    header = FileHeader(
        scan_id="example",
        frame_shape=frame_shape,
        energy_eV=710.0,
        det_dist_m=0.12,
        pixel_m=11e-6,
        exposure_s=0.01,
        start_timestamp_ns=START_NS,
        n_rows_expected=n_rows,
        dark=np.full(frame_shape, 100.0, np.float32),
        flat=np.ones(frame_shape, np.float32),
        planned_m=planned_m,
        channels=(ChannelColumn("x", "um"), ChannelColumn("ring_current", "mA")),
        settings={"profile": {"grouping": "sum"}},
        versions={"ptychostream": "0"},
        optics={"kind": "zone_plate", "zone_plate_diameter_m": 1e-4, "focal_length_m": (2e-3, 2e-3), "defocus_m": None},
        sample="example",
        saturation_value=65535.0,
    )
    return replace(header, **changes)


def example_pixels(index: int, frame_shape: tuple[int, int] = (6, 8)) -> npt.NDArray[np.float32]:
    """The frame of row `index`: no two rows and no two pixels are alike."""
    ny, nx = frame_shape
    return (np.arange(ny * nx, dtype=np.float32).reshape(ny, nx) + index * ny * nx).astype(np.float32)


def example_row(index: int, frames_per_row: int = 1, **changes: Any) -> np.void:
    """Row `index` of the scan: `frames_per_row` frames, all stored, in order; `changes` replace fields or features."""
    rows, _ = RowBlock((1, 1), frames_per_row, capacity=1).next_rows()
    row = rows[0]
    first = FIRST_UNIQUE_ID + index * frames_per_row
    row["unique_id"] = np.arange(first, first + frames_per_row)
    row["epoch"] = 0
    row["timestamp_ns"] = START_NS + row["unique_id"] * 10_000_000
    row["status"] = FrameStatus.STORED
    row["n_frames"] = frames_per_row
    row["x_m"] = 1e-6 * (index % 10)
    row["y_m"] = -1e-6 * (index // 10)
    row["energy_eV"] = 710.0 + 1e-3 * index
    row["exposure_s"] = 0.01 * frames_per_row
    row["keep"] = 1
    cells = np.arange(CELLS_SIDE**2, dtype=np.float32).reshape(CELLS_SIDE, CELLS_SIDE) + index
    features = {"intensity": index, "com_y": 3.0, "com_x": 4.0 + 1e-3 * index, "n_saturated": index, "cells": cells}
    features |= {"square_sum": index**2, "neighbour_sum": index, "max_counts": index, "n_zero": index}
    for name, value in {**features, **changes}.items():
        (row["features"] if name in (FEATURES_DTYPE.names or ()) else row)[name] = value
    return row


def append_row(file: StandardFile, row: np.void, pixels: npt.NDArray[Any]) -> None:
    """Append one row and its pixels (ny, nx)."""
    block = RowBlock((pixels.shape[0], pixels.shape[1]), len(row["unique_id"]), capacity=1)
    rows, block_pixels = block.next_rows()
    rows[0], block_pixels[0] = row, pixels
    block.append()
    file.append(block)


def example_ledger(n_frames: int) -> LedgerColumns:
    """The account of a run in which every one of `n_frames` frames was stored."""
    counts = dict.fromkeys(("backfilled", "lost", "incomplete", "not_exposed", "duplicates", "unexpected"), 0)
    return LedgerColumns(
        epoch=np.zeros(n_frames, np.int32),
        unique_id=np.arange(FIRST_UNIQUE_ID, FIRST_UNIQUE_ID + n_frames),
        status=np.ones(n_frames, np.uint8),
        n_received=np.ones(n_frames, np.uint16),
        counts={"expected": n_frames, "stored": n_frames, **counts},
    )


def example_verdicts(n_rows: int) -> np.ndarray[Any, Any]:
    """(n,) Every row is as its neighbours."""
    return np.zeros(n_rows, VERDICTS_DTYPE)


def append_example_rows(file: StandardFile, start: int, stop: int, frames_per_row: int = 1) -> None:
    """Append rows `start` to `stop` - 1 of the example, each with an update of its x readback."""
    for index in range(start, stop):
        row = example_row(index, frames_per_row)
        append_row(file, row, example_pixels(index, file.frame_shape))
        file.add_readback("x", -1e6 * float(row["x_m"]), int(row["timestamp_ns"][0]))


def write_example(path: str | os.PathLike[str], n_rows: int, *, swmr: bool = True, **changes: Any) -> None:
    """A complete example run of `n_rows` rows at `path`, closed and COMPLETE."""
    header = example_header(n_rows, **changes)
    with StandardFile.create(path, header, swmr=swmr) as file:
        append_example_rows(file, 0, n_rows, header.frames_per_row)
        file.write_verdicts(0, example_verdicts(n_rows))
        file.write_ledger(example_ledger(n_rows * header.frames_per_row))
        file.set_state("COMPLETE", "all expected frames were received", START_NS + 60_000_000_000, f"{n_rows} rows")
