"""`ptychostream evaluate` beside the same in plain numpy: `python measure_evaluate.py [--frames 5000]`; a line of JSON.

A file of somebody else's (frames of 256² float32, positions, nothing measured) is evaluated by the command, with its
maps, lists and thumbnails; measured by `kernels/reference.py`, which says in plain numpy what the features are; and
judged by a bare script of numpy (other sums, embedding, comparison with the neighbours; no reasons, no pictures, no
masks). Each is a process of its own, from its start to its end, turn by turn.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Annotated

import h5py
import numpy as np
import typer

SIZE, N_DIFFERENT, ROUNDS = 256, 64, 3
BY_REFERENCE = """
import sys, h5py, numpy as np
from stream_service.kernels.reference import measured
with h5py.File(sys.argv[1]) as file:
    frames = file["entry/data"]
    mask = np.zeros(frames.shape[1:], np.uint8)
    np.save(sys.argv[2], np.array([measured(frames[row], mask) for row in range(len(frames))]))
"""
BARE_NUMPY = """
import sys, h5py, numpy as np
SIDE = 16
with h5py.File(sys.argv[1]) as file:
    frames, pos = file["entry/data"], file["entry/pos"][()]
    n, ny, nx = frames.shape
    y, x = np.arange(ny)[:, None], np.arange(nx)[None, :]
    features, cells = np.empty((n, 7)), np.empty((n, SIDE, SIDE))
    for row in range(n):
        frame = frames[row].astype(np.float64)
        total = frame.sum()
        neighbours = (frame[:, 1:] * frame[:, :-1]).sum() + (frame[1:] * frame[:-1]).sum()
        moments = (y * frame).sum() / total, (x * frame).sum() / total
        square = (frame * frame).sum()
        features[row] = total, *moments, square, neighbours, frame.max(), np.count_nonzero(frame <= 0)
        cells[row] = frame.reshape(SIDE, ny // SIDE, SIDE, nx // SIDE).mean(axis=(1, 3))
logs = np.log(cells.reshape(n, -1) / cells.mean(axis=(1, 2))[:, None] + 0.01)
centre = logs[:512].mean(axis=0)
basis = np.linalg.svd(logs[:512] - centre, full_matrices=False)[2][:12]
coordinates = (logs - centre) @ basis.T
left = np.linalg.norm(logs - centre - coordinates @ basis, axis=1)
values = np.column_stack([np.log(np.maximum(features, 1e-6)), coordinates, left])
squares = [((pos - here) ** 2).sum(axis=1) for here in pos]
nearest = np.array([np.argpartition(square, 25)[:25] for square in squares])
off = values - np.median(values[nearest], axis=1)
unit = 1.4826 * np.median(np.abs(off), axis=0) + 1e-9
score = np.abs(off / unit).max(axis=1)
np.save(sys.argv[2], score)
"""


def write_frames(path: Path, n_frames: int) -> None:
    """Spots that move and differ in brightness from frame to frame."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    spot = 1e4 * np.exp(-(x**2 + y**2) / 800) + 1
    stack = rng.poisson(spot, (N_DIFFERENT, SIZE, SIZE)).astype(np.float32)
    side = int(np.ceil(np.sqrt(n_frames)))
    with h5py.File(path, "w") as file:
        chunks = (1, SIZE, SIZE)
        frames = file.create_dataset("entry/data", (n_frames, SIZE, SIZE), np.float32, chunks=chunks)
        for row in range(n_frames):
            frames[row] = stack[row % N_DIFFERENT] * np.float32(1 + 0.01 * rng.standard_normal())
        places = np.stack([np.arange(n_frames) // side, np.arange(n_frames) % side], axis=1)
        file["entry/pos"] = places * 1e-7 + rng.normal(0, 5e-9, (n_frames, 2))
        file["entry/energy_eV"], file["entry/det_dist_m"], file["entry/pixel_m"] = 700.0, 0.1, 75e-6


def timed(command: list[str]) -> tuple[float, float]:
    """Seconds from its start to its end, and MiB of memory at most."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began_s = time.monotonic()
    silent = [(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)]
    process = os.posix_spawn(sys.executable, [sys.executable, *command], environment, file_actions=silent)
    _, status, usage = os.wait4(process, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"{' '.join(command[:4])} failed")
    return time.monotonic() - began_s, usage.ru_maxrss / 1024


def main(
    frames: Annotated[int, typer.Option(help="Frames of the file.")] = 5000,
    rounds: Annotated[int, typer.Option(help="Measurements of each.")] = ROUNDS,
) -> None:
    """Print a line of JSON."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_frames(folder / "scan.h5", frames)
        file, out = str(folder / "scan.h5"), str(folder / "out")
        ours = ["-m", "stream_service.cli", "evaluate", file, "--out", out]
        timed(ours)  # kernels are compiled, and both read the file from memory
        took: list[list[float]] = []
        for _ in range(rounds):
            evaluate_s, peak_MiB = timed(ours)
            others_s = [
                timed(["-c", script, file, str(folder / "found.npy")])[0] for script in (BY_REFERENCE, BARE_NUMPY)
            ]
            took.append([evaluate_s, *others_s, others_s[0] / evaluate_s, peak_MiB])
    names = ("evaluate_s", "reference_s", "bare_numpy_s", "reference_over_evaluate", "peak_MiB")
    middle = dict(zip(names, map(median, zip(*took, strict=True)), strict=True))
    print(json.dumps({"frames": f"{frames} of {SIZE}²"} | middle))


if __name__ == "__main__":
    typer.run(main)
