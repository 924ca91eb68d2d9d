"""Common parts of every command line: order, version, one way to name input and output, options given once."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import iocsim.cli
import stream_service.cli.main
from stream_service.cli.app import A_DAYS_WORK, names_a_file
from stream_service.errors import ConfigError
from stream_service.testing.example_file import write_example


def run(app: Any, *words: str) -> str:
    result = CliRunner().invoke(app, list(words), env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.output


def leaves(command: Any, name: str = "ptychostream") -> dict[str, Any]:
    """Every command that does something, by its whole name."""
    inner = getattr(command, "commands", {})
    found = {} if inner else {name: command}
    for word, child in inner.items():
        found |= leaves(child, f"{name} {word}")
    return found


ALL = leaves(typer.main.get_command(stream_service.cli.main.app))


@pytest.mark.parametrize(("app", "name"), [(stream_service.cli.main.app, "ptychostream"), (iocsim.cli.app, "iocsim")])
def test_version_is_that_of_the_distribution(app: Any, name: str) -> None:
    assert run(app, "--version").strip() == f"{name} {version('ptychostream')}"


def test_commands_are_listed_in_the_order_of_a_days_work() -> None:
    shown = run(stream_service.cli.main.app, "--help")
    there = typer.main.get_command(stream_service.cli.main.app).commands  # type: ignore[attr-defined]
    order = [name for names in A_DAYS_WORK.values() for name in names if name in there]
    assert set(order) == set(there)
    places = [re.search(rf"^│ {name} ", shown, re.MULTILINE).start() for name in order]  # type: ignore[union-attr]
    assert places == sorted(places)
    headings = [shown.index(heading) for heading in A_DAYS_WORK]
    assert headings == sorted(headings)


@pytest.mark.parametrize("name", ALL)
def test_what_a_command_writes_is_named_by_output_everywhere(name: str) -> None:
    options = {option for parameter in ALL[name].params for option in parameter.opts}
    assert {"--output", "--out", "-o"} <= options or not options & {"--output", "--out", "-o"}


@pytest.mark.parametrize(
    "name", sorted(set(ALL) - {"ptychostream sidecar", "ptychostream status", "ptychostream demo"})
)
def test_what_a_command_reads_is_its_first_word_everywhere(name: str) -> None:
    """But for `sidecar`, which needs two kinds of file and has a name for each."""
    assert any(parameter.param_type_name == "argument" for parameter in ALL[name].params)


@pytest.mark.parametrize(
    "words",
    [
        ["ingest", "hdf5", "--input", "a.h5", "--input", "b.h5", "--output", "c.h5"],
        ["ingest", "hdf5", "a.h5", "--output", "c.h5", "--out", "d.h5"],
        ["ingest", "hdf5", "a.h5", "--output", "c.h5", "--dark", "d.npy", "--dark", "e.npy"],
        ["ingest", "hdf5", "a.h5", "--output", "c.h5", "--profile", "hermes", "--profile", "xrnf"],
        ["ingest", "hdf5", "a.h5", "--output", "c.h5", "--data-path", "/a", "--data-path", "/b"],
        ["sidecar", "--frames", "*.tif", "--csv", "a.csv", "--csv", "b.csv", "--output", "c.h5"],
        ["reconstruct", "a.h5", "--probe", "a.cxi", "--probe", "b.cxi"],
        ["ingest", "hdf5", "a.h5", "--input", "b.h5", "--output", "c.h5"],
        ["ingest", "hdf5", "a.h5", "b.h5", "--output", "c.h5"],
        ["ingest", "tiff", "a1.tif", "a2.tif", "--output", "c.h5"],
    ],
)
def test_a_file_that_is_given_twice_is_refused_and_named(words: list[str]) -> None:
    result = CliRunner().invoke(stream_service.cli.main.app, words)
    assert isinstance(result.exception, ConfigError), result.output
    assert "give it once" in str(result.exception)


@pytest.mark.parametrize("words", [[], ["recipe"], ["layout", "lint"], ["layout"]])
def test_help_names_no_type_of_a_switch(words: list[str]) -> None:
    said = run(stream_service.cli.main.app, *words, "--help")
    assert "--help" in said and "bool" not in said.lower()


@pytest.mark.parametrize("name", ALL)
def test_every_option_that_is_a_path_is_known_as_one(name: str) -> None:
    for parameter in ALL[name].params:
        annotation = parameter.type_descriptor.annotation
        if annotation is Path and parameter.param_type_name == "option":
            assert names_a_file(parameter), parameter.opts


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("recipe none.h5 --iters 10 --iters 20", "--iters is given more than once: the last counts, 20"),
        ("ingest tiff x*.tif -o c.h5 --rotate 90 --rotate 0", "--rotate is given more than once: the last counts, 0"),
        (
            "layout lint a.xml --swmr --no-swmr",
            "--swmr or --no-swmr is given more than once: the last counts, false",
        ),
    ],
)
def test_of_other_options_the_last_counts_and_is_named(words: str, said: str) -> None:
    assert f"warning: {said}\n" in CliRunner().invoke(stream_service.cli.main.app, words.split()).output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("recipe none.h5 --defocus 5mm", "--defocus '5mm' is not a number: give it without a unit"),
        ("ingest hdf5 a.h5 -o b.h5 --energy-eV 0,7", "--energy-eV '0,7' is not a number: give it without a unit"),
        ("recipe none.h5 --iters 1e2", "--iters '1e2' is not a whole number"),
        ("sidecar --frames a1.tif a2.tif --csv a.csv -o b.h5", "'a2.tif' belongs to no option"),
        ("sidecar --frames a1.tif a2.tif --csv a.csv -o b.h5", "--frames, that needs quotes"),
    ],
)
def test_a_text_that_cannot_be_is_shown_with_what_to_write(words: str, said: str) -> None:
    result = CliRunner().invoke(stream_service.cli.main.app, words.split())
    assert isinstance(result.exception, ConfigError), result.output
    assert said in str(result.exception)


def test_what_may_be_repeated_may_be_repeated(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"{number}.xml").write_text("<hdf5_layout/>")
    words = ["layout", "lint", str(tmp_path / "1.xml"), str(tmp_path / "2.xml"), "--strict", "--strict"]
    result = CliRunner().invoke(stream_service.cli.main.app, words)
    assert result.exit_code == 1
    assert result.output.count("no dataset takes the frames") == 2


@pytest.mark.further(but=1)
@pytest.mark.parametrize(
    "module", ["iocsim --replay 1 --replay 2", "ptychostream_plans.scan --raw-dir a --raw-dir b",
               "ptychostream_plans.preview raster --out 2 --output 3"]
)  # fmt: skip
def test_other_commands_refuse_it_in_one_sentence(module: str) -> None:
    done = subprocess.run([sys.executable, "-m", *module.split()], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.strip().endswith("is given more than once: give it once")
    assert "\n" not in done.stderr.strip()


def test_input_is_named_by_position_or_by_option(tmp_path: Path) -> None:
    write_example(tmp_path / "scan.h5", 4)
    for number, words in enumerate(([str(tmp_path / "scan.h5")], ["--input", str(tmp_path / "scan.h5")])):
        run(stream_service.cli.main.app, "ingest", "hdf5", *words, "-o", str(tmp_path / f"{number}_std.h5"))
    one, other = ((tmp_path / f"{number}_std.h5").read_bytes() for number in (0, 1))
    assert len(one) == len(other)


def test_a_command_without_its_input_says_how_to_give_it() -> None:
    result = CliRunner().invoke(stream_service.cli.main.app, ["ingest", "hdf5", "--output", "c.h5"])
    assert str(result.exception) == "give the file to read: as the first word, or with --input"
    result = CliRunner().invoke(stream_service.cli.main.app, ["ingest", "tiff", "--output", "c.h5"])
    assert str(result.exception) == "give the pattern of the TIFFs: as the first word, or with --pattern"


def test_help_waits_for_no_library_of_numbers_or_files() -> None:
    loads = (
        "import stream_service.cli.main, sys; print(sorted({'numpy', 'h5py', 'numba', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", loads], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
