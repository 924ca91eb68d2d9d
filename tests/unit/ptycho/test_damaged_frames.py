"""Commands that read the frames of a standard file say in one sentence that it is damaged, and leave nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from stream_service.cli import main as cli
from stream_service.errors import SourceError
from stream_service.standard_file import paths
from stream_service.testing.example_file import write_example

N_ROWS, SHAPE, DAMAGED = 30, (32, 32), 14
COMMANDS = {
    "export": ("--pynx", "--output", "out.cxi"),
    "orient": ("--output", "out"),
    "probe": ("--estimate", "--output", "out.cxi"),
    "recipe": ("--estimate-probe", "--output", "out.py"),
}


def compressed_and_cut(file: h5py.File) -> None:
    """One compressed frame is garbage."""
    frames: Any = file[paths.CXI_DATA]
    pixels, attributes = frames[()], dict(frames.attrs)
    names = [
        paths.CXI_DATA,
        *(name for name in (paths.DATA,) if isinstance(file.get(name, getlink=True), h5py.HardLink)),
    ]
    for name in names:
        del file[name]
    made = file.create_dataset(paths.CXI_DATA, data=pixels, chunks=(1, *SHAPE), compression="gzip")
    made.attrs.update(attributes)
    made.id.write_direct_chunk((DAMAGED, 0, 0), b"no gzip at all")
    for name in names[1:]:
        file[name] = made


def overwritten(file: h5py.File) -> None:
    """Some bytes of a frame are others, which make no numbers."""
    file[paths.DATA][DAMAGED, 10:20] = np.nan  # type: ignore[index]


@pytest.mark.parametrize("damage", [compressed_and_cut, overwritten])
@pytest.mark.parametrize("command", COMMANDS)
def test_damaged_frames_are_told_of(tmp_path: Path, command: str, damage: Callable[[h5py.File], None]) -> None:
    path = tmp_path / "scan_std.h5"
    write_example(path, N_ROWS, frame_shape=SHAPE)
    with h5py.File(path, "r+") as file:
        damage(file)
    options = [str(tmp_path / word) if word.startswith("out") else word for word in COMMANDS[command]]
    done = CliRunner().invoke(cli.app, [command, str(path), *options])
    assert isinstance(done.exception, SourceError), (done.output, done.exception)
    said = str(done.exception)
    assert str(path) in said and "\n" not in said
    assert "cannot be read" in said or f"row {DAMAGED} has good pixels that are no numbers" in said
    assert [each.name for each in tmp_path.iterdir()] == ["scan_std.h5"]


def test_undamaged_frames_are_read(tmp_path: Path) -> None:
    path = tmp_path / "scan_std.h5"
    write_example(path, N_ROWS, frame_shape=SHAPE)
    with h5py.File(path, "r+") as file:
        file[paths.MASK][3] = 1  # type: ignore[index]
        file[paths.DATA][:, 3] = np.nan  # type: ignore[index]
    done = CliRunner().invoke(cli.app, ["export", str(path), "--pynx", "--output", str(tmp_path / "out.cxi")])
    assert done.exit_code == 0, (done.output, done.exception)
