"""The wheel is whole: built as a release is, installed without the checkout, run without writing into it."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stream_service.testing.example_file import write_example
from stream_service.testing.loopback import process_environment

CHECKOUT = Path(__file__).resolve().parents[3]
TOP_LEVEL = {"stream_service", "iocsim", "ptychostream_devices", "ptychostream_plans"}


def run(command: list[str | Path], cwd: Path) -> str:
    """Standard output of a command that must succeed, run away from the checkout."""
    environment = process_environment({"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})
    for name in ("PYTHONPATH", "NUMBA_CACHE_DIR"):
        environment.pop(name, None)
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel built from that sdist, as a release is made."""
    folder = tmp_path_factory.mktemp("release")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, CHECKOUT]
    run([*map(str, build)], folder)
    return folder


@pytest.fixture(scope="module")
def wheel(release: Path) -> Path:
    (path,) = release.glob("*.whl")
    return path


@dataclass(frozen=True)
class Installation:
    """The wheel in a virtual environment of its own, which nobody may write to."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def packages(self) -> Path:
        (found,) = self.folder.glob("lib/python3*/site-packages")
        return found

    def files(self) -> dict[str, tuple[int, int]]:
        """Size and time of change of every file."""
        found = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in found}


@pytest.fixture(scope="module")
def installation(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Installed without network: what it depends on is seen in the environment that runs this test."""
    folder = tmp_path_factory.mktemp("installation")
    venv.create(folder, with_pip=False, symlinks=True)
    installed = Installation(folder)
    pip = [sys.executable, "-m", "pip", "--python", installed.python, "--disable-pip-version-check", "install"]
    run([*pip, "--no-deps", "--no-index", wheel], folder)
    # A path in a .pth file is searched after the environment's own packages, and .pth files in it are not read: the
    # checkout that is installed there stays unseen.
    (installed.packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    set_writable(folder, False)
    yield installed
    set_writable(folder, True)


def set_writable(folder: Path, writable: bool) -> None:
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | 0o200 if writable else mode & ~0o222)


def test_wheel_holds_our_packages_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == TOP_LEVEL
    assert "stream_service/xml_layouts/sim/profile.yaml" in names
    assert "stream_service/run_report/page.html" in names
    assert not [name for name in names if "test" in Path(name).parent.parts or name.endswith((".pyc", ".h5"))]


def test_wheel_holds_every_layout_screen_and_module(wheel: Path) -> None:
    shelves = {"stream_service": "", "iocsim": "", "ophyd_devices": "ophyd_devices/", "plans": "plans/"}
    expected = {
        str(path.relative_to(CHECKOUT)).removeprefix(prefix)
        for shelf, prefix in shelves.items()
        for path in (CHECKOUT / shelf).rglob("*.py")
    }
    expected |= {f"stream_service/{path.relative_to(CHECKOUT)}" for path in (CHECKOUT / "xml_layouts").rglob("*.*")}
    expected |= {f"stream_service/{path.relative_to(CHECKOUT)}" for path in (CHECKOUT / "screens").glob("*.bob")}
    with zipfile.ZipFile(wheel) as archive:
        assert expected <= set(archive.namelist())


def test_sdist_holds_what_make_needs(release: Path) -> None:
    (path,) = release.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "Makefile",
        ".ci/run",
        ".ci/venv",
        "constraints.txt",
        "pyproject.toml",
        "LICENSE",
        "tests/conftest.py",
    } <= names
    assert not [name for name in names if name.startswith((".venv", ".git/", "demo-output"))]


def test_code_comes_from_the_wheel(installation: Installation, tmp_path: Path) -> None:
    modules = " ".join(f"print({name}.__file__);" for name in sorted(TOP_LEVEL))
    code = f"import {', '.join(sorted(TOP_LEVEL))}; {modules}"
    for line in run([installation.python, "-c", code], tmp_path).split():
        assert Path(line).is_relative_to(installation.packages)


def test_packaged_profile_is_found_and_loads(installation: Installation, tmp_path: Path) -> None:
    code = (
        "from stream_service.settings.profile_file import load_profile;"
        "from stream_service.settings.beamlines import profile_path;"
        "path = profile_path('sim'); load_profile(path); print(path)"
    )
    found = Path(run([installation.python, "-c", code], tmp_path).strip())
    assert found == installation.packages / "stream_service" / "xml_layouts" / "sim" / "profile.yaml"


@pytest.mark.parametrize("command", ["ptychostream", "iocsim"])
def test_commands_are_installed(installation: Installation, tmp_path: Path, command: str) -> None:
    assert "Usage" in run([installation.folder / "bin" / command, "--help"], tmp_path)


def test_running_writes_nothing_into_the_installation(installation: Installation, tmp_path: Path) -> None:
    """Root may write where nobody may, so the files are compared, too."""
    before = installation.files()
    command = installation.folder / "bin" / "ptychostream"
    assert "next:" in run([command, "init", "bl1", "--prefix", "BL1:"], tmp_path)
    run([command, "layout", "render", "bl1/beamline_cxi_layout.xml", "--profile", "bl1/profile.yaml"], tmp_path)
    write_example(tmp_path / "scan.h5", 4)
    run([command, "validate", "scan.h5"], tmp_path)
    assert installation.files() == before


@pytest.mark.further  # for it compiles
def test_demo_writes_nothing_into_the_installation(installation: Installation, tmp_path: Path) -> None:
    before = installation.files()
    command = installation.folder / "bin" / "ptychostream"
    run([command, "demo", "--points", "10", "--out", "demo"], tmp_path)
    recorded, profile = (tmp_path / "demo" / name for name in ("demo_raw.h5", "demo_profile.yaml"))
    run([command, "ingest", "hdf5", "--input", recorded, "--output", "made.h5", "--profile", profile], tmp_path)
    run([command, "validate", "made.h5"], tmp_path)
    assert installation.files() == before


def test_build_leaves_the_checkout_as_it_was(release: Path) -> None:
    assert not any((CHECKOUT / name).exists() for name in ("build", "dist", "ptychostream.egg-info"))
    assert os.listdir(release)
