"""Faults of frames that are given, simulated ones and those of a real beamline."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from iocsim.detector.faulty_frames import FaultyFrames
from iocsim.detector.frames import Conditions
from iocsim.physics.beamline import BeamlineConfig, make_beamline
from iocsim.physics.drifts import Drifts
from iocsim.physics.frame_faults import FaultKind, FrameFaults
from iocsim.physics.given_frames import apply_faults
from iocsim.physics.pixel_faults import GIVEN_KINDS, Sensor
from iocsim.unique_ids import FaultError

RECORDED = Path(os.environ.get("PTYCHOSTREAM_TEST_DATA", "../shared/data")) / "petra3_p25_nearfield.cxi"
IDS = {kind: frozenset({3 * number + 2}) for number, kind in enumerate(GIVEN_KINDS)}


@pytest.fixture(scope="module", params=["simulated", "recorded"])
def frames(request) -> np.ndarray:
    if request.param == "recorded":
        if not RECORDED.exists():
            pytest.skip(f"{RECORDED} is absent")
        with h5py.File(RECORDED) as file:
            return file["entry_1/data_1/data"][()]
    rng = np.random.default_rng(1)
    y, x = np.indices((100, 100)) - 50
    speckle = rng.gamma(4.0, 200.0, (40, 100, 100))
    return rng.poisson(speckle * np.exp(-(x**2 + y**2) / 400)).astype(np.uint16)


def fault(frames, kind):
    made = apply_faults(frames, 4, fault_ids=IDS)
    (row,) = np.flatnonzero(made.kinds == kind)
    return made.magnitudes[row], frames[row].astype(float), made.frames[row].astype(float), made.frames[row - 1]


def test_what_has_no_label_is_as_it_was_given(frames):
    before = frames.copy()
    made = apply_faults(frames, 4, fault_ids=IDS)
    np.testing.assert_array_equal(frames, before)
    hit = made.kinds != ""
    assert hit.sum() == len(GIVEN_KINDS) and (np.isnan(made.magnitudes) == ~hit).all()
    np.testing.assert_array_equal(made.frames[~hit], frames[~hit])
    assert (made.frames[hit] != frames[hit]).any(axis=(1, 2)).all()
    assert made.frames.dtype == frames.dtype


def test_light_is_taken_away_by_the_share_of_the_label(frames):
    magnitude, was, made, _ = fault(frames, FaultKind.BEAM_DUMP)
    assert made.sum() / was.sum() - 1 == pytest.approx(magnitude, abs=0.01)
    share, was, made, _ = fault(frames, FaultKind.HALF_SHUT)
    assert 1 - made.sum() / was.sum() == pytest.approx(share, abs=0.06)


def test_a_dump_leaves_poisson_noise():
    flat = np.random.default_rng(2).poisson(100.0, (2, 200, 200)).astype(np.int32)
    made = apply_faults(flat, fault_ids={FaultKind.BEAM_DUMP: frozenset({2})})
    dumped = made.frames[1]
    assert dumped.var() == pytest.approx(dumped.mean(), rel=0.05)


def test_a_jump_moves_every_pixel_by_the_label(frames):
    magnitude, was, made, _ = fault(frames, FaultKind.BEAM_JUMP)
    moved = np.fft.ifft2(np.fft.fft2(made) * np.conj(np.fft.fft2(was))).real
    shift = np.array(np.unravel_index(np.argmax(moved), moved.shape))
    shift = (shift + 50) % 100 - 50
    assert np.hypot(*shift) == pytest.approx(magnitude, abs=1.0)


def test_vibration_blurs_and_leaves_the_light_given(frames):
    _, was, made, _ = fault(frames, FaultKind.VIBRATION)
    assert made.sum() == pytest.approx(was.sum(), rel=0.05)
    assert np.abs(np.diff(made)).sum() < np.abs(np.diff(was)).sum()


def test_saturated_pixels_read_the_largest_value(frames):
    _, _, made, _ = fault(frames, FaultKind.SATURATION)
    largest = 65535 if frames.dtype == np.uint16 else frames.max()
    assert made.max() == largest
    assert (made == largest).sum() > 1


def test_readout_faults_are_those_of_simulated_frames(frames):
    share, was, made, _ = fault(frames, FaultKind.PARTIAL_READOUT)
    assert ((made == 0).all(axis=1) & (was != 0).any(axis=1)).sum() == pytest.approx(share * 100, abs=12)
    _, _, repeated, before = fault(frames, FaultKind.REPEATED)
    np.testing.assert_array_equal(repeated, before)
    n_pixels, was, made, _ = fault(frames, FaultKind.HOT_PIXELS)
    assert (made > was).sum() == pytest.approx(n_pixels, rel=0.2)


def test_five_percent_of_two_hundred_frames_are_ten_by_seed(frames):
    many = np.concatenate([frames] * 5)[:200]
    made, again, other = (apply_faults(many, seed) for seed in (1, 1, 2))
    assert (made.kinds != "").sum() == 10
    np.testing.assert_array_equal(made.frames, again.frames)
    assert made.kinds.tolist() != other.kinds.tolist()


def test_a_wrong_energy_of_given_frames_is_refused_in_a_sentence(frames):
    with pytest.raises(FaultError, match="wrong_energy cannot be made of frames that are given: use beam_dump"):
        apply_faults(frames, kinds=["wrong_energy"])


def test_the_dark_of_the_sensor_is_no_light():
    frames = np.full((3, 50, 50), 500, np.uint16)
    sensor = Sensor(65535.0, dark_ADU=100.0, gain_ADU_per_photon=4.0)
    made = apply_faults(frames, fault_ids={FaultKind.BEAM_DUMP: frozenset({2})}, sensor=sensor)
    assert (made.frames[1].mean() - 100) / 400 - 1 == pytest.approx(made.magnitudes[1], abs=0.01)
    assert made.frames[1].min() >= 100


def test_frames_of_floating_point_are_scaled():
    frames = np.full((3, 50, 50), 0.5, np.float32)
    made = apply_faults(frames, fault_ids={FaultKind.BEAM_DUMP: frozenset({2})})
    np.testing.assert_allclose(made.frames[1], 0.5 * (1 + made.magnitudes[1]), rtol=1e-6)
    assert made.frames.dtype == np.float32


@pytest.mark.parametrize("kind", GIVEN_KINDS)
def test_a_replayed_recording_shows_each_fault_in_its_own_frame(tmp_path, kind):
    recording = tmp_path / "scan.h5"
    frames = np.random.default_rng(3).poisson(300.0, (4, 40, 50)).astype(np.int32)
    with h5py.File(recording, "w") as file:
        file["entry/data"] = frames
        file["entry/pos"] = np.arange(8.0).reshape(4, 2) * 1e-6
        file["entry/energy_eV"], file["entry/det_dist_m"], file["entry/pixel_m"] = 710.0, 0.1, 75e-6
    beamline = make_beamline(BeamlineConfig(replay=recording))
    assert beamline.frames_are_given
    assert beamline.sensor.saturation_ADU == frames.max()
    faults = FrameFaults(ids={kind: frozenset({3})})
    source = FaultyFrames(beamline.frames, beamline.sensor, lambda: faults, Drifts)
    places = [Conditions(2e-6 * row, 1e-6 + 2e-6 * row, 710.0, 200.0, shutter_open=True) for row in range(4)]
    taken = [source.take(row + 1, row, 0.02, there) for row, there in enumerate(places)]
    assert [one.fault.kind if one.fault else "" for one in taken] == ["", "", kind, ""]
    assert [bool((one.frame != frame).any()) for one, frame in zip(taken, frames, strict=True)] == [0, 0, 1, 0]
    beamline.close()
