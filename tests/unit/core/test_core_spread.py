"""Exposures of a row lie at one place, measured by the step of the scan itself."""

from __future__ import annotations

import numpy as np
import pytest

from stream_service.core.spread import STANDSTILL_M, SpreadJudge, spread_m

UM = 1e-6


def judged(places: np.ndarray, k: int) -> SpreadJudge:
    """A run in which k frames after each other are a row."""
    judge, groups = SpreadJudge(), [list(map(tuple, group)) for group in places.reshape(-1, k, 2).tolist()]
    for group in groups:
        judge.see(group)
    for group in groups:
        judge.is_apart(group)
    return judge


def raster(n: int, step_um: float, visits: int, noise_nm: float = 0.0) -> np.ndarray:
    """n places on lines of 8, `visits` frames at each."""
    index = np.repeat(np.arange(n), visits)
    places = np.column_stack([index % 8, index // 8]) * step_um * UM
    return places + np.random.default_rng(1).normal(0, noise_nm * 1e-9, places.shape)


@pytest.mark.parametrize("k", [2, 3, 4, 6])
@pytest.mark.parametrize("step_um", [0.05, 0.3, 2.0])
def test_every_place_a_frame_and_several_frames_a_row_is_plainly_wrong(k: int, step_um: float) -> None:
    judge = judged(raster(96, step_um, 1), k)
    assert judge.is_plainly_wrong and judge.n_apart == judge.n_judged == 96 // k
    assert set(judge.visits()) == {1}


@pytest.mark.parametrize("k", [1, 2, 3, 6])
def test_frames_at_one_place_with_the_noise_of_a_stage_are_a_row(k: int) -> None:
    judge = judged(raster(32, 0.1, k, noise_nm=4), k)
    assert judge.n_apart == 0 and judge.widest_m == 0


def test_fewer_frames_a_row_than_were_taken_at_a_place_are_rows_of_one_place() -> None:
    assert judged(raster(32, 0.3, 4, noise_nm=4), 2).n_apart == 0


def test_rows_across_two_places_are_told_from_those_of_one() -> None:
    judge = judged(raster(36, 0.3, 3), 2)
    assert judge.n_apart == judge.n_judged // 3 and not judge.is_plainly_wrong
    assert set(judge.visits()) == {3}
    assert judge.widest_m > 0.29 * UM


def test_run_at_one_place_has_no_step_and_no_spread() -> None:
    assert judged(np.random.default_rng(2).normal(0, 3e-9, (40, 2)), 4).n_apart == 0


def test_first_group_waits_for_the_second_only_if_its_frames_lie_apart() -> None:
    judge = SpreadJudge()
    assert not judge.must_wait([(0.0, 0.0), (STANDSTILL_M / 2, 0.0)])
    apart = [(0.0, 0.0), (40e-9, 0.0)]
    assert judge.must_wait(apart)
    judge.see(apart)
    judge.see([(2 * UM, 0.0), (2 * UM, 0.0)])
    assert not judge.must_wait(apart) and not judge.is_apart(apart)


def test_place_that_is_not_known_spreads_nothing() -> None:
    assert spread_m([(np.nan, 0.0), (1.0, 1.0)]) == 0
    judge = judged(np.full((8, 2), np.nan), 2)
    assert judge.n_apart == 0
