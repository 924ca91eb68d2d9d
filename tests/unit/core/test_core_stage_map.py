"""From stage to beam on the sample."""

from __future__ import annotations

import math

import pytest

from stream_service.core.stage_map import StageMap


@pytest.mark.parametrize(
    ("stage_map", "expected"),
    [
        (StageMap(), (-3.0, 4.0)),
        (StageMap(1, 0, 0, 1), (3.0, -4.0)),
        (StageMap(0, 1, -1, 0), (-4.0, -3.0)),
        (StageMap(0.5, 2.0, 1.0, -1.0), (-6.5, 7.0)),
    ],
)
def test_beam_on_sample_is_the_matrix_times_the_stage(stage_map, expected):
    assert stage_map.beam_on_sample(3.0, -4.0) == expected


@pytest.mark.parametrize("unknown", [math.nan, math.inf])
def test_an_axis_that_is_not_known_does_not_spoil_the_other(unknown):
    assert StageMap().beam_on_sample(unknown, -4.0)[1] == 4.0
    assert StageMap().beam_on_sample(3.0, unknown)[0] == -3.0
    turned = StageMap(0, 1, -1, 0)
    assert turned.beam_on_sample(unknown, -4.0)[0] == -4.0
    assert turned.beam_on_sample(3.0, unknown)[1] == -3.0


def test_an_axis_that_matters_is_passed_on_unknown():
    assert math.isnan(StageMap().beam_on_sample(math.nan, 0.0)[0])
    assert math.isnan(StageMap(1, 1, -1, 1).beam_on_sample(math.nan, 0.0)[1])
