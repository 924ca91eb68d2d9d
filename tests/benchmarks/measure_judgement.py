"""What the judgement of rows costs: `python measure_judgement.py [--rows 100000] [--batch 50] [--line 400]`.

Rows of a made-up raster, without pixels, go through an `Evaluator` as those of a run do: in batches, with verdicts on
the new ones after each. Prints one line of JSON: CPU per row; median, 99th percentile and longest of each call; the
end; and the memory of the process.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from made_rows import SHAPE, raster, rows_at

from stream_service.qc import Evaluator
from stream_service.run.rows.row_quality import warm_up
from stream_service.settings.quality import QualitySettings


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
    for first in range(0, asked.rows, asked.batch):
        rows = rows_at(*raster(min(asked.batch, asked.rows - first), asked.line, first), seed=first)
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
