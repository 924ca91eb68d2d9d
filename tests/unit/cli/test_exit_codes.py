"""An exit code says whether what was made is whole: a file that is not COMPLETE is no success."""

from __future__ import annotations

import re
from pathlib import Path

import h5py
import numpy as np
import pytest
from tiff_scan import write_tiff
from typer.testing import CliRunner

from stream_service.cli import main as cli
from stream_service.testing.example_file import write_example

CHECKOUT = Path(__file__).resolve().parents[3]
NUMBERS = ["--energy-eV", "700", "--det-dist-m", "0.1", "--pixel-m", "1e-5", "--exposure-s", "0.1"]


def run(*words: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(cli.app, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def state_in(path: Path) -> str:
    with h5py.File(path) as file:
        return file["/entry/run/state"][()].decode()


@pytest.fixture(params=["whole", "with a hole"])
def recorded(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, bool]:
    path = tmp_path / "scan.h5"
    write_example(path, 6, swmr=False)
    if request.param != "whole":
        with h5py.File(path, "r+") as file:
            file["/entry/frames/unique_id"][3:] += 1
    return path, request.param == "whole"


def test_ingest_of_hdf5(recorded: tuple[Path, bool], tmp_path: Path) -> None:
    path, is_whole = recorded
    code, said = run("ingest", "hdf5", path, "--output", tmp_path / "out.h5")
    assert code == (0 if is_whole else 1)
    assert state_in(tmp_path / "out.h5") == ("COMPLETE" if is_whole else "INCOMPLETE")
    if not is_whole:
        assert "INCOMPLETE: 6 of 7 frames stored in 6 rows, 1 lost (missing ids: 4)" in said


def test_replay(recorded: tuple[Path, bool], tmp_path: Path) -> None:
    path, is_whole = recorded
    code, said = run("replay", path, "--output", tmp_path / "live", "--rate", "1000")
    assert code == (0 if is_whole else 1)
    assert said.count("INCOMPLETE: ") == (not is_whole)


@pytest.mark.parametrize("is_whole", [True, False])
def test_ingest_of_tiffs(tmp_path: Path, is_whole: bool) -> None:
    for number in range(6):
        if is_whole or number != 2:
            write_tiff(tmp_path / f"scan_{number}.tif", np.full((6, 8), number, np.uint16))
    log = tmp_path / "log.csv"
    log.write_text("frame_index,posx_um,posy_um\n" + "".join(f"{i},{i},{-i}\n" for i in range(6)))
    words = ["--readbacks", log, *NUMBERS]
    code, _ = run("ingest", "tiff", tmp_path / "scan_*.tif", "--output", tmp_path / "out.h5", *words)
    assert state_in(tmp_path / "out.h5") == ("COMPLETE" if is_whole else "INCOMPLETE")
    assert code == (0 if is_whole else 1)


def test_every_exit_code_is_in_one_table() -> None:
    page = (CHECKOUT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    table = page[page.index("## Exit codes") : page.index("<!-- generated")]
    assert re.findall(r"^\| (\d+) \|", table, re.MULTILINE) == ["0", "1", "2", "130"]
