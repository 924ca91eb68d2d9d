"""A whole faulty scan: each fault shows in its frame by the magnitude of its label, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from iocsim.detector.frames import Conditions, SimulatedFrames
from iocsim.physics.beamline import BeamlineConfig, make_beamline
from iocsim.physics.deviation import Deviation
from iocsim.physics.faulty_scan import FaultyScan, faulty_scan, positions_m
from iocsim.physics.frame_faults import ALL_KINDS, HARMONIC_HALF_WIDTH, FaultKind

N, SHAPE, SEED = 40, (128, 128), 5
IDS = {kind: frozenset({4 * number + 3}) for number, kind in enumerate(ALL_KINDS)}


def scan_of(**options) -> FaultyScan:
    return faulty_scan(n_positions=N, shape=SHAPE, seed=SEED, healthy=False, **options)


@pytest.fixture(scope="module")
def sound() -> FaultyScan:
    return scan_of(fault_share=0.0)


@pytest.fixture(scope="module")
def faulty() -> FaultyScan:
    return scan_of(fault_ids=IDS)


def pair(sound, faulty, kind):
    """Magnitude of the one fault of a kind, its frame as it should have been and as it is, without dark."""
    (row,) = np.flatnonzero(faulty.kinds == kind)
    good = faulty.mask == 0
    return faulty.magnitudes[row], *((scan.frames[row] - scan.dark) * good for scan in (sound, faulty))


def moments(image):
    rows, columns = np.indices(image.shape)
    y, x = (float((axis * image).sum() / image.sum()) for axis in (rows, columns))
    spread = ((rows - y) ** 2 + (columns - x) ** 2) * image
    return y, x, float(np.sqrt(spread.sum() / image.sum()))


def test_frames_without_a_label_are_those_of_the_sound_scan(sound, faulty):
    assert not sound.is_faulty.any() and np.isnan(sound.magnitudes).all()
    assert faulty.is_faulty.sum() == len(ALL_KINDS)
    assert np.isfinite(faulty.magnitudes[faulty.is_faulty]).all()
    np.testing.assert_array_equal(sound.frames[~faulty.is_faulty], faulty.frames[~faulty.is_faulty])
    assert (sound.frames[faulty.is_faulty] != faulty.frames[faulty.is_faulty]).any(axis=(1, 2)).all()


def test_a_beam_dump_takes_the_share_that_its_label_says(sound, faulty):
    magnitude, was, made = pair(sound, faulty, FaultKind.BEAM_DUMP)
    assert made.sum() / was.sum() - 1 == pytest.approx(magnitude, abs=0.01)


def test_a_half_shut_shutter_cuts_the_bright_field_cone_along_its_edge(sound, faulty):
    magnitude, was, made = pair(sound, faulty, FaultKind.HALF_SHUT)
    assert 1 - made.sum() / was.sum() == pytest.approx(magnitude, abs=0.1)  # by what the sample absorbs here and there
    cone = np.abs(np.subtract.outer(np.arange(128) - 64, np.zeros(128)))
    cone = np.hypot(cone, cone.T) < 27
    lit = made[cone] > 0.3 * was[cone]
    assert 0.2 < lit.mean() < 0.8
    np.testing.assert_array_less(made[cone][~lit].sum(), 0.05 * was[cone][~lit].sum())


def test_a_beam_jump_moves_the_pattern_by_the_pixels_of_its_label(sound, faulty):
    magnitude, was, made = pair(sound, faulty, FaultKind.BEAM_JUMP)
    (y, x, _), (y_was, x_was, _) = moments(made), moments(was)
    assert np.hypot(y - y_was, x - x_was) == pytest.approx(magnitude, abs=0.4)


def test_vibration_blurs_and_leaves_the_light(sound, faulty):
    magnitude, was, made = pair(sound, faulty, FaultKind.VIBRATION)
    assert made.sum() == pytest.approx(was.sum(), rel=0.1)
    sharpness = [float(np.abs(np.diff(image, axis=0)).sum() / image.sum()) for image in (was, made)]
    assert sharpness[1] < 0.8 * sharpness[0]
    assert moments(made)[2] > moments(was)[2]
    assert magnitude >= 2.0


def test_saturation_clips_pixels_at_the_largest_value(sound, faulty):
    (row,) = np.flatnonzero(faulty.kinds == FaultKind.SATURATION)
    assert (faulty.frames[row] == faulty.saturation_ADU).sum() >= 1
    assert faulty.frames[~faulty.is_faulty].max() < 0.8 * faulty.saturation_ADU
    magnitude, was, made = pair(sound, faulty, FaultKind.SATURATION)
    unclipped = (was > 0.1 * was.max()) & (made < 0.9 * faulty.saturation_ADU)
    factor = np.median(made[unclipped] / was[unclipped])
    assert factor * was.max() / faulty.saturation_ADU == pytest.approx(magnitude, rel=0.1)


def test_a_partial_readout_is_a_band_of_rows_that_read_nothing(sound, faulty):
    (row,) = np.flatnonzero(faulty.kinds == FaultKind.PARTIAL_READOUT)
    empty = np.flatnonzero((faulty.frames[row] == 0).all(axis=1))
    assert len(empty) == round(faulty.magnitudes[row] * 128)
    assert np.ptp(empty) == len(empty) - 1
    rest = np.delete(np.arange(128), empty)
    np.testing.assert_array_equal(faulty.frames[row][rest], sound.frames[row][rest])


def test_a_repeated_frame_is_bit_for_bit_the_one_before(faulty):
    (row,) = np.flatnonzero(faulty.kinds == FaultKind.REPEATED)
    np.testing.assert_array_equal(faulty.frames[row], faulty.frames[row - 1])


def test_a_burst_has_as_many_hot_pixels_as_its_label_says(sound, faulty):
    (row,) = np.flatnonzero(faulty.kinds == FaultKind.HOT_PIXELS)
    higher = faulty.frames[row] > sound.frames[row]
    assert higher.sum() == pytest.approx(faulty.magnitudes[row], abs=5)  # where the pattern is as bright, it stays
    assert faulty.frames[row][higher].min() >= 0.19 * faulty.saturation_ADU
    assert (faulty.frames[row] >= sound.frames[row]).all()


def test_a_wrong_energy_is_read_back_and_scales_pattern_and_flux(sound, faulty):
    (row,) = np.flatnonzero(faulty.kinds == FaultKind.WRONG_ENERGY)
    magnitude, was, made = pair(sound, faulty, FaultKind.WRONG_ENERGY)
    assert faulty.energy_eV[row] == pytest.approx(710.0 * (1 + magnitude))
    assert set(np.delete(faulty.energy_eV, row)) == {710.0}
    assert made.sum() / was.sum() == pytest.approx(1 / (1 + (magnitude / HARMONIC_HALF_WIDTH) ** 2), rel=0.15)
    widths = [float(np.sqrt((image > 0.2 * np.percentile(image, 99)).sum())) for image in (was, made)]
    assert np.sign(widths[0] - widths[1]) == np.sign(magnitude)  # shorter waves, smaller cone


def test_every_fault_shows_for_each_of_four_seeds():
    for seed in range(10, 14):
        scan = faulty_scan(n_positions=20, shape=(64, 64), seed=seed, fault_share=0.5, healthy=False)
        clean = faulty_scan(n_positions=20, shape=(64, 64), seed=seed, fault_share=0.0, healthy=False)
        differs = (scan.frames != clean.frames).any(axis=(1, 2))
        np.testing.assert_array_equal(differs, scan.is_faulty)


def test_same_seed_same_scan_and_another_seed_another():
    first, again, other = (faulty_scan("raster", n_positions=30, shape=(64, 64), seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.frames, again.frames)
    assert first.kinds.tolist() == again.kinds.tolist()
    assert (first.frames != other.frames).any()


@pytest.mark.parametrize("trajectory", ["fermat", "raster"])
@pytest.mark.parametrize("contrast", ["strong", "weak"])
def test_a_healthy_scan_varies_and_has_no_label(trajectory, contrast):
    scan = faulty_scan(trajectory, contrast, 60, (64, 64), 3, fault_share=0.0)
    assert not scan.is_faulty.any() and np.isnan(scan.magnitudes).all()
    totals = (scan.frames - scan.dark).sum(axis=(1, 2))
    assert totals.min() > 0.3 * np.median(totals)
    assert totals.std() > 0.02 * np.median(totals)
    assert scan.frames.max() < scan.saturation_ADU
    assert set(scan.energy_eV) == {710.0}


def test_two_percent_of_six_hundred_positions_are_twelve_faults_of_nine_kinds():
    scan = faulty_scan(n_positions=600, shape=(32, 32), fault_share=0.02)
    assert scan.is_faulty.sum() == 12
    assert set(scan.kinds) - {""} == set(ALL_KINDS)


def test_raster_and_spiral_cover_the_same_area():
    for trajectory in ("fermat", "raster"):
        x_m, y_m = np.array(positions_m(trajectory, 400, 0.15e-6)).T
        assert abs(x_m.mean()) < 0.1e-6 and abs(y_m.mean()) < 0.1e-6
        area_m2 = 400 * np.pi * 0.15e-6**2
        assert (np.ptp(x_m) * np.ptp(y_m)) == pytest.approx(
            area_m2 * (4 / np.pi if trajectory == "fermat" else 1), rel=0.15
        )


CONFIG = BeamlineConfig(shape=(64, 80), scan_range_x_m=4e-6, scan_range_y_m=4e-6)


def test_weak_contrast_scatters_less_and_empty_regions_let_all_light_pass():
    def object_of(**options):
        return np.abs(make_beamline(replace(CONFIG, **options)).sample.transmission)

    strong, weak, patchy, rimmed = (
        object_of(),
        object_of(contrast=0.15),
        object_of(empty_share=0.3),
        object_of(empty_share=0.3, thick_edges=True),
    )
    assert weak.std() < 0.3 * strong.std()
    assert (patchy > 0.999).mean() == pytest.approx(0.3, abs=0.12)
    assert (patchy > 0.999).sum() > 1.5 * (strong > 0.999).sum()
    assert rimmed.min() < 0.6 < 0.6001 + patchy.min()
    assert ((rimmed > 0.999) & (patchy < 0.999)).sum() == 0


@pytest.mark.parametrize("change", [{"contrast": 0.0}, {"empty_share": 1.0}, {"empty_share": -0.1}])
def test_samples_that_cannot_be_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        make_beamline(replace(CONFIG, **change))


def test_a_pattern_that_moves_keeps_what_stays_on_the_detector():
    frames = make_beamline(CONFIG).frames
    assert isinstance(frames, SimulatedFrames)
    still = frames.diffraction(0.0, 0.0, 710.0)
    moved = frames.diffraction(0.0, 0.0, 710.0, Deviation(pointing_yx_px=(5.0, -3.0)))
    np.testing.assert_allclose(moved[5:, :-3], still[:-5, 3:], atol=1e-7)
    assert not moved[:5].any() and not moved[:, -3:].any()


def test_dark_drift_lifts_every_pixel_alike():
    frames = make_beamline(CONFIG).frames
    there = Conditions(0.0, 0.0, 710.0, 200.0, shutter_open=True)
    plain = frames.frame(1, 0.02, there).astype(int)
    drifted = frames.frame(1, 0.02, replace(there, deviation=Deviation(dark_ADU=3.0))).astype(int)
    assert set(np.unique(drifted - plain)) <= {2, 3, 4}  # rounding
    assert (drifted - plain).mean() == pytest.approx(3.0, abs=0.01)
