"""Labelled faults among what varies on a healthy beamline: found in small scans of three seeds, and in real frames.

`tests/benchmarks/measure_quality.py` judges the same on twenty seeds of larger scans.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from quality_scans import REAL, area, real, simulated

SCANS = tuple(itertools.product(("fermat", "raster"), ("strong", "weak")))


def test_faults_have_the_highest_scores():
    scans = [simulated(*SCANS[seed % len(SCANS)], seed, fault_share=0.06, n=300) for seed in (51, 52, 53)]
    scores = np.concatenate([scan.verdicts.score for scan in scans])
    is_faulty = np.concatenate([scan.kinds for scan in scans]) != ""
    assert np.count_nonzero(is_faulty) == 3 * 18
    assert area(scores, is_faulty) >= 0.99
    worst = np.argsort(-scores, kind="stable")[: 3 * 18]
    assert np.mean(is_faulty[worst]) >= 0.9


@pytest.mark.parametrize("seed", [61, 62, 63])
def test_a_healthy_scan_is_kept(seed):
    trajectory, contrast = SCANS[seed % len(SCANS)]
    judged = simulated(trajectory, contrast, seed, fault_share=0.0, n=300)
    assert np.mean(judged.verdicts.is_rejected) <= 0.005


@pytest.mark.skipif(not REAL.exists(), reason=f"{REAL} is absent")
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_faults_among_real_frames_have_the_highest_scores(seed):
    judged = real(seed, fault_share=0.05)
    assert area(judged.verdicts.score, judged.kinds != "") >= 0.97
