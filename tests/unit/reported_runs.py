"""Standard files of runs in every state, small, with rows that are rejected for a reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from stream_service.core.frame_status import FrameStatus
from stream_service.core.reason import Reason
from stream_service.standard_file import LedgerColumns, StandardFile
from stream_service.testing.example_file import (
    START_NS,
    append_example_rows,
    append_row,
    example_header,
    example_ledger,
    example_pixels,
    example_row,
    example_verdicts,
)

DIM, REPEATED = 5, 7
"""Rows that are rejected in `write_run`."""


def write_run(
    path: Path,
    n_rows: int = 12,
    state: str = "COMPLETE",
    end_reason: str = "all expected frames were received",
    message: str = "",
    ledger: LedgerColumns | None = None,
    **header: Any,
) -> Path:
    """A closed file, with an intensity that has dropped in row 5 and a frame that comes again in row 7."""
    made = example_header(n_rows, **header)
    with StandardFile.create(path, made) as file:
        append_example_rows(file, 0, n_rows, made.frames_per_row)
        verdicts = example_verdicts(n_rows)
        if n_rows > REPEATED:
            verdicts[DIM] = (0.83, Reason.INTENSITY, -0.62, 9.0, 0)
            verdicts[REPEATED] = (1.0, Reason.REPEATED, 6, 0, 1 << Reason.REPEATED)
        if n_rows:
            file.write_verdicts(0, verdicts)
        file.write_ledger(ledger or example_ledger(n_rows * made.frames_per_row))
        file.set_state(state, end_reason, START_NS + 65_000_000_000, message or f"{n_rows} rows")
    return path


def ledger_with_losses(n_frames: int, lost: slice) -> LedgerColumns:
    """An account in which some frames were lost."""
    whole = example_ledger(n_frames)
    status = whole.status.copy()
    status[lost] = FrameStatus.LOST
    n_lost = int(np.count_nonzero(status == FrameStatus.LOST))
    return replace(whole, status=status, counts={**whole.counts, "stored": n_frames - n_lost, "lost": n_lost})


def write_flagged(path: Path, flags: int, **changes: Any) -> Path:
    """Ten rows, of which row 3 has flags and is not used."""
    with StandardFile.create(path, example_header(10)) as file:
        for index in range(10):
            more = {"flags": flags, "keep": 0, **changes} if index == 3 else {}
            append_row(file, example_row(index, planned=index, **more), example_pixels(index, file.frame_shape))
        file.write_verdicts(0, example_verdicts(10))
        file.write_ledger(example_ledger(10))
        file.set_state("COMPLETE", "all expected frames were received", START_NS + 10**10, "10 rows")
    return path
