"""Remarks on frames that contradict what a reconstruction assumes: the axis, and the far field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from stream_service.ptycho.frame_remarks import frame_remarks
from stream_service.ptycho.ptypy.recipe import write_recipe
from stream_service.ptycho.ptypy.recipe_settings import RecipeSettings
from stream_service.ptycho.ptypy.scan_choices import ScanChoices
from stream_service.ptycho.scan_file import ScanFile
from stream_service.standard_file.write.swmr_file import StandardFile
from stream_service.testing.example_file import append_row, example_header, example_ledger, example_row

N_ROWS, SHAPE = 12, (48, 56)
OPTICS = {"kind": "zone_plate", "zone_plate_diameter_m": 1.2e-4, "outermost_zone_width_m": 4e-8, "defocus_m": 1e-6}


def scan_of(
    path: Path, frame: npt.NDArray[Any], center: tuple[float, float], energies_eV: Sequence[float] = (), **changes: Any
) -> ScanFile:
    """A file of one frame again and again, its axis said to be at `center`; the first rows have these energies."""
    numbers: dict[str, Any] = {"optics": OPTICS, "pixel_m": 75e-6, "det_dist_m": 0.05, "dark": None, "flat": None}
    header = example_header(N_ROWS, frame_shape=SHAPE, center=center, **numbers | changes)
    rows, columns = np.indices(SHAPE)
    com_y, com_x = (rows * frame).sum() / frame.sum(), (columns * frame).sum() / frame.sum()
    with StandardFile.create(path, header, swmr=False) as file:
        for row in range(N_ROWS):
            energy = {"energy_eV": energies_eV[row]} if row < len(energies_eV) else {}
            append_row(file, example_row(row, com_y=com_y, com_x=com_x, **energy), frame)
        file.write_ledger(example_ledger(N_ROWS))
        file.set_state("COMPLETE", "done", 1)
    return ScanFile.read(path)


def cone(row: float, column: float) -> npt.NDArray[Any]:
    rows, columns = np.indices(SHAPE)
    return 100.0 * (np.hypot(rows - row, columns - column) < 12)


@pytest.mark.parametrize(
    ("rotate", "flip", "moved"),
    [
        (0, "none", "+6.0 rows, +0.0 columns"),
        (0, "hv", "-6.0 rows, +0.0 columns"),
        (90, "none", "+0.0 rows, -6.0 columns"),
        (180, "none", "-6.0 rows, +0.0 columns"),
    ],
)
def test_an_axis_six_pixels_beside_the_cone_is_remarked_on_with_the_option(
    rotate: int, flip: str, moved: str, tmp_path: Path
) -> None:
    settings = {"preprocessing": {"rotate": rotate, "flip": flip}}
    scan = scan_of(tmp_path / "scan_std.h5", cone(30, 28), (24.0, 28.0), settings=settings)
    (remark,) = frame_remarks(scan)
    assert "lies 6.0 pixels beside the optical axis at row 24, column 28" in remark
    assert f"--roi-center moved by {moved} of a raw frame" in remark.replace("-0.0", "+0.0")


def test_an_axis_in_the_middle_of_the_cone_is_not_remarked_on(tmp_path: Path) -> None:
    assert frame_remarks(scan_of(tmp_path / "scan_std.h5", cone(25, 28), (24.0, 28.0))) == ()


def test_recipe_gives_the_remark_and_has_it_in_the_script(tmp_path: Path) -> None:
    scan_of(tmp_path / "scan_std.h5", cone(30, 28), (24.0, 28.0))
    out = tmp_path / "scan_recipe.py"
    remarks = write_recipe(tmp_path / "scan_std.h5", out, RecipeSettings(), ScanChoices(), force=False)
    assert "beside the optical axis" in remarks[0]
    assert "beside the optical axis" in out.read_text(encoding="utf-8")


def test_frames_that_are_lit_to_the_edge_are_said_to_look_like_the_near_field(tmp_path: Path) -> None:
    scan = scan_of(tmp_path / "scan_std.h5", np.full(SHAPE, 50.0), (24.0, 28.0))
    (remark,) = frame_remarks(scan)
    assert "lit along 100% of its edge" in remark and "say --near-field" in remark
    near = replace(scan, optics=scan.optics.model_copy(update={"propagation": "near_field"}))
    assert frame_remarks(near) == ()


@pytest.mark.parametrize("propagation", ["far_field", "near_field"])
def test_rows_of_another_energy_are_remarked_on(propagation: str, tmp_path: Path) -> None:
    scan = scan_of(
        tmp_path / "scan_std.h5",
        cone(24, 28),
        (24.0, 28.0),
        [700.0, 705.0],
        optics=OPTICS | {"propagation": propagation},
    )
    (remark,) = frame_remarks(scan)
    assert remark == (
        "2 rows of 12 were taken at 700 to 705 eV, and all are reconstructed with 710 eV: give a scan of each energy "
        "by itself"
    )
