"""`ptychostream init` makes a folder that can be filled in, and takes nothing away."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from stream_service.cli import main as cli
from stream_service.errors import ConfigError, WriteError
from stream_service.layout_xml import lint_attributes, lint_layout
from stream_service.settings.beamline_folder import FILES, make_beamline_folder
from stream_service.settings.beamlines import layouts_folder
from stream_service.settings.placeholders import find_placeholders
from stream_service.settings.profile_file import load_profile


def run(*words: str | Path) -> str:
    result = CliRunner().invoke(cli.app, [str(word) for word in words])
    if isinstance(result.exception, ConfigError | WriteError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_every_file_of_the_template_is_there() -> None:
    assert {path.name for path in (layouts_folder() / "template").iterdir()} == set(FILES)


def test_a_prefix_fills_in_every_pv(tmp_path: Path) -> None:
    run("init", tmp_path / "bl1", "--prefix", "BL1:", "--name", 'X: "1" #')
    profile = load_profile(tmp_path / "bl1" / "profile.yaml")
    assert profile.beamline == 'X: "1" #'
    assert find_placeholders(profile) == {}
    assert profile.detector.frames.pva is not None and profile.detector.frames.pva.channel == "BL1:Pva1:Image"
    attributes = (tmp_path / "bl1" / "attributes.xml").read_text()
    assert lint_attributes(attributes) == ()
    for layout in (tmp_path / "bl1").glob("*_layout.xml"):
        assert lint_layout(layout.read_text(), attributes) == ()
    assert "PLACEHOLDER:X" not in (tmp_path / "bl1" / "README.md").read_text()


def test_without_a_prefix_it_says_what_is_open(tmp_path: Path) -> None:
    said = run("init", tmp_path / "new")
    n_open = len(find_placeholders(load_profile(tmp_path / "new" / "profile.yaml")))
    assert f"{n_open} PVs still begin with PLACEHOLDER:" in said


def test_what_is_to_be_done_next_can_be_copied(tmp_path: Path) -> None:
    folder = tmp_path / "my beamline"
    said = run("init", folder, "--prefix", "BL1:")
    commands = [shlex.split(line)[1:] for line in re.findall(r"^  \d\. (ptychostream .*?)(?:   \(.*)?$", said, re.M)]
    assert [words[0] for words in commands] == ["layout", "layout", "check", "run"]
    for words in commands[:2]:
        run(*words)
    assert (folder / "layout.xml").exists()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "attributes.xml").write_text("mine")
    with pytest.raises(
        ConfigError, match=r"attributes\.xml exists already and is not overwritten: give another folder"
    ):
        run("init", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["attributes.xml"]
    run("init", tmp_path / "other")
    with pytest.raises(ConfigError, match="exists already"):
        run("init", tmp_path / "other", "--prefix", "BL1:")


@pytest.mark.parametrize(("prefix", "name"), [('BL"1:', "a"), ("BL 1:", "a"), ("BL1:", ""), ("BL1:", "two\nlines")])
def test_what_cannot_be_a_name_is_refused(tmp_path: Path, prefix: str, name: str) -> None:
    with pytest.raises(ConfigError, match=r"--(prefix|name) "):
        make_beamline_folder(tmp_path / "new", prefix, name)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match=r"cannot make a beamline's folder in .*: Not a directory"):
        make_beamline_folder(tmp_path / "file" / "new", "", "a")
    with pytest.raises(WriteError, match=r"cannot make a beamline's folder in .*: File name too long"):
        make_beamline_folder(tmp_path / ("a" * 300), "", "a")
