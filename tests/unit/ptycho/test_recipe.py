"""The PtyPy script: what it must say for every kind of file, and what it refuses. PtyPy is not needed for that."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recipe_parameters import OPTICS, Param, parameters

from stream_service.errors import ConfigError, InputFileError, SourceError, WriteError
from stream_service.ptycho.optics.illumination import near_field_illumination, optics_illumination
from stream_service.ptycho.optics.probe import optics_probe
from stream_service.ptycho.orientation.detector_orientation import Orientation
from stream_service.ptycho.ptypy.recipe import recipe_text, write_recipe
from stream_service.ptycho.ptypy.recipe_settings import Output, RecipeSettings, Start
from stream_service.ptycho.ptypy.scan_choices import ScanChoices
from stream_service.ptycho.scan_file import ScanFile
from stream_service.settings.optics import Optics
from stream_service.standard_file.schema.entry_tree import OPEN_KEY_CAPACITY
from stream_service.testing.example_file import write_example

KB = Optics(kind="kb", focal_length_m=(0.06, 0.1), aperture_m=(1.5e-3, 1.2e-3), defocus_m=-1e-5)


@pytest.fixture
def scan(tmp_path: Path) -> ScanFile:
    path = tmp_path / "scan_std.h5"
    write_example(path, 8, frame_shape=(64, 80), optics=OPTICS, pixel_m=75e-6, det_dist_m=0.05)
    return ScanFile.read(path)


def text_of(scan: ScanFile, settings: RecipeSettings | None = None, **options: Any) -> str:
    output = Output(scan.path.parent / "recon", "scan", options.pop("dump_interval", 0))
    return recipe_text(scan, settings or RecipeSettings(), optics_illumination(scan), output, **options)


def test_it_reads_every_key_as_ptypy_needs_it(scan: ScanFile, monkeypatch: pytest.MonkeyPatch) -> None:
    p = parameters(text_of(scan), monkeypatch)
    data = p["scans"].scan.data
    file = str(scan.path)
    assert p["scans"].scan.name == "BlockFull"
    assert data.name == "Hdf5Loader" and p["loaded"] == ["hdf5_loader"]
    assert data.intensities == {"file": file, "key": "/entry/data"}
    assert data.positions == {"file": file, "slow_key": "/entry/posy_m", "fast_key": "/entry/posx_m"}
    assert data.mask == {"file": file, "key": "/entry/mask", "invert": True}
    assert data.framefilter == {"file": file, "key": "/entry/keep"}
    assert data.recorded_energy == {"file": file, "key": "/entry/energy_eV", "multiplier": 1e-3}
    assert data.recorded_distance.key == "/entry/det_dist_m" and data.recorded_psize.key == "/entry/pixel_m"
    assert (data.shape, data.center, data.auto_center, data.orientation) == ((64, 64), (32, 40), False, None)
    assert not {"darkfield", "flatfield"} & data.keys(), "they were applied already"


def test_dm_is_polished_by_ml_within_the_iterations_asked_for(scan: ScanFile, monkeypatch: pytest.MonkeyPatch) -> None:
    engines = parameters(text_of(scan, RecipeSettings("DM", 50)), monkeypatch)["engines"]
    assert [(one.name, one.numiter) for one in engines.values()] == [("DM", 40), ("ML", 10)]
    assert [one.probe_support for one in engines.values()] == [None, None], "hard edges send light beyond PtyPy's 0.7"
    engines = parameters(text_of(scan, RecipeSettings("ML", 50)), monkeypatch)["engines"]
    assert [(one.name, one.numiter) for one in engines.values()] == [("ML", 50)]


def test_modes_positions_and_gpu_come_on_request(scan: ScanFile, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = RecipeSettings("DM", 50, n_modes=3, refine_positions=True, gpu=True)
    p = parameters(text_of(scan, settings), monkeypatch)
    assert p["scans"].scan.coherence == {"num_probe_modes": 3}
    assert p["scans"].scan.illumination.diversity["power"] == 0.1
    assert p["engines"].engine0.position_refinement["record"] is True
    assert [one.name for one in p["engines"].values()] == ["DM_cupy", "ML_cupy"]
    assert p["loaded"] == ["hdf5_loader", "cupy"]


@pytest.mark.parametrize("optics", [Optics.model_validate(OPTICS), KB], ids=["zone plate", "KB pair"])
def test_the_scripts_probe_is_that_of_the_optics(
    optics: Optics, scan: ScanFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = replace(scan, optics=optics)
    wave = parameters(text_of(scan), monkeypatch)["scans"].scan.illumination.model
    side = (64, 64)
    pixel_yx_m = scan.sample_pixel_yx_m(side)
    probe = optics_probe(optics, shape=side, pixel_yx_m=pixel_yx_m, wavelength_m=scan.wavelength_m)
    assert abs(np.vdot(wave, probe)) / np.linalg.norm(wave) == pytest.approx(1.0, abs=1e-5)


def test_following_reads_keys_and_knows_no_rejects(scan: ScanFile, monkeypatch: pytest.MonkeyPatch) -> None:
    text = text_of(scan, follow=True, dump_interval=10)
    data = parameters(text.partition("    # what PtyPy got")[0], monkeypatch)["scans"].scan.data
    assert data.name == "SwmrLoader" and "framefilter" not in data
    keys = {data.intensities.live_key, data.positions.live_slow_key, data.positions.live_fast_key}
    assert len(keys) == 3, "SwmrLoader reads one multi-chunk dataset wrong when it is opened several times"
    assert "np.savez" in text and "dump_%(engine)s" in text


def test_frames_that_grow_against_the_positions_are_turned_by_ptypy(
    scan: ScanFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = parameters(text_of(replace(scan, axis_signs=(-1, 1))), monkeypatch)["scans"].scan.data
    assert data.orientation == 2


def ptypy_takes(data: Param, frame: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """PtyPy 0.9: a square about the centre is cut out, from centre - side // 2 on; then it is turned."""
    side, centre = data.shape[0], data.center
    starts = [at - side // 2 for at in centre]
    assert min(starts) >= 0 and all(start + side <= n for start, n in zip(starts, frame.shape, strict=True))
    taken = frame[starts[0] : starts[0] + side, starts[1] : starts[1] + side]
    transpose, rows, columns = (data.orientation or 0) >> 2 & 1, (data.orientation or 0) >> 1 & 1, data.orientation or 0
    taken = taken.T if transpose else taken
    return taken[:: -1 if rows else 1, :: -1 if columns & 1 else 1]


@pytest.mark.parametrize("frame_shape", [(64, 80), (63, 79), (64, 79)])
@pytest.mark.parametrize("orientation", list(Orientation.all()))
def test_ptypy_has_the_axis_at_half_the_side_in_every_orientation(
    orientation: Orientation, frame_shape: tuple[int, int], scan: ScanFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    axis = frame_shape[0] // 2, frame_shape[1] // 2
    scan = replace(scan, frame_shape=frame_shape, center_px=(float(axis[0]), float(axis[1])), orientation=orientation)
    frame = np.zeros(frame_shape)
    frame[axis] = 1
    data = parameters(text_of(scan), monkeypatch)["scans"].scan.data
    taken = ptypy_takes(data, frame)
    side = data.shape[0]
    assert np.argwhere(taken).tolist() == [[side // 2, side // 2]]
    assert side in (62, 64), "the largest square there is"
    assert np.array_equal(taken, scan.upright.apply(frame[scan.square]))


@pytest.mark.parametrize("signs", [(-1, 1), (1, -1), (-1, -1)])
def test_frames_in_reverse_order_lose_two_pixels_and_not_the_axis(
    signs: tuple[int, int], scan: ScanFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = replace(scan, frame_shape=(64, 64), center_px=(32.0, 32.0), axis_signs=signs)
    data = parameters(text_of(scan), monkeypatch)["scans"].scan.data
    assert data.shape == (62, 62)
    assert data.center == (32 + (signs[0] < 0), 32 + (signs[1] < 0))


def test_an_axis_off_the_middle_takes_the_largest_square_about_it(
    scan: ScanFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = parameters(text_of(replace(scan, center_px=(30.0, 50.0))), monkeypatch)["scans"].scan.data
    assert (data.shape, data.center) == ((60, 60), (30, 50))


def test_near_field_has_the_effective_distance_and_pixel(scan: ScanFile, monkeypatch: pytest.MonkeyPatch) -> None:
    optics = Optics(propagation="near_field", defocus_m=3.65e-3)
    scan = replace(scan, optics=optics, det_dist_m=1.12, pixel_m=55e-6)
    output = Output(scan.path.parent, "scan")
    text = recipe_text(scan, RecipeSettings(), near_field_illumination(scan), output)
    p = parameters(text, monkeypatch)
    assert p["scans"].scan.propagation == "nearfield"
    assert p["scans"].scan.data.psize == pytest.approx(178.66e-9, rel=1e-4)
    assert p["scans"].scan.data.distance == pytest.approx(1.12 * 3.65e-3 / 1.12365, rel=1e-6)
    assert [one.probe_support for one in p["engines"].values()] == [None, None]


def test_going_on_takes_the_object_only_from_the_same_rows(scan: ScanFile, monkeypatch: pytest.MonkeyPatch) -> None:
    for same_rows in (True, False):
        text = text_of(scan, start=Start(Path("old.ptyr"), same_rows))
        with monkeypatch.context() as patch:
            p = parameters(text, patch)
        assert p["scans"].scan.illumination.model == "recon"
        assert ("sample" in p["scans"].scan) is same_rows


def test_a_script_is_written_once_and_leaves_the_data_alone(scan: ScanFile, tmp_path: Path) -> None:
    before = scan.path.read_bytes()
    out = tmp_path / "scan_recipe.py"
    write_recipe(scan.path, out, RecipeSettings(), ScanChoices(), force=False)
    ast.parse(out.read_text(encoding="utf-8"))
    with pytest.raises(WriteError, match="--force"):
        write_recipe(scan.path, out, RecipeSettings(), ScanChoices(), force=False)
    assert scan.path.read_bytes() == before


def test_what_cannot_be_reconstructed_is_refused_in_words(scan: ScanFile) -> None:
    with pytest.raises(ConfigError, match="too near the edge"):
        text_of(replace(scan, center_px=(2.0, 40.0)))
    with pytest.raises(ConfigError, match="2 rows to use of 8"):
        text_of(replace(scan, n_kept=2))
    with pytest.raises(ConfigError, match="not known at its start"):
        text_of(replace(scan, n_rows_expected=None), follow=True)
    for name in ("dm; import os", "FOO", "DMM", "DM_"):
        with pytest.raises(ConfigError, match="is not an engine of PtyPy: DM, RAAR"):
            RecipeSettings(name)
    with pytest.raises(ConfigError, match="no engine DM_serial for a GPU"):
        RecipeSettings("DM_serial", gpu=True)
    with pytest.raises(InputFileError, match="is still being written"):
        text_of(replace(scan, is_growing=True))


def test_a_scan_of_unknown_length_says_so(tmp_path: Path) -> None:
    write_example(tmp_path / "open_std.h5", 5, n_rows_expected=None)
    scan = ScanFile.read(tmp_path / "open_std.h5")
    assert scan.n_rows_expected is None and OPEN_KEY_CAPACITY > 5


def test_files_that_are_no_standard_files_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is not there"):
        ScanFile.read(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("no HDF5")
    with pytest.raises(SourceError, match="cannot be read as HDF5"):
        ScanFile.read(tmp_path / "text.h5")
