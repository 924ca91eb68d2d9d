"""The smoke test of the how-to `check-orientation` does what the page shows, and makes the right file."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from stream_service.testing.loopback import process_environment

CHECKOUT = Path(__file__).resolve().parents[3]
PAGE = (CHECKOUT / "docs" / "how-to" / "check-orientation.md").read_text(encoding="utf-8")
SMOKE_TEST, _, _ = PAGE.partition("## Measure it from the frames")
"""What follows is for a scan of one's own."""
STARTS = {"python": [sys.executable], "ptychostream": [sys.executable, "-m", "stream_service.cli"]}


def run(command: str, folder: Path, exit_code: int = 0) -> str:
    """Output of a command given in an empty folder instead of the checkout."""
    program, *words = shlex.split(command)
    words = [str(CHECKOUT / word) if word.startswith("tests/") else word for word in words]
    done = subprocess.run(
        [*STARTS[program], *words],
        cwd=folder,
        env=process_environment({}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == exit_code, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def commands() -> list[tuple[str, str]]:
    """Commands of the page in their order, with the output that it shows, if any."""
    text = "".join(re.findall(r"```console\n(.*?)```", SMOKE_TEST, flags=re.DOTALL))
    return re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder in which all commands of the page have been given."""
    folder = tmp_path_factory.mktemp("smoke")
    for command, shown in commands():
        assert shown in run(command, folder)
    return folder


def test_page_gives_the_seeds_commands() -> None:
    seed = [
        "python tests/synth_make_small_dataset.py",
        "ptychostream ingest hdf5 --input synth.h5 --output synth_std.h5 "
        "--roi 512,512 --roi-center 0.5,0.5 --rotate 90 --flip v",
        "python tests/orientation_roi_smoketest.py",
    ]
    given = [command for command, _ in commands()]
    assert [command for command in given if command in seed] == seed
    assert dict(commands())[seed[-1]] == "OK: orientation & ROI center tests passed\n"


def test_small_dataset_is_what_the_page_says(folder: Path) -> None:
    with h5py.File(folder / "synth.h5") as file:
        entry = file["entry"]
        assert (entry["data"].shape, entry["data"].dtype) == ((25, 600, 640), np.uint16)
        assert {"pos", "energy_eV", "det_dist_m", "pixel_m", "exposure_s", "mask", "dark", "flat"} <= set(entry)


def upright(raw: np.ndarray) -> np.ndarray:
    """Rotated by 90 degrees and flipped upside down; then the 512 x 512 around the pixel that was in the middle."""
    middle = np.zeros(raw.shape, bool)
    middle[300, 320] = True
    turned, middle = np.rot90(raw)[::-1], np.rot90(middle)[::-1]
    row, column = np.unravel_index(middle.argmax(), middle.shape)
    return turned[row - 256 : row + 256, column - 256 : column + 256]


def test_synthetic_scan_is_stored_upright_and_centred(folder: Path) -> None:
    with h5py.File(folder / "synth.h5") as file, h5py.File(folder / "synth_std.h5") as made:
        raw, stored = file["entry"], made["entry"]
        assert stored["data"].shape == (25, 512, 512)
        good = raw["mask"][()] == 0
        dark, flat = raw["dark"][()], raw["flat"][()] - raw["dark"][()]
        flat = np.where(good, flat / flat[good].mean(), 1)
        assert np.array_equal(stored["mask"][()], upright(raw["mask"][()]))
        is_good = upright(good)
        for index in (0, 12, 24):
            expected = upright(np.maximum(raw["data"][index] - dark, 0) / flat)
            np.testing.assert_allclose(stored["data"][index][is_good], expected[is_good], rtol=1e-5, atol=1e-3)
        assert np.array_equal(stored["pos"][()], raw["pos"][()])
        assert stored["pixel_m"][()] == raw["pixel_m"][()]
        centre_of_mass = [stored[f"qc/features/com_{axis}"][()].mean() for axis in "yx"]
    np.testing.assert_allclose(centre_of_mass, 256, atol=3)


@pytest.mark.parametrize(("frames", "shape"), [(1, "64,80"), (4, "160,128")])
def test_dataset_has_the_size_that_was_asked_for(tmp_path: Path, frames: int, shape: str) -> None:
    run(f"python tests/synth_make_small_dataset.py --output x.h5 --frames {frames} --shape {shape}", tmp_path)
    with h5py.File(tmp_path / "x.h5") as file:
        assert file["entry/data"].shape == (frames, *map(int, shape.split(",")))
        assert file["entry/pos"].shape == (frames, 2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--shape 10,x", "'10,x' is not rows and columns, such as 600,640"),
        ("--shape 1,2,3", "'1,2,3' is not rows and columns"),
        ("--shape 10,12", "the bright-field cone has a radius of 2.3 pixels"),
        ("--frames 0", "a scan has at least one"),
    ],
)
def test_dataset_that_cannot_be_is_refused_in_a_sentence(tmp_path: Path, options: str, said: str) -> None:
    assert said in run(f"python tests/synth_make_small_dataset.py {options}", tmp_path, exit_code=2)
    assert list(tmp_path.iterdir()) == []


def test_table_of_corners_brings_each_to_its_place() -> None:
    rows = re.findall(
        r"^ *\| (top|bottom) (left|right) \| (\d+) \| (\w+) \| `--rotate (\d+) --flip (\w+)` \|$", PAGE, re.MULTILINE
    )
    assert len(rows) == 4
    raw = np.array([[1, 2], [3, 4]])  # 1 is the top left corner, 2 stands beside it in its row
    for vertical, horizontal, *settings in rows:
        corner = (0 if vertical == "top" else 1, 0 if horizontal == "left" else 1)
        for rotate, flip, is_swapped in ((*settings[:2], False), (*settings[2:], True)):
            turned = np.rot90(raw, int(rotate) // 90)
            turned = np.flip(turned, [axis for axis, letter in ((0, "v"), (1, "h")) if letter in flip])
            assert turned[corner] == 1
            assert (turned[corner[0], 1 - corner[1]] == 3) == is_swapped
