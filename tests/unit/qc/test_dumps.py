"""Dumps of the beam that neighbours do not tell, since they are in them, too; edges of the sample are none."""

from __future__ import annotations

from math import erf

import numpy as np
import pytest
from made_rows import SHAPE, raster, rows_at, spiral

from stream_service.qc import Evaluator
from stream_service.qc.windows import Windows
from stream_service.settings.quality import QualitySettings

LINE, N = 40, 3000
ONE_WINDOW, MANY = Windows(), Windows(segment=700, before=200, after=160, warm_up=512)


def judged(places, light, windows):
    evaluator = Evaluator(QualitySettings(), SHAPE, windows=windows)
    for rows in np.array_split(rows_at(*places, light), 7):
        evaluator.add(rows)
    return evaluator.verdicts()


def is_dumped(first, last):
    return (np.arange(N) >= first) & (np.arange(N) < last)


@pytest.mark.parametrize(
    ("first", "last", "light", "windows"),
    [
        (1013, 1013 + 4 * LINE, 0.5, ONE_WINDOW),
        (1013, 1013 + 4 * LINE, 0.05, MANY),
        (813, 1873, 0.5, MANY),
        (0, 300, 0.05, MANY),
        (2413, N, 0.5, ONE_WINDOW),
    ],
)
def test_lines_that_lost_their_light_are_rejected_and_nothing_else(first, last, light, windows):
    is_bad = is_dumped(first, last)
    verdicts = judged(raster(N, LINE), np.where(is_bad, light, 1.0), windows)
    assert verdicts.is_rejected[is_bad].all()
    assert np.count_nonzero(verdicts.is_rejected[~is_bad]) <= 0.002 * N
    middle = (first + last) // 2
    assert verdicts.words(middle).startswith("intensity -")
    assert verdicts.numbers[middle, 0] == pytest.approx(light - 1, abs=0.03)


def test_a_ring_of_a_spiral_that_lost_its_light_is_rejected():
    is_bad = is_dumped(1013, 1713)
    verdicts = judged(spiral(N), np.where(is_bad, 0.3, 1.0), MANY)
    assert np.mean(verdicts.is_rejected[is_bad]) >= 0.99
    assert np.mean(verdicts.is_rejected[~is_bad]) <= 0.005


def test_a_dump_that_is_most_of_the_rows_of_many_windows_does_not_become_usual():
    is_bad = is_dumped(900, 2500)
    verdicts = judged(raster(N, LINE), np.where(is_bad, 0.05, 1.0), Windows(300, 100, 100, 400))
    assert verdicts.is_rejected[is_bad].all()
    assert np.count_nonzero(verdicts.is_rejected[~is_bad]) <= 0.002 * N


def test_light_that_comes_back_slowly_ends_a_dump():
    light = np.interp(np.arange(N), [999, 1000, 1200, 1800, N], [1, 0.05, 0.05, 1, 1])
    verdicts = judged(raster(N, LINE), light, ONE_WINDOW)
    assert verdicts.is_rejected[1000:1200].all()
    assert not verdicts.is_rejected[1900:].any()


@pytest.mark.further(but=2)
@pytest.mark.parametrize("tilt", [0.0, 0.02, 0.1])
@pytest.mark.parametrize("width", [1.0, 2.0])
def test_thick_parts_of_the_sample_along_the_lines_are_none(tilt, width):
    x, y = raster(N, LINE)
    depth = (y - 30.3 - tilt * x) / width
    light = 1 - 0.95 * np.vectorize(erf)(np.maximum(depth, 0) / 2)
    assert np.mean(judged((x, y), light, MANY).is_rejected) <= 0.005


def test_a_dark_part_of_the_sample_is_none():
    x, y = raster(N, LINE)
    depth = np.minimum(9 - abs(x - 21), 17 - abs(y - 37))
    light = 0.03 + 0.97 * (0.5 - 0.5 * np.vectorize(erf)(depth / 1.5))
    assert np.mean(judged((x, y), light, MANY).is_rejected) <= 0.005
