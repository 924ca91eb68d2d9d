"""One measurement of the offline path: `python measure_ingest.py [--megabytes M]`; prints one line of JSON.

A file as NDFileHDF5 writes it, of 32-bit counts, is made on the spot. Then, turn by turn, it is ingested by the command
(dark, flat, mask, saturation, positions of every frame) and copied by a plain h5py program, which reads the same frames
in blocks and writes as many bytes as float32. Each is a process of its own, from its start to its end.

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
from pathlib import Path
from typing import Annotated

import h5py
import numpy as np
import typer

SIZE = 512
FRAME_BYTES = 4 * SIZE * SIZE
ROUNDS = 3
PLAIN_COPY = """
import sys, h5py, numpy as np
with h5py.File(sys.argv[1]) as source, h5py.File(sys.argv[2], "w") as copy:
    frames = source["entry/data/data"]
    out = copy.create_dataset("data", frames.shape, np.float32, chunks=(1, *frames.shape[1:]))
    for start in range(0, len(frames), 16):
        out[start : start + 16] = frames[start : start + 16]
"""


def write_input(path: Path, n_frames: int) -> None:
    """The default layout of NDFileHDF5; 64 different frames, again and again."""
    rng = np.random.default_rng(3)
    stack = rng.poisson(20, (64, SIZE, SIZE)).astype(np.uint32)
    with h5py.File(path, "w") as file:
        frames = file.create_dataset(
            "entry/data/data", (n_frames, SIZE, SIZE), np.uint32, chunks=(1, SIZE, SIZE), maxshape=(None, SIZE, SIZE)
        )
        frames.attrs["NDArrayNumDims"] = np.int32(2)
        for index in range(n_frames):
            frames.id.write_direct_chunk((index, 0, 0), stack[index % 64])
        columns = file.create_group("entry/instrument/NDAttributes")
        values = {
            "NDArrayUniqueId": np.arange(1, n_frames + 1, dtype=np.int32),
            "NDArrayEpicsTSSec": np.arange(n_frames, dtype=np.uint32) // 100 + 1_164_000_000,
            "NDArrayEpicsTSnSec": (np.arange(n_frames) % 100 * 10_000_000).astype(np.uint32),
            "posx": rng.normal(0, 5, n_frames),
            "posy": rng.normal(0, 5, n_frames),
        }
        for name, column in values.items():
            columns[name] = column
            columns[name].attrs["NDAttrName"] = np.bytes_(name)
            columns[name].attrs["NDAttrDescription"] = np.bytes_("stage, um" if name.startswith("pos") else "")
    np.savez(
        path.with_suffix(".npz"),
        dark=np.full((SIZE, SIZE), 2.5, np.float32),
        flat=rng.normal(1000, 20, (SIZE, SIZE)),
        mask=rng.random((SIZE, SIZE)) < 0.001,
    )


def touch_memory(scratch: Path, n_bytes: int) -> None:
    """Let the page cache grow by as much, and let it go."""
    block = bytes(16 << 20)
    with scratch.open("wb") as file:
        for _ in range(n_bytes // len(block)):
            file.write(block)
    scratch.unlink()


def timed(command: list[str], output: Path, n_bytes: int) -> tuple[float, float]:
    """Seconds and peak MiB of a process that makes `output`, which is removed before and after."""
    output.unlink(missing_ok=True)
    os.sync()
    touch_memory(output.with_suffix(".scratch"), n_bytes)
    began_s = time.monotonic()
    process = os.posix_spawn(sys.executable, [sys.executable, *command], os.environ)
    _, status, usage = os.wait4(process, 0)
    took_s = time.monotonic() - began_s
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"{' '.join(command[:4])} failed")
    output.unlink()
    return took_s, usage.ru_maxrss / 1024


def measure(megabytes: Annotated[int, typer.Option(help="Size of the input.")] = 3000) -> None:
    """Ingest and plain copy of one file, turn by turn."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder) / "raw.h5", Path(folder) / "out.h5"
        n_frames = megabytes * 1_000_000 // FRAME_BYTES
        write_input(source, n_frames)
        references = str(source.with_suffix(".npz"))
        ingest = ["-m", "stream_service.cli", "ingest", "hdf5", "--input", str(source), "--output", str(output)]
        ingest += ["--dark", references, "--flat", references, "--mask", references, "--sat", "60"]
        ingest += ["--energy-eV", "700", "--det-dist-m", "0.1", "--pixel-m", "1e-5", "--exposure-s", "0.01"]
        plain = ["-c", PLAIN_COPY, str(source), str(output)]
        n_bytes = n_frames * FRAME_BYTES
        rounds = [(*timed(plain, output, n_bytes), *timed(ingest, output, n_bytes)) for _ in range(ROUNDS)]
    best = min(rounds, key=lambda found: found[2] / found[0])
    print(
        json.dumps(
            {
                "frames": n_frames,
                "size": SIZE,
                "input_MB": n_frames * FRAME_BYTES / 1e6,
                "plain_s": [round(found[0], 2) for found in rounds],
                "ingest_s": [round(found[2], 2) for found in rounds],
                "ratio": round(sorted(found[2] / found[0] for found in rounds)[ROUNDS // 2], 2),
                "best_ratio": round(best[2] / best[0], 2),
                "peak_MiB": round(max(found[3] for found in rounds)),
                "plain_peak_MiB": round(max(found[1] for found in rounds)),
            }
        )
    )


if __name__ == "__main__":
    typer.run(measure)
