"""A recorded scan keeps its name, whatever the output is called."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from stream_service.cli import main as cli
from stream_service.errors import ConfigError
from stream_service.run.recorded.ingest_settings import IngestSettings
from stream_service.run.recorded.recorded_scan import scan_name
from stream_service.testing.example_file import write_example
from stream_service.testing.memory_recording import MemoryRecording, attributes_of, frames_of


def recording(path: str, title: str = "") -> MemoryRecording:
    return MemoryRecording(frames_of(2), attributes_of(2), path=Path(path), title=title)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/data/scan001.h5", "scan001"),
        ("/data/first_raw.h5", "first"),
        ("demo_std.h5", "demo"),
        ("scan002_*.tif", "scan002"),
        ("scan002_[0-9][0-9].tif", "scan002"),
        ("*.tif", "scan"),
    ],
)
def test_a_file_without_a_title_names_its_scan(path: str, name: str) -> None:
    assert scan_name(recording(path), IngestSettings()) == name


def test_title_comes_before_the_name_of_the_file_and_the_operator_before_both() -> None:
    assert scan_name(recording("a.h5", "i08-1-12"), IngestSettings()) == "i08-1-12"
    assert scan_name(recording("a.h5", "i08-1-12"), IngestSettings(scan_id="mine")) == "mine"


def write_seed(path: Path, **more: object) -> Path:
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry")
        entry["data"], entry["pos"] = np.ones((3, 6, 8), np.uint16), np.arange(6).reshape(3, 2) * 1e-6
        entry["energy_eV"], entry["det_dist_m"], entry["pixel_m"], entry["exposure_s"] = 710.0, 0.1, 1e-5, 0.01
        for name, value in more.items():
            entry[name] = value
    return path


def named(source: Path, output: Path, *options: str) -> str:
    result = CliRunner().invoke(cli.app, ["ingest", "hdf5", str(source), "--output", str(output), *options])
    if isinstance(result.exception, ConfigError):
        raise result.exception
    assert result.exit_code == 0, result.output
    with h5py.File(output) as file:
        assert file["/entry_1/title"][()] == file["/entry/run/scan_id"][()]
        return file["/entry/run/scan_id"][()].decode()


def test_ingest_takes_the_name_from_the_file(tmp_path: Path) -> None:
    write_example(tmp_path / "ours.h5", 3, scan_id="sample7_042")
    assert named(tmp_path / "ours.h5", tmp_path / "1.h5") == "sample7_042"
    titled = write_seed(tmp_path / "theirs.h5", title="Nickel, 3rd try", entry_identifier=np.bytes_(b"i08-1-12"))
    assert named(titled, tmp_path / "2.h5") == "i08-1-12"
    assert named(titled, tmp_path / "3.h5", "--scan-id", "mine") == "mine"


@pytest.mark.further(but=2)
@pytest.mark.parametrize("title", ["", "x" * 200, "two\nlines", np.arange(3), 5.0, [b"a", b"b"]])
def test_what_is_no_name_is_passed_over(tmp_path: Path, title: object) -> None:
    assert named(write_seed(tmp_path / "scan9.h5", title=title), tmp_path / "out.h5") == "scan9"


def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--scan-id 'a/b' cannot be a file name: use letters"):
        named(write_seed(tmp_path / "scan9.h5"), tmp_path / "out.h5", "--scan-id", "a/b")
