"""An exit code says whether what was made is whole: a file that is not COMPLETE is no success."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
import typer
from tiff_scan import write_tiff
from typer.testing import CliRunner

from stream_service.cli import main as cli
from stream_service.cli.__main__ import main
from stream_service.cli.app import FILES
from stream_service.cli.options import OUTPUT
from stream_service.errors import PtychostreamError
from stream_service.settings.beamlines import profile_path
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


LAYOUT = profile_path("hermes").parent / "beamline_cxi_layout.xml"
TIFFS = f"ingest tiff f_*.tif --output new.h5 {' '.join(NUMBERS)}"
SIDECAR = "sidecar --frames f_*.tif --csv log.csv --output new.h5"
READ = [
    "demo --replay @",
    "replay @ --output new",
    "ingest hdf5 @ --output new.h5",
    "ingest hdf5 --input @ --output new.h5",
    "ingest tiff @ --output new.h5",
    "ingest tiff --pattern @ --output new.h5",
    "sidecar --frames @ --csv log.csv --output new.h5",
    "sidecar --frames f_*.tif --csv @ --output new.h5",
    "evaluate @ --out new",
    "validate @",
    "repair @",
    "report @",
    "orient @",
    "probe @ --output new.cxi",
    "recipe @ --output new.py",
    "recipe scan.h5 --output new.py --probe @",
    "reconstruct @ --output new.cxi",
    "reconstruct scan.h5 --output new.cxi --probe @",
    "export @ --tike --output new.h5",
    "export scan.h5 --tike --output new.h5 --recon @",
    "layout lint @",
    f"layout lint --attributes @ {LAYOUT}",
    "layout render @ --profile sim",
    *(
        f"{words} {option} @"
        for words in ("replay scan.h5 --output new", "ingest hdf5 scan.h5 --output new.h5", TIFFS)
        for option in ("--dark", "--flat", "--mask", "--readbacks", "--profile arrays.yaml --arrays", "--reject-json")
    ),
    f"{TIFFS} --sidecar @",
    *(f"{SIDECAR} {option} @" for option in ("--dark", "--flat", "--mask")),
]
"""Commands that read the file '@'."""
CONFIGURED = [
    "check @",
    "run @",
    "web @",
    "web sim --token-file @",
    f"layout render {LAYOUT} --profile @",
    "replay scan.h5 --output new --profile @",
    "ingest hdf5 scan.h5 --output new.h5 --profile @",
    f"{TIFFS} --profile @",
    "orient scan.h5 --reconstruct --ptypy-python @",
    "reconstruct scan.h5 --output new.cxi --ptypy-python @",
]
"""Commands of which '@' is the profile, or the Python that they shall use."""
WRITE = [
    "ingest hdf5 scan.h5 --output @",
    TIFFS.replace("new.h5", "@"),
    SIDECAR.replace("new.h5", "@"),
    "evaluate scan.h5 --out quality --emit-ptypy-json @",
    "repair scan.h5 --output @",
    "report scan.h5 --output @",
    "probe scan.h5 --output @",
    "recipe scan.h5 --output @",
    "reconstruct scan.h5 --output @",
    "export scan.h5 --tike --output @",
]
"""Commands that make the file '@'."""
RENDER = f"layout render {LAYOUT} --profile sim --output @"
"""Makes a file anew each time."""


def ended(words: str) -> tuple[int, str]:
    """As `cli.main` ends: exit code, and all that is said."""
    result = CliRunner().invoke(cli.app, words.split())
    if isinstance(result.exception, PtychostreamError):
        return result.exception.exit_code, result.output + str(result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    write_example(folder / "scan.h5", 8, frame_shape=(64, 80), pixel_m=75e-6, det_dist_m=0.05)
    (folder / "taken").mkdir()
    (folder / "taken" / "attributes.xml").touch()
    (folder / "text").write_text("this is no such file\n")
    (folder / "log.csv").write_text("frame_index,posx_um,posy_um\n0,1,2\n1,2,3\n")
    profile = profile_path("sim").read_text(encoding="utf-8")
    by_index = r"\1: {how: index, dataset: /\1, unit: um}"
    (folder / "arrays.yaml").write_text(re.sub(r"\b([xy]): {how: timestamp.*}}", by_index, profile), encoding="utf-8")
    for number in range(2):
        write_tiff(folder / f"f_{number}.tif", np.full((6, 8), number, np.uint16))
    return folder


@pytest.fixture
def folder(inputs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(inputs)
    return inputs


@pytest.mark.further(but=23)
@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("words", READ)
@pytest.mark.parametrize("name", ["missing", "text"])
def test_an_input_that_cannot_be_read_is_1(words: str, name: str) -> None:
    if name == "text" and words.startswith("reconstruct scan.h5"):
        pytest.skip("PtyPy is looked for before it is read")
    code, said = ended(words.replace("@", name))
    assert code == 1 and name in said, said


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("words", CONFIGURED)
def test_a_profile_or_a_python_that_cannot_be_used_is_2(words: str) -> None:
    code, said = ended(words.replace("@", "missing.yaml"))
    assert code == 2 and "missing.yaml" in said, said


@pytest.mark.further(but=10)
@pytest.mark.parametrize(
    ("words", "output"),
    [
        *((words, name) for words in WRITE for name in ("missing/new.h5", "log.csv", "scan.h5")),
        (RENDER, "missing/x"),
        ("init @", "taken"),
    ],
)
def test_an_output_that_cannot_be_made_is_1_and_nothing_is_replaced(words: str, output: str, folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*.*")}
    code, said = ended(words.replace("@", output))
    assert code == 1 and output.split("/")[0] in said, said
    assert {path: path.read_bytes() for path in folder.rglob("*.*")} == before


def leaves(command: Any, name: str = "") -> dict[str, Any]:
    """Every command that does something, by its words."""
    inner = getattr(command, "commands", {})
    found = {} if inner else {name: command}
    for word, child in inner.items():
        found |= leaves(child, f"{name} {word}".strip())
    return found


ALL = leaves(typer.main.get_command(cli.app))


@pytest.mark.further(but=5)
@pytest.mark.parametrize("name", ALL)
def test_an_option_that_is_not_there_is_2(name: str) -> None:
    code, said = ended(f"{name} --no-such-option")
    assert code == 2 and "--no-such-option" in said


@pytest.mark.parametrize("name", ALL)
def test_every_file_that_a_command_reads_or_makes_is_tested_here(name: str) -> None:
    tested = " ".join(words for words in (*READ, *CONFIGURED, *WRITE, RENDER) if words.startswith(name))
    for parameter in ALL[name].params:
        if parameter.param_type_name == "option" and parameter.metavar in {*FILES, "NAME|PATH"} - {"PATH", "FOLDER"}:
            option = OUTPUT[0] if OUTPUT[0] in parameter.opts else parameter.opts[0]
            assert f"{option} @" in tested, f"{name} {option}"


def test_every_exit_code_is_in_one_table() -> None:
    page = (CHECKOUT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    table = page[page.index("## Exit codes") : page.index("<!-- generated")]
    assert re.findall(r"^\| (\d+) \|", table, re.MULTILINE) == ["0", "1", "2", "130"]


@pytest.mark.further(but=9)
@pytest.mark.parametrize(
    "command",
    [
        "validate",
        "repair",
        "report",
        "check",
        "run",
        "web",
        "web sim --token-file",
        "recipe",
        "layout lint",
        "ingest hdf5 -o o.h5",
    ],
)
@pytest.mark.parametrize(
    "name",
    ["a" * 300, "loop", "brackets.yaml", "pipe", "/dev/zero"],
    ids=["too long", "link to itself", "brackets", "a pipe", "without an end"],
)
def test_name_or_file_that_cannot_be_is_one_sentence(
    command: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    os.mkfifo("pipe")
    Path("brackets.yaml").write_text("[" * 5000, encoding="utf-8")
    error = CliRunner().invoke(cli.app, [*command.split(), name]).exception
    assert isinstance(error, SystemExit | PtychostreamError), error
    assert not isinstance(error, SystemExit) or error.code in (1, 2)


def test_ctrl_c_while_modules_are_loaded_is_no_traceback(monkeypatch):
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys, "argv", ["ptychostream", "check", "sim"])
    monkeypatch.setitem(sys.modules, "stream_service.cli.main", SimpleNamespace(main=interrupted))
    with pytest.raises(SystemExit, match="130"):
        main()
