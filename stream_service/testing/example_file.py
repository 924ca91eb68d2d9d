"""A small example run, row by row: what tests and documentation write, so that they need not invent one each.

Every value follows from the row's index, so a reader can check any row without knowing how it came to be.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.standard_file.schema.header import ChannelColumn, FileHeader
from stream_service.standard_file.schema.ledger_columns import LedgerColumns
from stream_service.standard_file.schema.row import Row
from stream_service.standard_file.write.swmr_file import StandardFile

START_NS = 1_763_683_200_000_000_000
"""2025-11-21 00:00 UTC."""
FIRST_UNIQUE_ID = 1


def example_header(n_rows: int | None = None, **changes: Any) -> FileHeader:
    """The header of a small zone-plate scan; `changes` replace any of its fields."""
    frame_shape = changes.get("frame_shape", (6, 8))
    planned_m = None
    if n_rows:
        planned_m = np.array([(example_row(i).x_m, example_row(i).y_m) for i in range(n_rows)])
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


def example_row(index: int, frames_per_row: int = 1) -> Row:
    """Row `index` of the scan: `frames_per_row` frames, all stored, in order."""
    first = FIRST_UNIQUE_ID + index * frames_per_row
    unique_ids = np.arange(first, first + frames_per_row, dtype=np.int64)
    return Row(
        unique_ids=unique_ids,
        epochs=np.zeros(frames_per_row, np.int32),
        timestamps_ns=START_NS + unique_ids * 10_000_000,
        statuses=np.ones(frames_per_row, np.uint8),
        n_frames=frames_per_row,
        x_m=1e-6 * (index % 10),
        y_m=-1e-6 * (index // 10),
        energy_eV=710.0 + 1e-3 * index,
        exposure_s=0.01 * frames_per_row,
        flags=0,
        intensity=float(index),
        com_y=3.0,
        com_x=4.0 + 1e-3 * index,
        n_saturated=index,
    )


def example_ledger(n_frames: int) -> LedgerColumns:
    """The account of a run in which every one of `n_frames` frames was stored."""
    counts = dict.fromkeys(("backfilled", "lost", "incomplete", "not_exposed", "duplicates", "surplus"), 0)
    return LedgerColumns(
        epoch=np.zeros(n_frames, np.int32),
        unique_id=np.arange(FIRST_UNIQUE_ID, FIRST_UNIQUE_ID + n_frames),
        status=np.ones(n_frames, np.uint8),
        n_received=np.ones(n_frames, np.uint16),
        counts={"expected": n_frames, "stored": n_frames, **counts},
    )


def append_example_rows(file: StandardFile, start: int, stop: int, frames_per_row: int = 1) -> None:
    """Append rows `start` to `stop` - 1 of the example, each with an update of its x readback."""
    for index in range(start, stop):
        slot = file.slot()
        slot[...] = example_pixels(index, (slot.shape[0], slot.shape[1]))
        row = example_row(index, frames_per_row)
        file.append(row)
        file.add_readback("x", -1e6 * row.x_m, int(row.timestamps_ns[0]))


def write_example(path: str | os.PathLike[str], n_rows: int, *, swmr: bool = True, **changes: Any) -> None:
    """A complete example run of `n_rows` rows at `path`, closed and COMPLETE."""
    header = example_header(n_rows, **changes)
    with StandardFile.create(path, header, swmr=swmr) as file:
        append_example_rows(file, 0, n_rows, header.frames_per_row)
        file.write_ledger(example_ledger(n_rows * header.frames_per_row))
        file.set_state("COMPLETE", "all expected frames were received", START_NS + 60_000_000_000, f"{n_rows} rows")
