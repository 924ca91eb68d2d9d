"""Frames lost and sent twice on purpose."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocsim.faults import Faults
from iocsim.unique_ids import FaultError, parse_ids


def test_without_faults_every_frame_goes_once():
    assert {Faults().copies(unique_id) for unique_id in range(1000)} == {1}


def test_listed_ids_are_hit_and_no_others():
    faults = Faults(drop_ids=frozenset({1, 7}), duplicate_ids=frozenset({3, 7}))
    assert [faults.copies(unique_id) for unique_id in range(9)] == [1, 0, 1, 2, 1, 1, 1, 0, 1]


@given(st.integers(0, 2**31), st.floats(0.01, 0.5))
def test_fractions_are_kept_and_repeat_with_the_seed(seed: int, fraction: float):
    faults = Faults(seed, drop_fraction=fraction, duplicate_fraction=fraction)
    copies = [faults.copies(unique_id) for unique_id in range(4000)]
    assert copies.count(0) / 4000 == pytest.approx(fraction, abs=0.05)
    assert copies.count(2) / (4000 - copies.count(0)) == pytest.approx(fraction, abs=0.05)
    assert copies == [Faults(seed, fraction, fraction).copies(unique_id) for unique_id in range(4000)]


def test_another_seed_hits_other_frames():
    hit = [[Faults(seed, drop_fraction=0.1).copies(n) for n in range(500)] for seed in (1, 2)]
    assert hit[0] != hit[1]


def test_ids_are_read_from_numbers_and_ranges():
    assert parse_ids("") == frozenset()
    assert parse_ids("1, 7,100-102") == {1, 7, 100, 101, 102}


@pytest.mark.parametrize("text", ["x", "1,-5", "3-x", "1.5", "-"])
def test_what_is_no_id_is_named(text: str):
    with pytest.raises(FaultError, match="uniqueId"):
        parse_ids(text)
