"""Pixels without a measurement are in no number of a run: gaps, dead pixels, NaN; live and offline alike, and told."""

from __future__ import annotations

from typing import Any

import corpus
import h5py
import numpy as np
import pytest
from pixel_runs import live, stored
from scripted_run import Bench

from stream_service.core.exposure import Flag
from stream_service.kernels.reference import moments

N, SHAPE = 12, (12, 16)
GAP = np.zeros(SHAPE, bool)
GAP[5:7], GAP[2, 3] = True, True
GAP_NOTE = "33 pixels hold 4294967295 in each of the first 5 frames: taken for gaps or dead pixels"
PIXEL_MASK = "/entry_1/instrument_1/detector_1/detectorSpecific/pixel_mask"


def frames_with(marker: float, dtype: str, n: int = N) -> np.ndarray[Any, Any]:
    frames = np.random.default_rng(2).poisson(20, (n, *SHAPE)).astype(dtype)
    frames[:, GAP] = marker
    return frames


def features_of(file: h5py.File) -> np.ndarray[Any, Any]:
    return np.column_stack([file[f"/entry/qc/features/{name}"] for name in ("intensity", "com_y", "com_x")])


@pytest.mark.parametrize(("dtype", "marker"), [("u4", 2**32 - 1), ("f4", np.nan), ("i4", -1), ("f8", np.inf)])
def test_gap_is_masked_stored_as_zero_and_in_no_number(tmp_path, dtype, marker):
    frames = frames_with(marker, dtype)
    file, notes = stored(tmp_path, frames)
    with file:
        data, mask = file["/entry/data"][()], file["/entry/mask"][()]
        np.testing.assert_array_equal(mask, GAP)
        np.testing.assert_array_equal(data, np.where(GAP, 0, frames))
        np.testing.assert_array_equal(features_of(file), [moments(row, mask) for row in data])
        assert file["/entry/keep"][()].all() and not file["/entry/qc/features/n_saturated"][()].any()
        assert set(np.unique(file[PIXEL_MASK][()])) == {0, 0x201}
        assert "33 pixels hold" in file["/entry/run/message"][()].decode()
    assert len([note for note in notes if note.startswith("33 pixels hold")]) == 1


def test_first_frame_that_was_never_written_hides_no_gap(tmp_path):
    frames = frames_with(65535, "u2")
    frames[0] = 0
    file, notes = stored(tmp_path, frames)
    with file:
        np.testing.assert_array_equal(file["/entry/mask"][()], GAP)
        np.testing.assert_array_equal(file["/entry/data"][()], np.where(GAP, 0, frames))
    assert any(note.startswith("33 pixels hold 65535") for note in notes)


@pytest.mark.parametrize("n", [1, 3, 5, 6])
def test_runs_of_any_length_store_every_frame(tmp_path, n):
    file, _ = stored(tmp_path, frames_with(2**32 - 1, "u4", n))
    with file:
        assert file["/entry/run/state"][()] == b"COMPLETE" and len(file["/entry/data"]) == n
        np.testing.assert_array_equal(file["/entry/mask"][()], GAP)


def test_pixels_taken_for_gaps_that_measure_later_are_told(tmp_path):
    frames = frames_with(65535, "u2", 40)
    frames[6:, 2, 3] = 300
    _, notes = stored(tmp_path, frames)
    (said,) = [note for note in notes if "in later frames" in note]
    assert said == (
        "1 pixel of 33 taken for gaps measures in later frames, and is masked all the same: if it was saturation, "
        "--gaps none and --sat are right"
    )


@pytest.mark.parametrize(("dtype", "marker"), [("u2", 65535), ("f4", np.nan)])
def test_gaps_that_stay_gaps_are_not_told_twice(tmp_path, dtype, marker):
    frames = frames_with(marker, dtype, 40)
    frames[7] = 0  # not written
    _, notes = stored(tmp_path, frames)
    assert not [note for note in notes if "in later frames" in note]


def test_marker_that_no_pixel_holds_is_told_beside_a_saturation_level(tmp_path):
    _, notes = stored(tmp_path, frames_with(65535, "u2"), sat=60000.0, gaps=20.5)
    assert any(note.startswith("no pixel holds 20.5 in each of the first 5 frames") for note in notes)


def test_gap_is_no_saturation(tmp_path):
    file, _ = stored(tmp_path, frames_with(65535, "u2"), sat=60000.0)
    with file:
        assert not file["/entry/qc/features/n_saturated"][()].any()
        np.testing.assert_array_equal(file["/entry/mask"][()], GAP)


def test_flat_is_normalised_without_the_gaps(tmp_path):
    flat = np.random.default_rng(5).uniform(90, 110, SHAPE)
    flat[GAP] = 1e6
    file, _ = stored(tmp_path, frames_with(2**32 - 1, "u4"), references={"flat": flat})
    with file:
        applied = file["/entry/flat"][()]
        np.testing.assert_allclose(applied[~GAP], flat[~GAP] / flat[~GAP].mean(), rtol=1e-6)
        np.testing.assert_array_equal(applied[GAP], 1)


def test_camera_that_saturates_in_all_frames_keeps_its_pixels_and_is_told(tmp_path):
    y, x = np.indices(SHAPE)
    beam = 3e5 * np.exp(-((y - 6) ** 2 + (x - 8) ** 2) / 8)
    frames = np.minimum(np.random.default_rng(2).poisson(beam, (N, *SHAPE)), 65535).astype("u2")
    file, notes = stored(tmp_path, frames)
    with file:
        np.testing.assert_array_equal(file["/entry/data"][()], frames)
        assert not file["/entry/mask"][()].any()
    assert any("may be saturation" in note for note in notes)
    file, notes = stored(tmp_path, frames, sat=65535.0)
    with file:
        np.testing.assert_array_equal(file["/entry/mask"][()], (frames == 65535).any(axis=0))
    assert not any("may be saturation" in note for note in notes)


def test_option_keeps_the_values_or_names_another(tmp_path):
    frames = frames_with(65535, "u2")
    file, notes = stored(tmp_path, frames, gaps="none")
    with file:
        np.testing.assert_array_equal(file["/entry/data"][()], frames)
    assert not any("gaps" in note for note in notes)
    frames[:, 0, 0] = 7
    file, _ = stored(tmp_path, frames, gaps=7)
    with file:
        assert np.argwhere(file["/entry/mask"][()]).tolist() == [[0, 0]]


@pytest.mark.parametrize(("dtype", "marker"), [("f4", np.nan), ("u4", 2**32 - 1)])
@pytest.mark.parametrize("row", [0, 7])
def test_frame_without_a_measurement_is_stored_and_not_used(tmp_path, dtype, marker, row):
    frames = frames_with(marker, dtype)
    frames[row] = marker
    file, notes = stored(tmp_path, frames)
    with file:
        assert np.flatnonzero(file["/entry/keep"][()] == 0).tolist() == [row]
        assert file["/entry/frames/flags"][row] == Flag.INVALID
        assert not file["/entry/data"][row].any()
        np.testing.assert_array_equal(file["/entry/mask"][()], GAP)
    assert any(note.startswith(f"1 row is not used (the first is row {row})") for note in notes)


@pytest.mark.parametrize(("dtype", "marker"), [("u4", 2**32 - 1), ("i4", 2**31 - 1), ("f4", 2.0**32)])
def test_frame_without_a_measurement_is_no_saturation(tmp_path, dtype, marker):
    frames = frames_with(20, dtype)
    frames[3, 9, 9], frames[7] = 5000, marker
    file, notes = stored(tmp_path, frames, sat=1000.0)
    with file:
        assert np.flatnonzero(file["/entry/keep"][()] == 0).tolist() == [7]
        assert np.argwhere(file["/entry/mask"][()]).tolist() == [[9, 9]]
        assert np.flatnonzero(file["/entry/qc/features/n_saturated"][()]).tolist() == [3]
    assert any(note.startswith("0.521 % of the pixels (1 of 192) are saturated") for note in notes)


@pytest.mark.parametrize(("dtype", "settings"), [("i2", {}), ("i4", {"sat": 1000.0})])
def test_frame_of_markers_is_told_as_one(tmp_path, dtype, settings):
    frames = frames_with(20, dtype)
    frames[7] = -1
    _, notes = stored(tmp_path, frames, **settings)
    said = "1 row is not used (the first is row 7), because all pixels of the frames hold a marker"
    assert said in notes


def test_few_pixels_that_are_no_number_in_some_frames_are_masked(tmp_path):
    frames = frames_with(20, "f4")
    frames[7, 9, 9] = np.nan
    file, notes = stored(tmp_path, frames)
    with file:
        assert file["/entry/keep"][()].all()
        assert np.argwhere(file["/entry/mask"][()]).tolist() == [[9, 9]]
        assert file["/entry/data"][7, 9, 9] == 0 and np.isfinite(features_of(file)).all()
    assert "1 pixel is masked (0 in 1 row), because there the frames are not a number" in notes


def test_frame_with_many_such_pixels_is_not_used_and_spoils_no_mask(tmp_path):
    frames = frames_with(20, "f4")
    frames[7, :3] = np.nan
    file, _ = stored(tmp_path, frames)
    with file:
        assert np.flatnonzero(file["/entry/keep"][()] == 0).tolist() == [7]
        assert not file["/entry/mask"][()].any()


def test_masked_pixel_that_is_no_number_now_and_then_is_stored_as_zero(tmp_path):
    mask, frames = np.zeros(SHAPE, "u1"), frames_with(20, "f4")
    mask[9, 9], frames[3:5, 9, 9] = 1, np.nan
    file, _ = stored(tmp_path, frames, references={"mask": mask})
    with file:
        assert file["/entry/keep"][()].all() and file["/entry/data"][4, 9, 9] == 0
        assert file["/entry/data"][5, 9, 9] == frames[5, 9, 9]


@pytest.mark.parametrize("options", [{"bin": 2}, {"rotate": 90, "flip": "v"}, {"roi": (8, 8)}])
def test_geometry_moves_the_gaps_with_the_pixels(tmp_path, options):
    file, _ = stored(tmp_path, frames_with(2**32 - 1, "u4"), **options)
    with file:
        assert file["/entry/data"][()].max() < 200
        assert not file["/entry/data"][()][:, file["/entry/mask"][()] == 1].any()


def test_live_run_masks_gaps_and_says_so_at_once_and_in_the_file(tmp_path):
    frames = frames_with(2**32 - 1, "u4")
    bench, said = live(tmp_path, frames)
    assert GAP_NOTE in said[0] and GAP_NOTE in bench.run.message
    with bench.file() as file:
        np.testing.assert_array_equal(file["/entry/mask"][()], GAP)
        np.testing.assert_array_equal(file["/entry/data"][()], np.where(GAP, 0, frames))
        assert GAP_NOTE in file["/entry/run/message"][()].decode()
        assert file["/entry/run/state"][()] == b"COMPLETE"
    offline, _ = stored(tmp_path, frames)
    with offline, bench.file() as file:
        for name in ("data", "mask", "qc/features/intensity", "qc/features/com_x"):
            np.testing.assert_array_equal(offline[f"/entry/{name}"][()], file[f"/entry/{name}"][()])


@pytest.mark.parametrize("n", [1, 3])
def test_live_run_shorter_than_the_first_frames_has_all_its_rows(tmp_path, n):
    bench, _ = live(tmp_path, frames_with(2**32 - 1, "u4", n))
    assert bench.rows() == list(range(1, n + 1))


def test_live_run_that_is_aborted_early_keeps_the_frames_that_came(tmp_path):
    bench = Bench(tmp_path, n_positions=N)
    pixels = frames_with(2**32 - 1, "u4")
    bench.play([corpus.good(1, pixels=pixels[0]), corpus.good(2, pixels=pixels[1])], bench.settles(), bench.run.abort)
    assert bench.rows() == [1, 2]


def test_request_decides_what_a_gap_is(tmp_path):
    bench, said = live(tmp_path, frames_with(2**32 - 1, "u4"), gaps="none")
    assert "gaps" not in said[0]
    with bench.file() as file:
        assert file["/entry/keep"][()].all() and file["/entry/data"][()].max() == 2.0**32


def test_frames_without_markers_are_readable_at_once(tmp_path):
    bench, rows = Bench(tmp_path, n_positions=2), []
    pixels = frames_with(20, "u2")
    bench.play(
        [corpus.good(1, pixels=pixels[0])],
        bench.settles(),
        lambda: rows.append(bench.run.status().rows),
        [corpus.good(2, pixels=pixels[1])],
    )
    assert rows == [1]
