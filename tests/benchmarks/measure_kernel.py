"""The kernel beside its floor: the time to read the raw frames of a row and to write its float32 frame.

    python tests/benchmarks/measure_kernel.py [SIZE ...]

Everything is on: dark, flat, mask, saturation, clip, and what is measured. Floor and kernel take turns, over raw frames
as far apart in memory as those of a queue and into a block of rows as large as in life; the medians of the rounds, and
the median of the ratios of a round. One line of JSON.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from stream_service.core.row import FEATURES_DTYPE, RowBlock
from stream_service.kernels import Corrections, FrameReducer, Geometry

SIZES = (128, 256, 512, 1024)
FRAMES_PER_ROW = (1, 3)
RING_BYTES = 64 << 20
"""Of raw frames: more than the second-level caches hold."""
ROUNDS = 9
PIXELS_PER_ROUND = 20_000_000


@njit(nogil=True)
def _convert(raw: Any, out: Any) -> None:
    for i in range(raw.size):
        out[i] = raw[i]


@njit(nogil=True)
def _convert_three(first: Any, second: Any, third: Any, out: Any) -> None:
    for i in range(first.size):
        out[i] = np.float32(first[i]) + np.float32(second[i]) + np.float32(third[i])


class Case:
    """Frames of one size, reduced by so many to a row."""

    def __init__(self, size: int, k: int) -> None:
        random = np.random.default_rng(size)
        shape = (size, size)
        block = RowBlock(shape, k)
        self._n, self._k = block.capacity, k
        n_raw = max(RING_BYTES // (2 * size * size), self._n * k)
        self._raw = [random.integers(0, 4000, shape, np.uint16) for _ in range(n_raw)]
        _, self._out = block.next_rows(self._n)
        self._features = np.zeros(self._n, FEATURES_DTYPE)
        self._times_s = np.full((self._n, k), 0.01)
        corrections = Corrections(
            dark=random.uniform(90, 110, shape),
            flat=random.normal(1000, 20, shape),
            mask=random.random(shape) < 0.001,
            saturation_level=60_000,
        )
        self._reducer = FrameReducer(Geometry(shape), corrections)
        self._n_blocks = max(2, PIXELS_PER_ROUND // (size * size * self._n * k))

    def _blocks(self) -> Iterator[list[list[NDArray[np.uint16]]]]:
        at = 0
        for _ in range(self._n_blocks):
            frames = [self._raw[(at + i) % len(self._raw)] for i in range(self._n * self._k)]
            yield [frames[i : i + self._k] for i in range(0, len(frames), self._k)]
            at += len(frames)

    def kernel(self) -> None:
        for groups in self._blocks():
            self._reducer.reduce_rows(groups, self._times_s, self._out, self._features)

    def floor(self) -> None:
        convert = _convert if self._k == 1 else _convert_three
        for groups in self._blocks():
            for group, out in zip(groups, self._out, strict=True):
                convert(*(frame.ravel() for frame in group), out.ravel())

    def figures(self) -> dict[str, float]:
        """Microseconds of a raw frame, and how many times the floor the kernel takes."""
        self.floor(), self.kernel()  # compiles, and touches every page
        n_frames = self._n_blocks * self._n * self._k
        rounds = [(_time_us(self.floor) / n_frames, _time_us(self.kernel) / n_frames) for _ in range(ROUNDS)]
        floors_us, kernels_us = zip(*rounds, strict=True)
        return {
            "kernel_us": round(statistics.median(kernels_us), 1),
            "floor_us": round(statistics.median(floors_us), 1),
            "ratio": round(statistics.median(kernel / floor for floor, kernel in rounds), 2),
        }


def _time_us(step: Callable[[], None]) -> float:
    began = time.perf_counter()
    step()
    return (time.perf_counter() - began) * 1e6


def main(sizes: tuple[int, ...]) -> None:
    figures = {f"{size}": {f"{k} per row": Case(size, k).figures() for k in FRAMES_PER_ROW} for size in sizes}
    print(json.dumps(figures))


if __name__ == "__main__":
    main(tuple(map(int, sys.argv[1:])) or SIZES)
