"""Faults of single frames in a scan of a made-up sample: found, and named; the structure of the sample is none."""

from __future__ import annotations

import numpy as np
import pytest
from scanned_rows import Scan

from stream_service.core.exposure import Flag
from stream_service.core.reason import Reason
from stream_service.qc import Evaluator
from stream_service.settings.quality import QualitySettings

ROW = 100


@pytest.fixture
def scan():
    return Scan()


def judged(scan, **settings):
    evaluator = Evaluator(QualitySettings(**settings), scan.frames.shape[1:])
    evaluator.add(scan.rows())
    return evaluator.verdicts()


def test_no_row_of_a_sound_scan_is_rejected(scan):
    verdicts = judged(scan)
    assert not verdicts.is_rejected.any()
    assert not verdicts.gates.any()


@pytest.mark.parametrize("flux", [0.05, 0.4, 0.7])
def test_a_beam_dump_is_told_by_the_intensity(scan, flux):
    scan.frames[ROW] = scan.exposed(ROW, flux)
    verdicts = judged(scan)
    assert np.flatnonzero(verdicts.is_rejected).tolist() == [ROW]
    assert verdicts.words(ROW).startswith("intensity -")
    assert verdicts.numbers[ROW, 0] == pytest.approx(flux - 1, abs=0.05)


def test_lines_of_a_raster_that_are_all_dark_are_found(scan):
    dumped = np.arange(8 * scan.side, 10 * scan.side)
    scan.frames[dumped] *= 0.5
    verdicts = judged(scan)
    assert np.flatnonzero(verdicts.is_rejected).tolist() == dumped.tolist()


def test_a_beam_jump_is_told_by_the_centre_of_mass(scan):
    scan.frames[ROW] = np.roll(scan.frames[ROW], 8, axis=1)
    verdicts = judged(scan)
    assert np.flatnonzero(verdicts.is_rejected).tolist() == [ROW]
    assert verdicts.words(ROW).startswith("centre of mass moved")


def test_a_blade_in_the_beam_makes_a_half_dark(scan):
    scan.frames[ROW, 32:] *= 0.1
    verdicts = judged(scan)
    assert verdicts.is_rejected[ROW]
    assert verdicts.words(ROW).startswith("lower half dark")


def test_a_half_that_was_not_read_is_empty(scan):
    scan.frames[ROW, :32] = 0
    verdicts = judged(scan)
    assert verdicts.gates[ROW] == 1 << Reason.PARTIAL
    assert verdicts.words(ROW) == "upper half empty"


def test_pixels_that_no_row_lights_are_no_partial_readout(scan):
    scan.frames[:, :16] = 0
    assert not judged(scan).gates.any()


def test_the_same_frame_twice_is_a_repeated_one(scan):
    scan.frames[ROW] = scan.frames[ROW - 1]
    verdicts = judged(scan)
    assert np.flatnonzero(verdicts.gates).tolist() == [ROW]
    assert verdicts.words(ROW) == f"the same frame as row {ROW - 1}"
    assert verdicts.score[ROW] == 1


def test_frames_without_light_do_not_repeat_one_another(scan):
    scan.frames[[ROW, ROW + 40]] = 0
    verdicts = judged(scan)
    assert not verdicts.gates.any()
    assert np.flatnonzero(verdicts.is_rejected).tolist() == [ROW, ROW + 40]
    assert verdicts.words(ROW).startswith("intensity -100 %")


def test_a_burst_of_hot_pixels_is_told_by_the_brightest(scan):
    scan.frames[ROW, ::20, ::20] = 60_000
    verdicts = judged(scan)
    assert verdicts.is_rejected[ROW]
    assert verdicts.reason[ROW] == Reason.HOT


def test_vibration_is_told_by_the_fine_structure(scan):
    for axis in (0, 1):
        scan.frames[ROW] = (
            np.roll(scan.frames[ROW], 1, axis) + scan.frames[ROW] + np.roll(scan.frames[ROW], -1, axis)
        ) / 3
    verdicts = judged(scan)
    assert verdicts.is_rejected[ROW]
    assert verdicts.reason[ROW] == Reason.FINE


def test_too_many_saturated_pixels_close_a_gate(scan):
    scan.n_saturated[ROW] = 0.02 * scan.frames[0].size
    verdicts = judged(scan)
    assert verdicts.words(ROW) == "2 % of the pixels saturated, more than 1 %"
    assert not judged(scan, max_saturated=0.1).gates.any()


def test_an_energy_off_that_of_most_rows_closes_a_gate(scan):
    scan.energy_eV[ROW] = 715
    assert judged(scan).words(ROW) == "energy 715 eV, not 710 eV"
    assert not judged(scan, energy_tolerance=0.01).gates.any()


def test_the_requested_energy_is_the_measure_where_there_is_one(scan):
    evaluator = Evaluator(QualitySettings(), scan.frames.shape[1:], energy_eV=720.0)
    evaluator.add(scan.rows())
    assert (evaluator.verdicts().gates == 1 << Reason.ENERGY).all()


@pytest.mark.parametrize("energy_eV", [0.0, -1.0])
def test_a_senseless_energy_of_all_rows_is_not_off_itself(scan, energy_eV):
    scan.energy_eV[:] = energy_eV
    assert not judged(scan).gates.any()


def test_an_energy_that_is_not_known_is_no_reason(scan):
    scan.energy_eV[:] = np.nan
    assert not judged(scan).gates.any()


@pytest.mark.parametrize(("x_m", "flags", "keep"), [(np.nan, 0, 1), (0.0, Flag.UNCERTAIN, 0), (0.0, Flag.SPREAD, 1)])
def test_a_row_without_a_place_is_rejected_and_no_measure_for_others(scan, x_m, flags, keep):
    rows = scan.rows()
    rows["x_m"][ROW] += x_m
    rows["flags"][ROW], rows["keep"][ROW] = flags, keep
    evaluator = Evaluator(QualitySettings(), scan.frames.shape[1:])
    evaluator.add(rows)
    verdicts = evaluator.verdicts()
    assert np.flatnonzero(verdicts.is_rejected).tolist() == [ROW]
    assert verdicts.words(ROW) == "position not to be trusted"


def test_ring_current_and_shutter_are_gates_where_they_are_known(scan):
    current_mA, is_open = np.full(len(scan.frames), 200.0), np.ones(len(scan.frames), bool)
    current_mA[ROW], is_open[ROW + 1], current_mA[ROW + 2] = 20, False, np.nan
    evaluator = Evaluator(QualitySettings(min_ring_current_mA=150), scan.frames.shape[1:])
    evaluator.add(scan.rows(), current_mA, is_open)
    verdicts = evaluator.verdicts()
    assert np.flatnonzero(verdicts.gates).tolist() == [ROW, ROW + 1]
    assert verdicts.words(ROW) == "ring current 20 mA, below 150 mA"
    assert verdicts.words(ROW + 1) == "shutter not open"


def test_an_edge_of_the_sample_is_no_fault(scan):
    scan.frames[scan.x_px < 7] *= 0.4
    assert not judged(scan).is_rejected.any()


def test_a_jump_and_a_slow_drift_of_the_light_are_healthy(scan):
    scan.frames *= np.linspace(1, 1.05, len(scan.frames), dtype=np.float32)[:, None, None]
    scan.frames[ROW:] *= 1.01
    assert not judged(scan).is_rejected.any()


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_few_rows_are_judged_without_a_fault(scan, n):
    evaluator = Evaluator(QualitySettings(), scan.frames.shape[1:])
    evaluator.add(scan.rows()[:n])
    verdicts = evaluator.verdicts()
    assert len(verdicts) == n
    assert not verdicts.is_rejected.any()


def test_rows_all_at_one_place_are_compared_with_each_other(scan):
    scan.frames[:] = scan.frames[:1] * np.random.default_rng(2).normal(1, 0.01, scan.frames.shape)
    scan.frames[ROW] *= 0.5
    rows = scan.rows()
    rows["x_m"] = rows["y_m"] = 0
    evaluator = Evaluator(QualitySettings(), scan.frames.shape[1:])
    evaluator.add(rows)
    assert np.flatnonzero(evaluator.verdicts().is_rejected).tolist() == [ROW]


def test_frames_too_small_for_cells_are_judged_by_their_features(scan):
    scan.frames = np.ascontiguousarray(scan.frames[:, 27:37, 27:37])
    scan.frames[ROW] *= 0.4
    assert np.flatnonzero(judged(scan).is_rejected).tolist() == [ROW]
