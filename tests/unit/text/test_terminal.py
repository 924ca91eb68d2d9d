"""Text of files, names and services reaches the terminal as text: no control character, no markup, no failure."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from rich.table import Table

from stream_service.testing.example_file import write_example
from stream_service.text.printable import printable
from stream_service.text.terminal import NOTE, Terminal, bold

EVIL = "\x1b]0;owned\x07\x1b[2Jx\r\x9b[31m\x08[/red][bold]y\u2028\u202e\udcff:smile:"
COMMAND = [sys.executable, "-m", "stream_service.cli"]
OPTICS = {"kind": "zone_plate", "zone_plate_diameter_m": 1.2e-4, "outermost_zone_width_m": 4e-8, "defocus_m": 1e-6}
SCAN: dict[str, Any] = {"frame_shape": (48, 56), "optics": OPTICS, "pixel_m": 75e-6, "det_dist_m": 0.05}
HOSTILE_FOLDER = "µ\x1b[2J["
"""With the slash and the name of a file it closes a tag of markup: `[/red]`."""
LOCALES = {
    "UTF-8": {"LC_ALL": "C.UTF-8"},
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "Latin-1": {"PYTHONIOENCODING": "latin-1"},
}


def shown(*objects: object) -> str:
    console = Terminal()
    with console.capture() as capture:
        console.print(*objects, soft_wrap=True)
    return capture.get()


def assert_harmless(text: str) -> None:
    assert all(each.isprintable() or each in "\n\t" for each in text), ascii(text)


def test_control_characters_are_shown_and_not_sent() -> None:
    assert_harmless(shown(NOTE, EVIL))
    assert_harmless(shown(bold(EVIL), EVIL))
    table = Table(EVIL)
    table.add_row(EVIL)
    assert_harmless(shown(table))
    assert "\\x1b[2J" in shown(EVIL)


def test_a_bracket_is_a_bracket() -> None:
    assert shown("[/] [bold]x[/bold] :smile:") == "[/] [bold]x[/bold] :smile:\n"


def test_line_ends_of_our_own_sentences_stay() -> None:
    assert shown("one\ntwo") == "one\ntwo\n"


def test_one_line_has_no_line_end_that_any_tool_would_take_for_one() -> None:
    text = "".join(map(chr, range(0x3000))) + "\ud800\udfff"
    assert len(printable(text).splitlines()) == 1
    assert printable("µ é 样") == "µ é 样"


def run(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG"))}
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        env=environment | variables,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
    )


@pytest.fixture
def hostile_file(tmp_path: Path) -> Path:
    """A standard file of a hostile name, with hostile names and texts in it."""
    file = tmp_path / HOSTILE_FOLDER / "] é.h5"
    file.parent.mkdir()
    write_example(file, 8, **SCAN)
    with h5py.File(file, "r+") as opened:
        opened["/entry/run/state"][...] = np.bytes_(EVIL.encode("utf-8", "replace")[:12])
        opened["/entry/\x1b[2J["] = 1
        opened["/entry_1"].attrs["default"] = "\x1b[2J[/]"
    return file


@pytest.mark.further(but=2)
@pytest.mark.parametrize(
    ("command", "locale"),
    [
        ("validate FILE", "UTF-8"),
        ("validate FILE", "C"),
        ("ingest hdf5 --input FILE --output FOLDER/out].h5", "UTF-8"),
        ("ingest hdf5 --input FILE --output FOLDER/out].h5", "C"),
        ("recipe FILE", "C"),
        ("export FILE --pynx --out FOLDER/].cxi", "UTF-8"),
        ("replay FILE --out FOLDER --rate 1000", "C"),
        ("layout lint FOLDER/].xml", "UTF-8"),
        ("status --prefix FOLDER: --timeout-s 0.1", "C"),
        ("run FOLDER/].yaml", "UTF-8"),
        pytest.param("recipe FILE", "UTF-8", marks=pytest.mark.long),
        pytest.param("export FILE --pynx --out FOLDER/].cxi", "C", marks=pytest.mark.long),
        pytest.param("replay FILE --out FOLDER --rate 1000", "UTF-8", marks=pytest.mark.long),
        pytest.param("layout lint FOLDER/].xml", "C", marks=pytest.mark.long),
        pytest.param("status --prefix FOLDER: --timeout-s 0.1", "UTF-8", marks=pytest.mark.long),
        pytest.param("run FOLDER/].yaml", "C", marks=pytest.mark.long),
    ],
)
def test_no_command_fails_or_sends_what_is_in_a_file(hostile_file: Path, command: str, locale: str) -> None:
    places = {"FILE": str(hostile_file), "FOLDER": str(hostile_file.parent)}
    words = []
    for word in command.split():
        for name, path in places.items():
            word = word.replace(name, path)
        words.append(word)
    done = run(*words, **LOCALES[locale])
    said = done.stdout + done.stderr
    assert "Traceback" not in said, said
    assert said and "\x1b" not in said, ascii(said)


def test_a_layout_goes_to_a_pipe_as_it_is_in_every_locale(tmp_path: Path) -> None:
    text = (Path(__file__).resolve().parents[3] / "xml_layouts/template/beamline_cxi_layout.xml").read_text("utf-8")
    layout = tmp_path / "layout.xml"
    layout.write_text(text.replace("<hdf5_layout", "<!-- µ é 样 -->\n<hdf5_layout", 1), encoding="utf-8")
    for variables in LOCALES.values():
        done = run("layout", "render", layout, "--profile", "sim", **variables)
        assert "<!-- µ é 样 -->" in done.stdout, done.stderr


@pytest.mark.further
def test_commands_work_for_a_user_without_a_folder_to_write_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    nowhere = {
        "HOME": str(tmp_path / "file"),
        "XDG_CACHE_HOME": str(tmp_path / "file" / "cache"),
        "TMPDIR": str(tmp_path),
    }
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    write_example(tmp_path / "in.h5", 4)
    done = run("ingest", "hdf5", "--input", tmp_path / "in.h5", "--output", tmp_path / "out.h5", **nowhere)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.glob("ptychostream-*")), "what was compiled is removed"


@pytest.mark.further(but=1)
@pytest.mark.parametrize(
    "command",
    [
        "stream_service.cli demo --help",
        "iocsim --help",
        "ptychostream_plans.scan --help",
        "ptychostream_plans.preview fermat",
    ],
)
def test_a_terminal_without_micro_is_no_reason_to_fail(command: str, tmp_path: Path) -> None:
    environment = os.environ | LOCALES["C"] | {"MPLBACKEND": "Agg"}
    done = subprocess.run(
        [sys.executable, "-m", *command.split()],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
