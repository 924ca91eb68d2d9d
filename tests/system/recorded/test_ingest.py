"""`ptychostream ingest hdf5`: files others wrote become standard files; what cannot be is one sentence and no file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from stream_service.cli import main as cli
from stream_service.errors import PtychostreamError
from stream_service.settings.beamlines import profile_path
from stream_service.standard_file.rules.validate import validate_file

N, NY, NX = 7, 6, 8
J_PER_EV = 1.602176634e-19


@pytest.fixture
def frames() -> np.ndarray:
    return np.random.default_rng(1).poisson(50, (N, NY, NX)).astype(np.uint16)


@pytest.fixture
def positions_m() -> np.ndarray:
    return np.random.default_rng(2).normal(0, 1e-6, (N, 2))


def write_seed_file(path: Path, frames: np.ndarray, positions_m: np.ndarray, **more: Any) -> Path:
    """The `/entry` schema as the user's ingestion kit gives it."""
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry")
        for name, value in {
            "data": frames,
            "pos": positions_m,
            "energy_eV": 710.0,
            "det_dist_m": 0.1,
            "pixel_m": 75e-6,
            "exposure_s": 0.02,
            **more,
        }.items():
            if value is not None:
                entry[name] = value
    return path


def write_cxi_file(path: Path, frames: np.ndarray, translation_m: np.ndarray, energy: float, units: str | None) -> Path:
    with h5py.File(path, "w") as file:
        file["cxi_version"] = 160
        detector = file.create_group("entry_1/instrument_1/detector_1")
        detector["data"], detector["distance"], detector["x_pixel_size"] = frames, 0.1, 75e-6
        detector["mask"] = np.where(np.arange(NY * NX).reshape(NY, NX) == 3, 0x1004, 0x1000).astype(np.uint32)
        file["entry_1/instrument_1/source_1/energy"] = energy
        if units:
            file["entry_1/instrument_1/source_1/energy"].attrs["units"] = units
        file["entry_1/sample_1/geometry_1/translation"] = translation_m
        file["entry_1/data_1/data"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/data")
    return path


def ingest(source: Path, output: Path, *options: str) -> str:
    """Run the command; what it said, or the error it raised."""
    result = CliRunner().invoke(cli.app, ["ingest", "hdf5", "--input", str(source), "--output", str(output), *options])
    if isinstance(result.exception, PtychostreamError):
        raise result.exception
    assert result.exit_code == ("INCOMPLETE: " in result.output), result.output
    return result.output


def errors_in(path: Path) -> list[str]:
    return [finding.message for finding in validate_file(path) if finding.level == "error"]


def test_entry_file_with_references_is_corrected(tmp_path: Path, frames: np.ndarray, positions_m: np.ndarray) -> None:
    dark, flat = np.full((NY, NX), 5.0), np.linspace(50, 150, NY * NX).reshape(NY, NX)
    mask = np.zeros((NY, NX), np.uint8)
    mask[2, 3] = 1
    source = write_seed_file(tmp_path / "seed.h5", frames, positions_m, dark=dark, flat=flat, mask=mask)
    ingest(source, tmp_path / "out.h5")
    response = (flat - dark) / (flat - dark)[mask == 0].mean()
    with h5py.File(tmp_path / "out.h5") as file:
        expected = np.maximum(frames - dark, 0) / response
        np.testing.assert_allclose(file["/entry/data"][()][:, mask == 0], expected[:, mask == 0], rtol=1e-5)
        assert np.array_equal(file["/entry/pos"][()], positions_m)
        assert np.array_equal(file["/entry/mask"][()], mask)
        assert file["/entry/dark"].attrs["applied"] and file["/entry/flat"].attrs["applied"]
    assert errors_in(tmp_path / "out.h5") == []


def test_standard_file_is_not_corrected_twice(tmp_path: Path, frames: np.ndarray, positions_m: np.ndarray) -> None:
    dark = np.full((NY, NX), 5.0)
    ingest(write_seed_file(tmp_path / "seed.h5", frames, positions_m, dark=dark), tmp_path / "once.h5")
    ingest(tmp_path / "once.h5", tmp_path / "twice.h5")
    with h5py.File(tmp_path / "once.h5") as once, h5py.File(tmp_path / "twice.h5") as twice:
        assert np.array_equal(once["/entry/data"][()], twice["/entry/data"][()])
        assert np.array_equal(once["/entry/pos"][()], twice["/entry/pos"][()])


@pytest.mark.further(but=2)
@pytest.mark.parametrize(
    ("energy", "units"),
    [(710 * J_PER_EV, None), (710 * J_PER_EV, "J"), (710.0, None), (710.0, "eV"), (0.71, "keV")],
)
def test_cxi_energy_is_understood_in_any_unit(
    tmp_path: Path, frames: np.ndarray, positions_m: np.ndarray, energy: float, units: str | None
) -> None:
    translation_m = np.column_stack([-positions_m, np.zeros(N)])
    source = write_cxi_file(tmp_path / "scan.cxi", frames, translation_m, energy, units)
    ingest(source, tmp_path / "out.h5")
    with h5py.File(tmp_path / "out.h5") as file:
        assert file["/entry/energy_eV"][()] == pytest.approx(710)
        assert np.array_equal(file["/entry/data"][()], frames)
        assert np.array_equal(file["/entry/pos"][()], positions_m)
        mask = file["/entry/mask"][()]
        assert mask.sum() == 1 and mask.reshape(-1)[3] == 1, "'has signal' is not a bad pixel"


def test_incomplete_last_group_is_accounted_for(tmp_path: Path, frames: np.ndarray, positions_m: np.ndarray) -> None:
    source = write_seed_file(tmp_path / "seed.h5", frames, positions_m)
    said = ingest(source, tmp_path / "out.h5", "--frames-per-pos", "3", "--grouping", "sum")
    assert "6 of 7 frames stored in 2 rows, 1 in groups that never filled" in said
    with h5py.File(tmp_path / "out.h5") as file:
        assert np.array_equal(file["/entry/data"][1], frames[3:6].sum(axis=0))
        np.testing.assert_allclose(file["/entry/pos"][1], positions_m[3:6].mean(axis=0))
        assert int(file["/entry/ledger/incomplete"][()]) == 1
        assert file["/entry/exposure_s"][()] == pytest.approx(0.06)


@pytest.mark.further(but=3)
@pytest.mark.parametrize(
    ("more", "options", "sentence"),
    [
        ({"pos": None}, [], "no positions"),
        ({"pos": np.zeros((3, 2))}, [], "7 frames but 3 positions"),
        ({"pixel_m": None}, [], "give --pixel-m"),
        ({"mask": np.zeros((2, 2))}, [], r"/entry/mask has shape \(2, 2\)"),
        ({}, ["--roi", "60,4"], "make the ROI smaller"),
        ({}, ["--roi", "sixty"], "two whole numbers"),
        ({}, ["--dark", "nowhere.npy"], "cannot read the dark"),
        ({}, ["--rotate", "45"], "rotate"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, frames: np.ndarray, positions_m: np.ndarray, more: dict[str, Any], options: list[str], sentence: str
) -> None:
    source = write_seed_file(tmp_path / "seed.h5", frames, positions_m, **more)
    with pytest.raises(PtychostreamError, match=sentence):
        ingest(source, tmp_path / "out.h5", *options)
    assert {path.name for path in tmp_path.iterdir()} == {"seed.h5"}


def test_existing_output_is_kept_unless_forced(tmp_path: Path, frames: np.ndarray, positions_m: np.ndarray) -> None:
    source = write_seed_file(tmp_path / "seed.h5", frames, positions_m)
    output = tmp_path / "out.h5"
    output.write_text("precious")
    with pytest.raises(PtychostreamError, match="--force"):
        ingest(source, output)
    assert output.read_text() == "precious"
    ingest(source, output, "--force")
    assert errors_in(output) == []


@pytest.mark.parametrize(
    ("name", "n", "x_path", "y_path"),
    [
        (
            "real_step_default_layout",
            60,
            "/entry/instrument/NDAttributes/posx",
            "/entry/instrument/NDAttributes/posy",
        ),
        ("real_swmr_not_closed", 150, "/entry/scan/posx", "/entry/scan/posy"),
    ],
)
def test_files_of_a_real_ioc_are_ingested_completely_with_a_profile_that_names_the_unit(
    tmp_path: Path, name: str, n: int, x_path: str, y_path: str
) -> None:
    source = Path(__file__).parents[2] / "data" / f"{name}.h5"
    document = yaml.safe_load(profile_path("sim").read_text(encoding="utf-8"))
    document["channels"] |= {axis: {"how": "attribute", "attribute": f"pos{axis}", "unit": "um"} for axis in ("x", "y")}
    document["preprocessing"]["gain"] = 1  # this camera is another one
    profile = tmp_path / "profile.yaml"
    profile.write_text(yaml.safe_dump(document), encoding="utf-8")
    said = ingest(source, tmp_path / "out.h5", "--profile", str(profile), "--energy-eV", "710")
    assert f"areaDetector (NDFileHDF5), {n} frames of 64 x 96 uint16" in said and f"{n} of {n} frames stored" in said
    assert ("was not closed" in said) == (name == "real_swmr_not_closed")
    with h5py.File(source, swmr=True) as raw, h5py.File(tmp_path / "out.h5") as file:
        assert np.array_equal(file["/entry/data"][()], raw["/entry/data/data"][()])
        assert file["/entry/frames/unique_id"][:, 0].tolist() == list(range(1, n + 1))
        beam_m = np.column_stack([raw[x_path][()], raw[y_path][()]]) * -1e-6
        np.testing.assert_array_equal(file["/entry/pos"][()], beam_m)
        assert 1e-7 < np.ptp(file["/entry/posx_m"][()]) < 1e-4, "micrometres became metres"
        assert file["/entry/run/state"][()] == b"COMPLETE"
    assert errors_in(tmp_path / "out.h5") == []
