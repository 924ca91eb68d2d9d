"""The offline path beside a plain copy: `python measure_ingest.py [--cases uint32,tiff]`; a line of JSON for each case.

A file as NDFileHDF5 writes it is made on the spot, or a stack of numbered TIFFs. Then, turn by turn, it is ingested by
the command (dark, flat, mask, saturation, positions of every frame) and copied by a plain program, which reads the same
frames in blocks and writes as many bytes as float32. Each is a process of its own, from its start to its end, in an
installation that has been used before: Python's bytecode and numba's kernels are there.

Before each, the disk is given time to write what it holds back, and as much memory as the output takes in the page
cache is touched: on a virtual machine the first touch of a page costs ten times what writing to it does (2.3 ms
instead of 0.22 ms per MB, measured), and whoever comes second would otherwise find it touched by the first.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import h5py
import hdf5plugin
import numpy as np
import tifffile
import typer
from machine import disk_MB_per_s

SIZE = 512
N_DIFFERENT = 64
ROUNDS = 5
FROM_HDF5 = """
import sys, h5py, hdf5plugin, numpy as np
with h5py.File(sys.argv[1]) as source, h5py.File(sys.argv[2], "w") as copy:
    frames = source["entry/data/data"]
    out = copy.create_dataset("data", frames.shape, np.float32, chunks=(1, *frames.shape[1:]))
    for start in range(0, len(frames), 16):
        out[start : start + 16] = frames[start : start + 16]
"""
FROM_TIFFS = """
import sys, glob, h5py, numpy as np, tifffile
paths = sorted(glob.glob(sys.argv[1]))
with h5py.File(sys.argv[2], "w") as copy:
    shape = tifffile.imread(paths[0]).shape
    out = copy.create_dataset("data", (len(paths), *shape), np.float32, chunks=(1, *shape))
    for row, path in enumerate(paths):
        out[row] = tifffile.imread(path)
"""
FACTS = ("--sat", "60", "--energy-eV", "700", "--det-dist-m", "0.1", "--pixel-m", "1e-5", "--exposure-s", "0.01")


@dataclass(frozen=True, slots=True)
class Case:
    """An input."""

    dtype: type[np.unsignedinteger[Any]]
    filters: Mapping[str, Any] | None = None
    is_tiff: bool = False

    @property
    def frame_bytes(self) -> int:
        """As recorded, before any compression."""
        return SIZE * SIZE * np.dtype(self.dtype).itemsize


CASES = {
    "uint32": Case(np.uint32),
    "uint16": Case(np.uint16),
    "bslz4": Case(np.uint16, hdf5plugin.Bitshuffle()),
    "tiff": Case(np.uint16, is_tiff=True),
}


@dataclass(frozen=True, slots=True)
class Took:
    """What a process took."""

    wall_s: float
    cpu_s: float
    peak_MiB: float


def write_input(folder: Path, case: Case, n_frames: int) -> str:
    """The file, or the pattern of files, with a few different frames again and again; `references.npz` beside it."""
    rng = np.random.default_rng(3)
    stack = rng.poisson(20, (N_DIFFERENT, SIZE, SIZE)).astype(case.dtype)
    np.savez(
        folder / "references.npz",
        dark=np.full((SIZE, SIZE), 2.5, np.float32),
        flat=rng.normal(1000, 20, (SIZE, SIZE)),
        mask=rng.random((SIZE, SIZE)) < 0.001,
    )
    positions = rng.normal(0, 5e-6, (n_frames, 2))
    if case.is_tiff:
        for index in range(n_frames):
            tifffile.imwrite(folder / f"scan_{index:06}.tif", stack[index % N_DIFFERENT])
        lines = [f"{index},{x!r},{y!r}" for index, (x, y) in enumerate(positions.tolist())]
        (folder / "positions.csv").write_text("\n".join(["frame_index,x_m,y_m", *lines]) + "\n")
        return str(folder / "scan_*.tif")
    write_areadetector(folder / "raw.h5", stack, positions * 1e6, case.filters or {})
    return str(folder / "raw.h5")


def write_areadetector(path: Path, stack: np.ndarray, positions_um: np.ndarray, filters: Mapping[str, Any]) -> None:
    """The default layout of NDFileHDF5."""
    n_frames, shape = len(positions_um), stack.shape[1:]
    with h5py.File(path, "w") as file:
        frames = file.create_dataset(
            "entry/data/data",
            (n_frames, *shape),
            stack.dtype,
            chunks=(1, *shape),
            maxshape=(None, *shape),
            **filters,
        )
        frames.attrs["NDArrayNumDims"] = np.int32(2)
        chunks: dict[int, bytes] = {}
        for index in range(n_frames):
            if index < N_DIFFERENT:
                frames[index] = stack[index]
                _, chunks[index] = frames.id.read_direct_chunk((index, 0, 0))
            else:
                frames.id.write_direct_chunk((index, 0, 0), chunks[index % N_DIFFERENT])
        columns = file.create_group("entry/instrument/NDAttributes")
        values = {
            "NDArrayUniqueId": np.arange(1, n_frames + 1, dtype=np.int32),
            "NDArrayEpicsTSSec": np.arange(n_frames, dtype=np.uint32) // 100 + 1_164_000_000,
            "NDArrayEpicsTSnSec": (np.arange(n_frames) % 100 * 10_000_000).astype(np.uint32),
            "posx": positions_um[:, 0],
            "posy": positions_um[:, 1],
        }
        for name, column in values.items():
            columns[name] = column
            columns[name].attrs["NDAttrName"] = np.bytes_(name)
            columns[name].attrs["NDAttrDescription"] = np.bytes_("stage, um" if name.startswith("pos") else "")


def touch_memory(scratch: Path, n_bytes: int) -> None:
    """Let the page cache grow by as much, and let it go."""
    block = bytes(16 << 20)
    with scratch.open("wb") as file:
        for _ in range(n_bytes // len(block)):
            file.write(block)
    scratch.unlink()


def timed(command: list[str], output: Path, n_bytes: int) -> Took:
    """Run a process that makes `output`, which is removed before and after."""
    output.unlink(missing_ok=True)
    os.sync()
    touch_memory(output.with_suffix(".scratch"), n_bytes)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began_s = time.monotonic()
    silent = [(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)]
    process = os.posix_spawn(sys.executable, [sys.executable, *command], environment, file_actions=silent)
    _, status, usage = os.wait4(process, 0)
    took_s = time.monotonic() - began_s
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"{' '.join(command[:4])} failed")
    output.unlink()
    return Took(took_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def measure_case(name: str, megabytes: int, n_rounds: int) -> dict[str, Any]:
    """Ingest and plain copy of one input, turn by turn."""
    case = CASES[name]
    n_frames = megabytes * 1_000_000 // case.frame_bytes
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        output, references = folder / "out.h5", str(folder / "references.npz")
        source = write_input(folder, case, n_frames)
        corrections = ("--dark", references, "--flat", references, "--mask", references, *FACTS)
        if case.is_tiff:
            arguments = ["tiff", "--pattern", source, "--readbacks", str(folder / "positions.csv")]
        else:
            arguments = ["hdf5", "--input", source]
        ingest = ["-m", "stream_service.cli", "ingest", *arguments, "--output", str(output), *corrections]
        plain = ["-c", FROM_TIFFS if case.is_tiff else FROM_HDF5, source, str(output)]
        n_bytes = n_frames * SIZE * SIZE * 4
        timed(ingest, output, 0)  # compiles what is compiled once
        took = [(timed(plain, output, n_bytes), timed(ingest, output, n_bytes)) for _ in range(n_rounds)]
        disk = disk_MB_per_s(folder, n_bytes)
    ratios = [ingested.wall_s / copied.wall_s for copied, ingested in took]
    return {
        "case": name,
        "frames": n_frames,
        "size": SIZE,
        "input_MB": n_frames * case.frame_bytes / 1e6,
        "plain_s": [round(copied.wall_s, 2) for copied, _ in took],
        "ingest_s": [round(ingested.wall_s, 2) for _, ingested in took],
        "ratio": round(median(ratios), 2),
        "best_ratio": round(min(ratios), 2),
        "plain_cpu_s": [round(copied.cpu_s, 2) for copied, _ in took],
        "ingest_cpu_s": [round(ingested.cpu_s, 2) for _, ingested in took],
        "peak_MiB": round(max(ingested.peak_MiB for _, ingested in took)),
        "plain_peak_MiB": round(max(copied.peak_MiB for copied, _ in took)),
        **{f"{kind}_MB_per_s": round(rate) for kind, rate in disk.items()},
    }


def measure(
    megabytes: Annotated[int, typer.Option(help="Size of the input, uncompressed.")] = 3000,
    rounds: Annotated[int, typer.Option(help="How often each is done.")] = ROUNDS,
    cases: Annotated[str, typer.Option(help=f"Some of {', '.join(CASES)}.")] = "uint32",
) -> None:
    """Measure each case."""
    if unknown := set(cases.split(",")) - set(CASES):
        raise typer.BadParameter(f"--cases: {', '.join(sorted(unknown))} is none of {', '.join(CASES)}")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for name in cases.split(","):
        print(json.dumps(measure_case(name, megabytes, rounds)), flush=True)


if __name__ == "__main__":
    typer.run(measure)
