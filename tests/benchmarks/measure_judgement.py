"""What the judgement of rows costs: `python measure_judgement.py [--rows 100000] [--batch 50] [--line 400]`.

Rows of a made-up raster, without pixels, go through an `Evaluator` as those of a run do: in batches, with verdicts on
the new ones after each. Prints one line of JSON: CPU per row; median, 99th percentile and longest of each call; the
end; and the memory of the process.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from stream_service.core.row import CELLS_SIDE, FEATURES_DTYPE, row_dtype
from stream_service.qc import Evaluator
from stream_service.run.rows.row_quality import warm_up
from stream_service.settings.quality import QualitySettings

SHAPE = (256, 256)
STEP_M = 1e-7


def batches(n_rows: int, batch: int, line: int) -> Iterator[np.ndarray[Any, Any]]:
    """Rows (m,) of `row_dtype`: a disk of light whose brightness, place and pattern change smoothly over the sample."""
    dice = np.random.default_rng(1)
    y, x = np.mgrid[:CELLS_SIDE, :CELLS_SIDE] - (CELLS_SIDE - 1) / 2
    disk = 1 / (1 + np.exp((np.hypot(y, x) - 5) / 0.5))
    shades = dice.normal(0, 0.3, (3, CELLS_SIDE, CELLS_SIDE))
    for first in range(0, n_rows, batch):
        row = np.arange(first, min(first + batch, n_rows))
        i, j = row % line, row // line
        waves = np.stack([np.sin(i / 6), np.cos(j / 8), np.sin((i + j) / 10)], axis=1)
        cells = disk * np.exp(np.tensordot(waves, shades, 1)) * (1 + 0.2 * np.sin(i / 9) * np.cos(j / 7))[:, None, None]
        cells = dice.poisson(200 * 256 * cells) / 256
        features = np.zeros(len(row), FEATURES_DTYPE)
        features["cells"] = cells
        features["intensity"] = cells.sum(axis=(1, 2)) * 256
        features["com_y"] = 16 * (cells * y).sum(axis=(1, 2)) / cells.sum(axis=(1, 2)) + dice.normal(0, 0.05, len(row))
        features["com_x"] = 16 * (cells * x).sum(axis=(1, 2)) / cells.sum(axis=(1, 2)) + dice.normal(0, 0.05, len(row))
        features["square_sum"] = (cells**2).sum(axis=(1, 2)) * 256
        features["neighbour_sum"] = features["square_sum"] * dice.normal(1.8, 0.005, len(row))
        features["max_counts"] = cells.max(axis=(1, 2)) * dice.normal(1.3, 0.02, len(row))
        features["n_zero"] = 20_000
        rows = np.zeros(len(row), row_dtype(1))
        rows["x_m"], rows["y_m"], rows["keep"], rows["energy_eV"] = STEP_M * i, STEP_M * j, 1, 710.0
        rows["features"] = features
        yield rows


def memory_MB() -> float:
    """Resident."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=100_000)
    arguments.add_argument("--batch", type=int, default=50)
    arguments.add_argument("--line", type=int, default=400)
    asked = arguments.parse_args()
    warm_up()
    before_MB = memory_MB()
    evaluator = Evaluator(QualitySettings(), SHAPE)
    adding_s, latest_s, steps_s = [], [], []
    for rows in batches(asked.rows, asked.batch, asked.line):
        begin_s = time.thread_time()
        evaluator.add(rows)
        added_s = time.thread_time()
        evaluator.latest()
        judged_s = time.thread_time()
        adding_s.append(added_s - begin_s)
        latest_s.append(judged_s - added_s)
        if evaluator.is_due:
            evaluator.step()
            steps_s.append(time.thread_time() - judged_s)
    begin_s = time.thread_time()
    evaluator.last()
    end_s = time.thread_time() - begin_s
    costs_s = {"add": sum(adding_s), "latest": sum(latest_s), "steps": sum(steps_s), "last": end_s}
    found = {f"{name}_us_per_row": round(1e6 * cost_s / asked.rows, 2) for name, cost_s in costs_s.items()}
    found["us_per_row"] = round(sum(found.values()), 2)
    for name, calls_s in (("add", adding_s), ("latest", latest_s), ("step", steps_s)):
        found[f"{name}_ms"] = [round(1e3 * float(np.quantile(calls_s, q)), 3) for q in (0.5, 0.99, 1)]
    found |= {"end_s": round(end_s, 3), "grown_MB": round(memory_MB() - before_MB, 1), "MB": round(memory_MB(), 1)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
