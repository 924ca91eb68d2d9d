"""One function says which numbers cannot be meant: all commands refuse the same, and near fields are left alone."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from stream_service.cli.main import app
from stream_service.core.plausibility import ScanGeometry, number_doubts, scan_doubts
from stream_service.testing.example_file import write_example

ZONE_PLATE = ScanGeometry(energy_eV=700.0, det_dist_m=0.075, pixel_m=75e-6, frame_shape=(64, 64))
"""A soft X-ray scan: 28 nm a pixel of the object, 1.8 um a frame."""

OUT = {
    "recipe": (),
    "orient": (),
    "probe": ("--out", "probe.cxi"),
    "export": ("--tike", "--out", "out.h5"),
}
"""What commands need beside the file; nothing is ever written."""


def grid(step_m: float, n: int = 10) -> np.ndarray:
    x, y = np.meshgrid(np.arange(n), np.arange(n))
    return step_m * np.column_stack([x.ravel(), y.ravel()])


def impossible(geometry: ScanGeometry, positions_m: np.ndarray) -> list[str]:
    return [doubt.message for doubt in scan_doubts(geometry, positions_m) if doubt.is_impossible]


@pytest.mark.parametrize("step_m", [20e-9, 100e-9, 1e-6])
def test_a_usual_scan_gives_no_doubt(step_m: float) -> None:
    assert list(scan_doubts(ZONE_PLATE, grid(step_m))) == []


def test_a_scan_may_lie_anywhere_on_a_long_stage() -> None:
    assert list(scan_doubts(ZONE_PLATE, grid(100e-9) + 0.12)) == []


@pytest.mark.parametrize(("positions_m", "words"), [(grid(0.02), "spans 0.18 m"), (grid(0.02) + 3, "reaches 3.18 m")])
def test_no_scan_is_as_wide_or_as_far_away_as_a_micrometre_read_as_a_metre(positions_m: np.ndarray, words: str) -> None:
    assert impossible(ZONE_PLATE, positions_m) == [f"{words}; positions are in metres: is it in um?"]


@pytest.mark.parametrize(
    "numbers, name",
    [
        ({"energy_eV": 3.0}, "energy_eV"),
        ({"energy_eV": 0.0}, "energy_eV"),
        ({"energy_eV": -700.0}, "energy_eV"),
        ({"energy_eV": 1.1e-16}, "energy_eV"),
        ({"det_dist_m": 120.0}, "det_dist_m"),
        ({"det_dist_m": math.inf}, "det_dist_m"),
        ({"pixel_m": 75.0}, "pixel_m"),
        ({"exposure_s": -1.0}, "exposure_s"),
    ],
)
def test_a_number_outside_its_limits_is_impossible(numbers: dict[str, float], name: str) -> None:
    (doubt,) = number_doubts(numbers)
    assert doubt.name == name and doubt.is_impossible and "outside" in doubt.message and "--" in doubt.correction


def test_a_number_that_is_not_known_is_no_doubt() -> None:
    assert list(number_doubts({"energy_eV": math.nan, "exposure_s": math.nan})) == []


def test_75_m_for_75_mm_puts_the_whole_scan_into_one_pixel() -> None:
    (said,) = impossible(replace(ZONE_PLATE, det_dist_m=75.0), grid(100e-9))
    assert "spans 900 nm in all, less than one pixel of the object" in said
    assert "27.7 um" in said and "700 eV, 75 m and 75 um a detector pixel" in said


def test_75_m_for_75_mm_is_found_in_a_large_scan_by_its_steps() -> None:
    (said,) = impossible(replace(ZONE_PLATE, det_dist_m=75.0), grid(500e-9, n=100))
    assert "pixels of the object" in said


def test_a_small_scan_far_from_the_zero_of_a_long_stage_is_no_doubt() -> None:
    assert list(scan_doubts(ZONE_PLATE, grid(100e-9) + 0.3)) == []
    assert impossible(ZONE_PLATE, grid(100e-9) + 3.0) == ["reaches 3 m; positions are in metres: is it in um?"]
    assert impossible(ZONE_PLATE, grid(0.02)) == ["spans 0.18 m; positions are in metres: is it in um?"]


@pytest.mark.parametrize("factor", [1e3, 1e6])
def test_positions_in_another_unit_are_impossible(factor: float) -> None:
    assert impossible(ZONE_PLATE, factor * grid(100e-9))
    assert impossible(ZONE_PLATE, grid(100e-9) / factor)


def test_steps_without_overlap_are_told_but_possible() -> None:
    (doubt,) = scan_doubts(ZONE_PLATE, grid(5e-6))
    assert not doubt.is_impossible and "nothing overlaps" in doubt.message


def test_a_near_field_scan_is_not_judged_by_the_far_field() -> None:
    parallel = ScanGeometry(
        energy_eV=17_000.0, det_dist_m=0.05, pixel_m=6.5e-6, frame_shape=(2048, 2048), is_near_field=True
    )
    assert list(scan_doubts(parallel, grid(50e-6))) == []
    assert impossible(replace(parallel, is_near_field=False), grid(50e-6))
    undeclared = impossible(replace(parallel, is_near_field=None), grid(50e-6))
    assert "optics.propagation of the profile, or --near-field" in undeclared[0]


def test_a_scan_that_grows_is_not_judged_by_its_first_rows() -> None:
    assert list(scan_doubts(ZONE_PLATE, grid(1e-12), is_whole=False)) == []


def test_rows_at_one_place_are_not_called_impossible() -> None:
    assert list(scan_doubts(ZONE_PLATE, np.zeros((20, 2)))) == []


@pytest.mark.parametrize("command", ["recipe", "probe", "orient", "export"])
def test_what_validate_refuses_no_other_command_takes(
    tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "scan_std.h5"
    write_example(path, 20)
    with h5py.File(path, "r+") as file:
        _overwrite(file, "entry/energy_eV", 0.71)  # keV
    for words in (["validate", str(path)], [command, str(path), *OUT[command]]):
        result = CliRunner().invoke(app, words)
        assert result.exit_code != 0
        said = result.output + str(result.exception)
        assert "0.71 eV, outside 10 to 200000 eV" in said.replace("\n", " ")


@pytest.mark.parametrize("command", ["recipe", "probe", "orient"])
def test_a_scan_within_one_pixel_is_refused_as_validate_refuses_it(
    tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "scan_std.h5"
    write_example(path, 20)
    with h5py.File(path, "r+") as file:
        for name in ("entry/det_dist_m", "entry_1/instrument_1/detector_1/distance"):
            _overwrite(file, name, 75.0)
    for words in (["validate", str(path)], [command, str(path), *OUT[command]]):
        result = CliRunner().invoke(app, words)
        assert result.exit_code != 0
        assert "of the object" in (result.output + str(result.exception)).replace("\n", " ")


def _overwrite(file: h5py.File, name: str, value: float) -> None:
    dataset = file[name]
    assert isinstance(dataset, h5py.Dataset)
    dataset[()] = value
