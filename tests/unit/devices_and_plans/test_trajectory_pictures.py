"""Pictures of a trajectory before it is run, and the command that draws them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from typer.testing import CliRunner

from ptychostream_plans.preview import app
from ptychostream_plans.trajectories import raster
from ptychostream_plans.trajectories.pictures import coverage_map
from ptychostream_plans.trajectories.trajectory import from_positions


def test_coverage_counts_the_probes_on_each_place() -> None:
    lit, (left, right, bottom, top) = coverage_map(from_positions([[0.0, 0.0], [0.5e-6, 0.0]]), 1e-6)
    np.testing.assert_allclose((left, right, bottom, top), (-0.5e-6, 1e-6, -0.5e-6, 0.5e-6), atol=1e-15)
    assert set(np.unique(lit)) == {0, 1, 2}
    pixel_area = (right - left) * (top - bottom) / lit.size
    assert lit.sum() * pixel_area == pytest.approx(2 * np.pi * 0.25e-12, rel=0.01)
    assert lit[lit.shape[0] // 2, round(0.75 / 1.5 * lit.shape[1])] == 2


def test_well_overlapping_raster_lights_its_inside_many_times() -> None:
    lit, _ = coverage_map(raster(10, 10, 0.3e-6), 1e-6)
    ny, nx = lit.shape
    inside = lit[ny // 3 : -ny // 3, nx // 3 : -nx // 3]
    assert inside.min() >= 7 and inside.mean() == pytest.approx(np.pi * 0.25 / 0.09, rel=0.05)


@pytest.mark.further(but=1)
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fermat", "--points", "50"], "fermat_spiral: 50 positions"),
        (["raster", "--nx", "5", "--ny", "4", "--step-um", "0.5"], "raster: 20 positions over 2 x 1.5 µm"),
        (["concentric", "--nrings", "3"], "concentric_rings: 31 positions"),
        (["jittered", "--nx", "5", "--ny", "4", "--seed", "7"], "random_jittered: 20 positions"),
    ],
)
def test_command_draws_and_says_what_it_drew(tmp_path: Path, arguments: list[str], words: str) -> None:
    out = tmp_path / "picture.png"
    result = CliRunner().invoke(app, [*arguments, "--probe-um", "1.2", "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert words in result.output and "of a probe of 1.2 µm" in result.output
    picture = imread(out)
    assert picture.shape[:2] == (500, 1500) and picture.std() > 0.05


def test_positions_of_a_file_are_drawn_and_a_bad_file_is_one_sentence(tmp_path: Path) -> None:
    np.save(tmp_path / "positions.npy", raster(3, 3, 1e-6).positions_m)
    out = ["--out", str(tmp_path / "picture.png")]
    assert CliRunner().invoke(app, ["file", str(tmp_path / "positions.npy"), *out]).exit_code == 0
    result = CliRunner().invoke(app, ["file", str(tmp_path / "missing.csv"), *out])
    assert result.exit_code == 2 and "missing.csv" in result.output


def test_the_file_with_the_positions_is_not_drawn_over(tmp_path: Path) -> None:
    positions = tmp_path / "positions.csv"
    positions.write_text("0,0\n1e-6,0\n0,1e-6\n")
    (tmp_path / "linked.png").symlink_to(positions)
    for out in (positions, tmp_path / "linked.png"):
        result = CliRunner().invoke(app, ["file", str(positions), "--out", str(out)])
        assert result.exit_code == 2 and "is the file with the positions" in result.output
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "out.png").symlink_to(tmp_path / "precious")
    assert CliRunner().invoke(app, ["file", str(positions), "--out", str(tmp_path / "out.png")]).exit_code == 0
    assert (tmp_path / "precious").read_text() == "precious" and not (tmp_path / "out.png").is_symlink()
    assert positions.read_text().startswith("0,0")
