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


def test_motor_positions_are_micrometres():
    np.testing.assert_allclose(fake_stage().motor_positions_um([(1e-6, -2e-6)]), [(-1.0, 2.0)])


def test_position_beyond_a_motors_limit_is_refused_before_anything_moves():
    with pytest.raises(ValueError, match=r"position 1 needs stage_y at -101\.000 µm"):
        fake_stage().motor_positions_um([(0.0, 0.0), (0.0, 101e-6)])


def test_stage_that_counts_in_another_unit_is_refused():
    stage = fake_stage()
    stage.y.motor_egu.sim_put("mm")
    with pytest.raises(ValueError, match=r"SIM:Y\.EGU is 'mm'"):
        stage.stage()
