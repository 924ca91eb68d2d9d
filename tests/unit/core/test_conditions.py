"""Ring current and shutter of rows: the last value before the middle of an exposure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_service.core.conditions import CLOSED, NOT_KNOWN, OPEN, Conditions, HeldValues
from stream_service.core.frame import NO_STAMP, FrameTime, Marks
from stream_service.core.pairing.readback import Readback
from stream_service.core.row import row_dtype

UNITS = {"ring_current": "mA", "shutter": "", "x": "um"}
SECOND = 1_000_000_000


def rows(stamps_s: Sequence[Sequence[float]], exposure_s: float = 0.2) -> np.ndarray:
    made = np.zeros(len(stamps_s), row_dtype(len(stamps_s[0])))
    made["timestamp_ns"] = np.round(np.array(stamps_s) * SECOND).astype(np.int64)
    made["n_frames"], made["ring_current_mA"], made["shutter_open"] = len(stamps_s[0]), math.nan, NOT_KNOWN
    made["exposure_s"] = exposure_s * made["n_frames"]
    return made


def filled(conditions: Conditions, made: np.ndarray) -> tuple[list[float], list[int]]:
    conditions.fill(made)
    return made["ring_current_mA"].tolist(), made["shutter_open"].tolist()


def told(units: dict[str, str] = UNITS, frame_time: FrameTime = FrameTime(), **options: float) -> Conditions:  # noqa: B008
    conditions = Conditions(units, frame_time, **options)
    conditions.add(
        [
            Readback("ring_current", 200.0, 1 * SECOND),
            Readback("shutter", 1.0, 1 * SECOND),
            Readback("x", 5.0, 2 * SECOND),
            Readback("ring_current", 120.0, 2 * SECOND),
            Readback("shutter", 0.0, 3 * SECOND),
        ]
    )
    return conditions


def test_a_row_has_the_last_values_before_the_middle_of_its_exposure():
    made = rows([[1.05], [1.5], [2.05], [2.2], [3.2]])  # ends: the exposures began 0.2 s before
    current_mA, shutter = filled(told(), made)
    assert math.isnan(current_mA[0]) and shutter[0] == NOT_KNOWN
    assert current_mA[1:] == [200, 200, 120, 120]
    assert shutter[1:] == [OPEN, OPEN, OPEN, CLOSED]


def test_the_stamp_means_what_the_profile_says():
    at_start = told(frame_time=FrameTime(Marks.START, offset_s=-0.5))
    assert filled(at_start, rows([[2.35], [2.45]]))[0] == [200, 120]


def test_of_several_exposures_the_least_current_counts_and_one_with_the_shutter_closed():
    made = rows([[1.5, 2.5], [2.5, 3.5], [0.5, 1.5]])
    assert filled(told(), made) == ([120, 120, 200], [OPEN, CLOSED, OPEN])


def test_unused_slots_and_frames_without_a_stamp_say_nothing():
    made = rows([[2.5, 3.5], [2.5, 3.5]])
    made["unique_id"][0, 1] = -1
    made["timestamp_ns"][1, 1] = NO_STAMP
    assert filled(told(), made) == ([120, 120], [OPEN, OPEN])


@pytest.mark.parametrize("exposure_s", [math.nan, math.inf, -1.0, 1e300])
def test_exposure_times_that_cannot_be_are_no_defect(exposure_s):
    current_mA, _ = filled(told(), rows([[2.5]], exposure_s))
    assert math.isnan(current_mA[0]) or current_mA == [120]


@pytest.mark.parametrize(("unit", "expected"), [("A", 120_000), ("mA", 120), ("Volt", math.nan)])
def test_the_current_is_in_milliamperes(unit, expected):
    current_mA, _ = filled(told({"ring_current": unit}), rows([[2.5]]))
    assert current_mA == pytest.approx([expected], nan_ok=True)


def test_a_shutter_may_be_open_at_another_value():
    assert filled(told(open_when=0.0), rows([[2.5], [3.5]]))[1] == [CLOSED, OPEN]


def test_an_invalid_update_is_none_to_judge_by():
    conditions = told()
    conditions.add([Readback("ring_current", 7.0, 4 * SECOND, is_valid=False)])
    assert math.isnan(filled(conditions, rows([[4.5]]))[0][0])


def test_what_rows_cannot_be_judged_by_is_told():
    without, silent, wrong_unit, unasked = (
        Conditions({}, min_ring_current_mA=100),
        Conditions(UNITS, min_ring_current_mA=100),
        told({"ring_current": "Volt"}, min_ring_current_mA=100),
        told(),
    )
    for conditions in (without, silent, wrong_unit, unasked):
        conditions.fill(rows([[2.5]]))
    assert list(unasked.notes()) == []
    assert ["no channel 'ring_current' is recorded" in note for note in without.notes()] == [True]
    assert [note.split(":")[0] for note in silent.notes()] == [
        "no row is rejected for a ring current below 100 mA",
        "no row is rejected for a closed shutter",
    ]
    assert ["must be mA or A" in note for note in wrong_unit.notes()] == [True]


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(allow_nan=False)), max_size=200), st.integers(-1, 51))
def test_updates_may_come_in_any_order_of_their_stamps(updates, time):
    held = HeldValues()
    for stamp, value in updates:
        held.add(value, stamp)
    expected = [value for stamp, value in sorted(updates, key=lambda update: update[0]) if stamp <= time]
    found = float(held.at(np.array([time]))[0])
    assert found == expected[-1] if expected else math.isnan(found)


def test_rows_that_have_the_last_value_of_a_disconnected_channel_are_told_of():
    conditions = told()
    filled(conditions, rows([[1.5]]))
    conditions.gone = frozenset({"ring_current", "x"})
    assert filled(conditions, rows([[2.5], [2.8]]))[0] == [120, 120]
    conditions.gone = frozenset()
    filled(conditions, rows([[3.5]]))
    (said,) = conditions.notes()
    assert said == "channel 'ring_current' was disconnected during 2 rows, judged by the last value before"
