"""From the beam on the sample to the motors, for every way a stage can be mounted."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from ophyd.sim import make_fake_device

from ptychostream_devices.stage import SAMPLE_MOVES, ScanStage, to_stage_m
from stream_service.core.stage_map import StageMap

coefficients = st.floats(-2, 2)
positions = st.lists(st.tuples(st.floats(-1e-3, 1e-3), st.floats(-1e-3, 1e-3)), min_size=1, max_size=20)


def fake_stage(**options):
    stage = make_fake_device(ScanStage)("SIM:", name="stage", **options)
    for motor in (stage.x, stage.y):
        motor.motor_egu.sim_put("um")
        motor.user_setpoint.sim_set_limits((-100.0, 100.0))
    return stage


@given(st.lists(coefficients, min_size=4, max_size=4), positions)
def test_motors_bring_the_beam_to_where_the_service_will_say_it_was(matrix, beam_m):
    xx, xy, yx, yy = matrix
    assume(abs(xx * yy - xy * yx) > 0.1)
    back_m = [StageMap(xx, xy, yx, yy).beam_on_sample(x, y) for x, y in to_stage_m(beam_m, ((xx, xy), (yx, yy)))]
    np.testing.assert_allclose(back_m, beam_m, atol=1e-15)


def test_stage_that_moves_the_sample_goes_the_other_way():
    np.testing.assert_allclose(to_stage_m([(1e-6, -2e-6)], SAMPLE_MOVES), [(-1e-6, 2e-6)])


@pytest.mark.parametrize(
    ("x_unit", "y_unit", "motors"),
    [
        ("um", "um", (-1.0, 2.0)),
        ("mm", "mm", (-1e-3, 2e-3)),
        ("microns", "mm", (-1.0, 2e-3)),
        ("nm", "m", (-1e3, 2e-6)),
    ],
)
def test_motor_positions_are_in_the_motors_own_units(x_unit, y_unit, motors):
    stage = fake_stage()
    stage.x.motor_egu.sim_put(x_unit)
    stage.y.motor_egu.sim_put(y_unit)
    for motor in (stage.x, stage.y):
        motor.user_setpoint.sim_set_limits((-2000.0, 2000.0))
    np.testing.assert_allclose(stage.motor_positions([(1e-6, -2e-6)]), [motors])
    stage.stage()


def test_position_beyond_a_motors_limit_is_refused_before_anything_moves():
    with pytest.raises(ValueError, match=r"position 1 needs stage_y at -101 um"):
        fake_stage().motor_positions([(0.0, 0.0), (0.0, 101e-6)])


@pytest.mark.parametrize("unit", ["deg", "", "steps"])
def test_stage_that_counts_in_no_unit_of_a_length_is_refused(unit):
    stage = fake_stage()
    stage.y.motor_egu.sim_put(unit)
    for refused in (stage.stage, lambda: stage.motor_positions([(0.0, 0.0)])):
        with pytest.raises(
            ValueError, match=rf"SIM:Y\.EGU is '{unit}', no unit of a length: set it to m, mm, um or nm"
        ):
            refused()
