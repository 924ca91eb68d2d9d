"""The scripts behind `make`: which Pythons they find, and where they write when the checkout is not theirs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
NOBODY = 65534
TOOLS = "/usr/bin:/bin"


@pytest.fixture
def others_checkout() -> Iterator[Path]:
    """A checkout that the user of `as_reader` can read and not write."""
    folder = Path(tempfile.mkdtemp(prefix="ptychostream-"))  # pytest's own folders are closed to other users
    checkout = folder / "a checkout"
    shutil.copytree(CHECKOUT / ".ci", checkout / ".ci")
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(CHECKOUT / name, checkout)
    (folder / "home").mkdir()
    folder.chmod(0o755)
    checkout.chmod(0o555)
    if os.getuid() == 0:
        os.chown(folder / "home", NOBODY, NOBODY)
    yield checkout
    checkout.chmod(0o755)
    shutil.rmtree(folder)


def as_reader(checkout: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """As another user, where this one is root and may write everywhere."""
    environment = {"PATH": TOOLS, "HOME": str(checkout.parent / "home")} | variables
    user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 else {}
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False, **user)  # type: ignore[call-overload]


def test_a_checkout_of_ones_own_is_where_all_is_written(others_checkout: Path) -> None:
    others_checkout.chmod(0o777)
    assert as_reader(others_checkout, ".ci/place").stdout == ".\n"


def test_in_a_checkout_of_others_all_goes_below_the_cache_folder(others_checkout: Path) -> None:
    home = others_checkout.parent / "home"
    place = Path(as_reader(others_checkout, ".ci/place").stdout.strip())
    assert place.parent == home / ".cache" / "ptychostream" and place.is_dir()
    xdg = as_reader(others_checkout, ".ci/place", XDG_CACHE_HOME=str(home / "xdg")).stdout.strip()
    assert Path(xdg).parent == home / "xdg" / "ptychostream"
    told = as_reader(others_checkout, "make", "--dry-run", "demo", "test", "lint").stdout
    assert f"'{place}/.venv/bin'/ptychostream demo --output '{place}/demo-output'" in told
    assert f"cache_dir='{place}/.venv/caches/pytest'" in told


@pytest.mark.parametrize("command", [".ci/venv test", "make demo", "make test"])
def test_without_any_place_one_sentence_says_what_to_do(others_checkout: Path, command: str) -> None:
    done = as_reader(others_checkout, *command.split(), HOME="/nonexistent")
    assert done.returncode != 0
    sentences = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert len(sentences) == 1 and "make VENV=/some/folder/venv OUT=/some/folder/demo" in sentences[0]
    assert not done.stdout


def test_a_folder_named_by_the_user_must_be_writable(others_checkout: Path) -> None:
    done = as_reader(others_checkout, "make", "test", "VENV=/proc/venv")
    assert done.returncode != 0 and "/proc/venv cannot be written" in done.stderr


def fake_python(path: Path, version: str, *, has_venv: bool = True) -> None:
    """A program that answers as a Python of this version would; an empty version does not run at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    questions = f"*version_info*) echo {version};; *executable*) echo $0;; *) exit {int(not has_venv)};;"
    path.write_text("#!/bin/bash\n" + (f'case "$2" in {questions} esac\n' if version else "exit 127\n"))
    path.chmod(0o755)


def pythons(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Pythons found when `folder` has all of PATH and of pyenv's versions."""
    path = folder / "bin"
    path.mkdir(exist_ok=True)
    for tool in ("bash", "env", "sort"):
        (path / tool).symlink_to(shutil.which(tool, path=TOOLS) or "")
    environment = {"PATH": str(path), "HOME": str(folder / "home"), "PYENV_ROOT": str(folder / "pyenv")} | variables
    return subprocess.run([CHECKOUT / ".ci" / "pythons"], env=environment, capture_output=True, text=True, check=False)


def test_pythons_are_found_on_path_and_among_pyenvs_newest_first(tmp_path: Path) -> None:
    fake_python(tmp_path / "bin" / "python3.13", "")  # a shim of pyenv without its version
    fake_python(tmp_path / "bin" / "python3", "3.12")
    for patch, version in (("3.14.1", "3.14"), ("3.13.2", "3.13"), ("3.13.10", "3.13"), ("3.10.1", "3.10")):
        fake_python(tmp_path / "pyenv" / "versions" / patch / "bin" / f"python{version}", version)
    pyenv = tmp_path / "pyenv" / "versions"
    assert pythons(tmp_path).stdout.splitlines() == [
        f"3.14 {pyenv}/3.14.1/bin/python3.14",
        f"3.13 {pyenv}/3.13.10/bin/python3.13",
        f"3.12 {tmp_path}/bin/python3",
    ]


@pytest.mark.parametrize(
    ("version", "has_venv", "named", "said"),
    [
        ("3.10", True, False, "(python3 is Python 3.10): on Debian 12 or newer, sudo apt install python3 python3-venv"),
        ("3.15", True, False, "(python3 is Python 3.15)"),
        ("3.12", False, False, "python3 lacks venv: on Debian, sudo apt install python3-venv"),
        ("", True, True, "it does not run"),
        ("3.9", True, True, "is Python 3.9"),
    ],
)
def test_what_is_missing_is_said_in_one_sentence(
    tmp_path: Path, version: str, has_venv: bool, named: bool, said: str
) -> None:
    fake_python(tmp_path / "bin" / "python3", version, has_venv=has_venv)
    done = pythons(tmp_path, **({"PYTHON": "python3"} if named else {}))
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("Python 3.11 to 3.14 with its venv module is needed")
    assert said in done.stderr


def test_this_very_python_is_one_of_those_that_are_tested(tmp_path: Path) -> None:
    found = pythons(tmp_path, PYTHON=sys.executable).stdout
    assert found.split()[0] == f"{sys.version_info[0]}.{sys.version_info[1]}"


def ci_run(folder: Path, fails_at: str) -> tuple[int, list[str]]:
    """Exit code of `.ci/run` where this task of make fails, and what make was asked for."""
    shutil.copytree(CHECKOUT / ".ci", folder / ".ci")
    for version in ("3.11", "3.13"):
        fake_python(folder / "pyenv" / "versions" / f"{version}.1" / "bin" / f"python{version}", version)
    make = folder / "bin" / "make"
    make.parent.mkdir()
    make.write_text(f'#!/bin/bash\necho "$@" >>{folder}/asked\n[[ "$*" != *"{fails_at}" ]]\n')
    make.chmod(0o755)
    (folder / "bin" / "chromium").symlink_to(shutil.which("true") or "/bin/true")  # CI would install one
    environment = {"PATH": f"{folder}/bin:{TOOLS}", "PYENV_ROOT": str(folder / "pyenv"), "HOME": str(folder)}
    done = subprocess.run([folder / ".ci" / "run"], env=environment, capture_output=True, check=False)
    return done.returncode, (folder / "asked").read_text().splitlines()


def test_newest_python_runs_everything_and_the_oldest_a_selection(tmp_path: Path) -> None:
    code, asked = ci_run(tmp_path, "nothing")
    assert code == 0
    newest, oldest = asked.index(next(line for line in asked if line.endswith("lint types test"))), asked[-1]
    assert ".venv-3.13" in asked[newest] and ".venv-3.11" in oldest
    assert "test ARGS=--one-case --" in oldest and oldest.endswith(" tests/unit tests/system/project/test_demo.py")
    assert sum(line.endswith(" venv") for line in asked) == 1, "both environments are made at once"


def test_what_the_selection_leaves_out_exists(tmp_path: Path) -> None:
    _, asked = ci_run(tmp_path, "nothing")
    left_out = re.findall(r"--(?:ignore|deselect)=(\S+)", asked[-1])
    assert left_out
    for place in left_out:
        path, _, name = place.partition("::")
        assert f"def {name}" in (CHECKOUT / path).read_text(encoding="utf-8"), place


@pytest.mark.parametrize("task", [" lint types test", " venv", "tests/system/project/test_demo.py"])
def test_a_failing_task_of_either_python_fails_it_all(tmp_path: Path, task: str) -> None:
    assert ci_run(tmp_path, task)[0] != 0
