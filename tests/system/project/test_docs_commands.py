"""The commands of the docs that need no beamline are given for real, page by page, in a folder with a scan."""

from __future__ import annotations

import os
import shlex
import shutil
from itertools import groupby
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import typer
from doc_blocks import Command, commands, name_of
from simulated_scan import SimulatedScan, simulate_scan

import stream_service.cli.main

N_ROWS = 40
SHAPE = (260, 300)
"""A page takes an ROI of 256 x 256 pixels."""
ABSOLUTE = ("/data", "/path/to")
"""Folders that pages name; here they are below the folder of the test."""
POSITIONERS = "/entry_1/instrument/positioners"
OTHER_PATHS = {
    "path/to/data.cxi": (
        "/entry_1/data/data",
        "/entry_1/instrument/positioners/x",
        "/entry_1/instrument/positioners/y",
    ),
    "scan.h5": ("/measurement/pilatus", "/positioners/sx", "/positioners/sy"),
}
"""Files of other layouts: where frames, x and y are."""

ANSWERS = ("orient",)
"""Whose exit code 1 is no failure: of a scan without optics it answers for both sides of the focus."""

GIVEN = [command for command in commands() if command.why_not_given is None]
PAGES_WITH_COMMANDS = {page: list(lines) for page, lines in groupby(GIVEN, lambda c: name_of(c.block.page))}


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> SimulatedScan:
    return simulate_scan(tmp_path_factory.mktemp("scan"), N_ROWS, shape=SHAPE)


@pytest.fixture(scope="module")
def standard(scan: SimulatedScan) -> Path:
    return scan.ingest(scan.raw.with_name("demo_std.h5"), "--roi", "64,64")


def prepare(given: list[Command], scan: SimulatedScan, standard: Path) -> None:
    """Files where the reader of a page is: a demo's, and scans under the names that the pages give theirs."""
    made = " ".join(command.line.partition("--output")[2] for command in given)
    for name in ("demo_std.h5", "demo-output/demo_std.h5", "scan_std.h5", "scan001_std.h5"):
        if name not in made:
            Path(name).parent.mkdir(exist_ok=True)
            shutil.copy(standard, name)
    for name in ("scan.cxi", "scan001.cxi"):
        Path(name).symlink_to(scan.raw)
    for name, (frames, x, y) in OTHER_PATHS.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(scan.raw) as raw, h5py.File(name, "w") as file:
            file[frames] = np.asarray(raw["entry/data"])
            for path, axis in ((x, 0), (y, 1)):
                file[path] = 1e6 * np.asarray(raw["entry/pos"])[:, axis]
                file[path].attrs["units"] = "um"
            file["/mono/energy"] = 710.0
            file["/mono/energy"].attrs["units"] = "eV"
    Path("data").mkdir()


def here(word: str) -> str:
    """A word of a command with the folders of the page below this one."""
    found = next((root for root in ABSOLUTE if word == root or word.startswith(f"{root}/")), None)
    return word if found is None else os.path.join(".", word.lstrip("/"))


@pytest.mark.parametrize("page", PAGES_WITH_COMMANDS)
def test_every_command_of_a_page_does_its_work(
    page: str, scan: SimulatedScan, standard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = PAGES_WITH_COMMANDS[page]
    prepare(given, scan, standard)
    command: Any = typer.main.get_command(stream_service.cli.main.app)
    for each in given:
        _, *words = shlex.split(each.line)
        exit_code = command.main([here(word) for word in words], standalone_mode=False)
        assert not exit_code or words[0] in ANSWERS, str(each)


def test_some_commands_are_given() -> None:
    assert len({given.line.split()[1] for given in GIVEN}) >= 7, "of so many kinds"
