"""A writer that is killed between any two writes, or in the middle of one, leaves a file that is readable and mendable.

The writer is another process, which stands still at each of its system calls; what its file has there is what a writer
leaves that is killed there. (What a machine leaves whose power fails is another matter: the system writes to the disk
in an order of its own.)
"""

from __future__ import annotations

import mmap
import os
import shutil
import struct
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from system_calls import CannotTraceError, TracedCall, traced_calls

from stream_service.hdf5.opening import open_cut
from stream_service.standard_file import paths, repair_file, validate_file
from stream_service.standard_file.repair.salvage import salvage
from stream_service.standard_file.schema.row_columns import rows_of
from stream_service.standard_file.write.swmr_file import StandardFile
from stream_service.testing.example_file import (
    START_NS,
    append_example_rows,
    example_header,
    example_ledger,
    example_pixels,
    example_row,
    example_verdicts,
    write_example,
)

SHAPE = (6, 8)
ENDS = (0, 1, 2, 7, 20, 34, 70, 140)
"""Rows after each flush: the indexes of frames (4, then 16, 32, 64 at a time) and chunks of `cells` (32 rows) grow."""
N_UPDATES = 1100
"""Of a readback: beyond the 1024 of a chunk."""
LEFT_OUT = 2
PAGE_BYTES = 4096
"""A kill may cut a write off at the end of a page, since the system copies it page by page."""


@dataclass
class Progress:
    """What the writer has been told is done, in memory that it shares with the test."""

    page: mmap.mmap
    FIELDS = struct.Struct("4q")

    def tell(self, begun: int, flushed: int, updates_begun: int, updates_flushed: int) -> None:
        self.FIELDS.pack_into(self.page, 0, begun, flushed, updates_begun, updates_flushed)

    def told(self) -> tuple[int, int, int, int]:
        """Rows whose append has begun, rows of the last flush that returned; the same of updates of a readback."""
        return self.FIELDS.unpack_from(self.page)


def write_scan(path: Path, progress: Progress) -> None:
    """Every kind of write that a run makes, in the order of a run."""
    updates = 0
    with StandardFile.create(path, example_header(ENDS[-1], frame_shape=SHAPE)) as file:
        file.set_state("RECEIVING")
        file.set_scalars(energy_eV=711.0)
        for start, stop in pairwise(ENDS):
            progress.tell(stop, start, updates + N_UPDATES // 4, updates)
            append_example_rows(file, start, stop)
            for _ in range(N_UPDATES // 4):
                file.add_readback("ring_current", updates, START_NS + updates)
                updates += 1
            file.flush()
            progress.tell(stop, stop, updates, updates)
            file.write_verdicts(start, example_verdicts(stop - start))
            file.write_counts({**example_ledger(stop).counts, "expected": ENDS[-1]})
            if stop == ENDS[3]:
                mask = np.zeros(SHAPE, np.uint8)
                file.write_mask(mask, mask.astype(np.uint32))
                file.write_applied(np.full(SHAPE, 101.0, np.float32), None)
                file.set_clock_offsets({"x": 0.001})
                file.leave_out([LEFT_OUT])
        file.write_ledger(example_ledger(ENDS[-1]))
        file.set_state("DRAINING")
        file.set_state("COMPLETE", "all expected frames were received", START_NS + 60_000_000_000, "whole")


def states_of(folder: Path, progress: Progress) -> Generator[tuple[str, Path | None]]:
    """A sentence on where the writer was killed, and the file that it left; None before the file has its name."""
    (folder / "data").mkdir()
    path, copy = folder / "data" / "scan_std.h5", folder / "scratch.h5"
    n_calls = 0
    with closing(traced_calls(lambda: write_scan(path, progress))) as calls:
        for call in calls:
            n_calls += call.is_done
            where = f"call {n_calls}, {call.name} of {len(call.content)} bytes at {call.offset}"
            if not path.exists():
                yield f"after {where}", None
            elif call.is_done:
                shutil.copyfile(path, copy)
                yield f"after {where}", copy
            else:
                for n_bytes in _torn(call):
                    shutil.copyfile(path, copy)
                    with copy.open("r+b") as file:
                        os.pwrite(file.fileno(), call.content[:n_bytes], call.offset)
                    yield f"after {n_bytes} bytes of {where}", copy


def _torn(call: TracedCall) -> set[int]:
    """Bytes that may be written of a write that is cut off: its first page, and all but its last."""
    if call.name != "pwrite64":
        return set()
    first = PAGE_BYTES - call.offset % PAGE_BYTES
    n_more = (len(call.content) - first - 1) // PAGE_BYTES
    return {first, first + n_more * PAGE_BYTES} if len(call.content) > first else set()


EXPECTED = np.array([example_row(row) for row in range(ENDS[-1])])
PIXELS = np.stack([example_pixels(row, SHAPE) for row in range(ENDS[-1])])


def check_rows(path: Path, progress: Progress) -> int:
    """Check all that a reader in another process sees in a file under SWMR, and what can be salvaged; its rows."""
    begun, flushed, updates_begun, updates_flushed = progress.told()
    with h5py.File(path, "r", swmr=True) as file:
        entry: Any = file["/entry"]
        keys = min(int(np.count_nonzero(entry[f"live/{name}"][()])) for name in ("key_data", "key_x", "key_y"))
        assert flushed <= keys <= begun
        np.testing.assert_array_equal(entry["data"][:keys], PIXELS[:keys])
        np.testing.assert_array_equal(entry["frames/unique_id"][:keys], EXPECTED["unique_id"][:keys])
    with open_cut(path) as opened:
        found = salvage(opened)
        np.testing.assert_array_equal(found.rows, np.arange(keys))
        rows = rows_of(found.columns)
        if keys > LEFT_OUT:
            rows["keep"][LEFT_OUT] = 1
        assert rows.tobytes() == EXPECTED[:keys].tobytes(), "each column of each row"
        if keys:
            np.testing.assert_array_equal(found.frames(0, keys), PIXELS[:keys])
        updates = found.readbacks[f"{paths.READBACKS}/ring_current/value"]
        assert updates_flushed <= len(updates) <= updates_begun
        np.testing.assert_array_equal(updates, np.arange(len(updates)))
    return keys


def check_repair(path: Path, n_rows: int) -> None:
    assert [str(found) for found in validate_file(path) if found.level == "error"] == []
    done = repair_file(path, path.with_name("repaired.h5"), force=True, sleep=lambda _: None, clock=_Clock())
    assert done.n_rows == n_rows
    if done.is_new:
        assert [str(found) for found in validate_file(done.path) if found.level == "error"] == []


class _Clock:
    """Every look takes long enough."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        self.now_s += 10.0
        return self.now_s


@pytest.fixture
def progress() -> Iterator[Progress]:
    with mmap.mmap(-1, PAGE_BYTES) as page:
        yield Progress(page)


@pytest.mark.parametrize("step", [53, pytest.param(1, marks=pytest.mark.long)], ids=["some", "all"])
def test_rows_survive_a_kill_at_any_system_call(tmp_path: Path, progress: Progress, step: int) -> None:
    write_example(tmp_path / "warm.h5", 3)  # what is imported on first use is not traced
    n_nameless = n_torn = n_states = 0
    try:
        with closing(states_of(tmp_path, progress)) as states:
            for where, path in states:
                if path is None:
                    n_nameless += 1
                    assert all(name.startswith(".") for name in os.listdir(tmp_path / "data")), where
                    continue
                n_states, n_torn = n_states + 1, n_torn + ("bytes of" in where)
                if n_states % step == 0:
                    try:
                        check_repair(path, check_rows(path, progress))
                    except Exception as error:
                        error.add_note(f"killed {where}")
                        raise
    except CannotTraceError as error:
        pytest.skip(f"no process can be traced here: {error}")
    assert n_states > 800 and n_torn > 100 and n_nameless > 2
    check_rows(tmp_path / "data" / "scan_std.h5", progress)


def test_what_a_killed_creation_leaves_does_not_hinder_the_next(tmp_path: Path, progress: Progress) -> None:
    """The hidden file has a name that nothing else gets."""
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "scan_std.h5"
    left: list[str] = []
    try:
        with closing(traced_calls(lambda: write_scan(path, progress))) as calls:
            for call in calls:
                if call.name in ("write", "link", "linkat") and not call.is_done:
                    left = os.listdir(path.parent)
                    assert left and not path.exists()
                    if call.name != "write":
                        break
    except CannotTraceError as error:
        pytest.skip(f"no process can be traced here: {error}")
    write_scan(path, progress)
    check_rows(path, progress)
    assert sorted(os.listdir(path.parent)) == sorted([*left, path.name])
