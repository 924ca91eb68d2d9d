"""What it costs to write rows: `python measure_writer.py [--megabytes M] [--rows N]`; prints one line of JSON.

Blocks of rows go into a standard file, each made visible to readers (`append`, `flush`), and, turn by turn, the same
frames into a bare HDF5 file, a chunk each (`write_direct_chunk`), which is the floor. Then tiny frames tell what grows
with the length of a scan: a flush, and the end of a run with its account.
"""

from __future__ import annotations

import json
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import h5py
import numpy as np
import typer

from stream_service.core.row import RowBlock
from stream_service.core.run import RunOutcome, RunState
from stream_service.standard_file import StandardFile
from stream_service.standard_file.write.creation import LIBVER
from stream_service.testing.example_file import example_header, example_ledger, example_row

SIZES = (128, 256, 512, 1024)
ROUNDS = 5
TINY = (4, 4)


class Clock:
    """Wall time and CPU time of what is done under it."""

    def __init__(self) -> None:
        self.wall_s = self.cpu_s = 0.0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        yield
        self.wall_s += time.perf_counter() - wall_s
        self.cpu_s += time.process_time() - cpu_s


def block_of(shape: tuple[int, int]) -> RowBlock:
    """As many rows as travel at once."""
    block = RowBlock(shape, 1)
    rows, pixels = block.next_rows(block.capacity)
    rows[:] = example_row(0)
    pixels[:] = np.random.default_rng(1).random(shape, np.float32)
    block.append(block.capacity)
    return block


def write_rows(path: Path, block: RowBlock, n_blocks: int) -> Clock:
    shape = block.pixels.shape[1:]
    clock = Clock()
    header = example_header(
        n_blocks * block.capacity, frame_shape=shape, mask=np.zeros(shape, np.uint8), dark=None, flat=None
    )
    with StandardFile.create(path, header) as file, clock():
        for _ in range(n_blocks):
            file.append(block)
            file.flush()
    path.unlink()
    return clock


def write_plain(path: Path, block: RowBlock, n_blocks: int) -> Clock:
    shape = block.pixels.shape[1:]
    clock = Clock()
    with h5py.File(path, "w", libver=LIBVER) as file:
        data = file.create_dataset("data", (0, *shape), np.float32, chunks=(1, *shape), maxshape=(None, *shape))
        with clock():
            for number in range(n_blocks):
                start = number * block.capacity
                data.id.set_extent((start + block.capacity, *shape))
                for row, frame in enumerate(block.pixels, start):
                    data.id.write_direct_chunk((row, 0, 0), frame)
    path.unlink()
    return clock


def rate(folder: Path, size: int, megabytes: int) -> dict[str, Any]:
    """Of frames of this size; what is said is the median of the rounds."""
    block = block_of((size, size))
    n_blocks = max(2, megabytes * 1_000_000 // block.pixels.nbytes)
    n = n_blocks * block.capacity
    rounds = [
        (write_plain(folder / "plain.h5", block, n_blocks), write_rows(folder / "a.h5", block, n_blocks))
        for _ in range(ROUNDS)
    ]
    plain, rows = zip(*rounds, strict=True)
    said: dict[str, Any] = {"size": size, "rows": n}
    for name, clocks in (("plain", plain), ("file", rows)):
        said[f"{name}_rows_per_s"] = round(n / median(clock.wall_s for clock in clocks))
        said[f"{name}_cpu_us_per_row"] = round(1e6 / n * median(clock.cpu_s for clock in clocks), 1)
    said["wall_ratio"] = round(median(row.wall_s / bare.wall_s for bare, row in rounds), 3)
    said["cpu_ratio"] = round(median(row.cpu_s / bare.cpu_s for bare, row in rounds), 3)
    return said


def length(path: Path, n_rows: int) -> dict[str, Any]:
    """Of a scan of so many tiny frames: the last flushes, of a row each, and the end of the run."""
    block, one = block_of(TINY), RowBlock(TINY, 1, capacity=1)
    rows, _ = one.next_rows()
    rows[0] = example_row(0)
    one.append()
    header = example_header(n_rows, frame_shape=TINY, mask=np.zeros(TINY, np.uint8), dark=None, flat=None)
    file = StandardFile.create(path, header)
    for _ in range(n_rows // block.capacity):
        file.append(block)
        file.flush()
    flushes_s = []
    for _ in range(20):
        began_s = time.perf_counter()
        file.append(one)
        file.flush()
        flushes_s.append(time.perf_counter() - began_s)
    ledger = example_ledger(n_rows)
    began_s = time.perf_counter()
    file.write_ledger(ledger)
    file.finish(RunOutcome(RunState.COMPLETE, "all expected frames were received", "done"))
    end_s = time.perf_counter() - began_s
    path.unlink()
    return {"rows": n_rows, "flush_ms": round(1e3 * median(flushes_s), 3), "end_ms": round(1e3 * end_s, 1)}


def measure(
    megabytes: Annotated[int, typer.Option(help="Written in each round.")] = 400,
    rows: Annotated[int, typer.Option(help="Of the long scan.")] = 1_000_000,
) -> None:
    """Rows into a standard file, and the same frames into a bare one."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as folder:
        rates = [rate(Path(folder), size, megabytes) for size in SIZES]
        lengths = [length(Path(folder) / "long.h5", n) for n in (1000, rows)]
    print(json.dumps({"rates": rates, "lengths": lengths}))


if __name__ == "__main__":
    typer.run(measure)
