"""Judgement of rows on simulated and real scans: `python measure_quality.py [--seeds 20] [--real-seeds 50]`.

Scans of `iocsim` (fermat and raster, strong and weak sample, faults of all kinds on 2 % of the frames) and the frames
of a real scan with faults on 5 % of them. The readback of the energy is hidden, so that a wrong one shows in the frames
alone. Prints one line of JSON: areas under the ROC curve, pooled over the scans and by kind, precision (which is the
recall) at the true number of faults, and the share of clean scans, with what varies on a healthy beamline, that the
default threshold rejects.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from quality_scans import REAL, Judged, area, real, simulated

FAULT_SHARE, REAL_FAULT_SHARE = 0.02, 0.05


def figures(judged: list[Judged]) -> dict[str, Any]:
    """Of faulty scans: pooled, and by kind."""
    scores = np.concatenate([one.verdicts.score for one in judged])
    kinds = np.concatenate([one.kinds for one in judged])
    is_rejected = np.concatenate([one.verdicts.is_rejected for one in judged])
    is_sound = kinds == ""
    hits = [
        np.mean(one.kinds[np.argsort(-one.verdicts.score, kind="stable")[: np.count_nonzero(one.kinds != "")]] != "")
        for one in judged
    ]
    return {
        "scans": len(judged),
        "auc": round(area(scores, ~is_sound), 4),
        "auc_of_worst_scan": round(min(area(one.verdicts.score, one.kinds != "") for one in judged), 4),
        "auc_by_kind": {
            str(kind): round(area(scores[is_sound | (kinds == kind)], kinds[is_sound | (kinds == kind)] == kind), 4)
            for kind in np.unique(kinds[~is_sound])
        },
        "precision_at_true_number": round(float(np.mean(hits)), 3),
        "recall_by_threshold": round(float(np.mean(is_rejected[~is_sound])), 3),
        "sound_rejected_by_threshold": round(float(np.mean(is_rejected[is_sound])), 5),
    }


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seeds", type=int, default=20)
    arguments.add_argument("--clean-seeds", type=int, default=20)
    arguments.add_argument("--real-seeds", type=int, default=50)
    arguments.add_argument("--first-seed", type=int, default=1)
    arguments.add_argument("--positions", type=int, default=600)
    asked = arguments.parse_args()
    found: dict[str, Any] = {}
    for trajectory, contrast in itertools.product(("fermat", "raster"), ("strong", "weak")):
        case = f"{trajectory}, {contrast}"
        seeds = range(asked.first_seed, asked.first_seed + asked.seeds)
        if asked.seeds:
            found[case] = figures(
                [
                    simulated(trajectory, contrast, seed, FAULT_SHARE, asked.positions, hides_energy=True)
                    for seed in seeds
                ]
            )
        clean = [
            simulated(trajectory, contrast, 1000 + seed, 0.0, asked.positions).verdicts.is_rejected
            for seed in range(asked.first_seed, asked.first_seed + asked.clean_seeds)
        ]
        if clean:
            found[f"{case}, clean: rejected"] = {
                "mean": round(float(np.mean(clean)), 5),
                "worst scan": round(float(np.max(np.mean(clean, axis=1))), 5),
            }
    if REAL.exists() and asked.real_seeds:
        found["real"] = figures([real(seed, REAL_FAULT_SHARE) for seed in range(1, 1 + asked.real_seeds)])
        found["real, as it is: rejected"] = {"mean": round(float(np.mean(real(1, 0.0).verdicts.is_rejected)), 5)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
