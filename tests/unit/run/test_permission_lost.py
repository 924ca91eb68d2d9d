"""Permission that is lost while a run goes on: what can go on does; what cannot fails with the reason, and once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import pytest
from scripted_run import Bench, frames
from without_privileges import permissions_hold

from stream_service.core.run import RunState
from stream_service.standard_file import validate_file


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Of the scan; open again at the end."""
    made = tmp_path / "scan"
    made.mkdir()
    with permissions_hold():
        yield made
        made.chmod(0o700)


def test_folder_that_is_closed_before_the_first_frame_fails_the_run_and_not_the_next(folder: Path) -> None:
    b = Bench(folder.parent, n_positions=3, path="scan")
    run = b.play(lambda: folder.chmod(0o500), b.exposed(3), frames([1, 2, 3]))
    assert run.state is RunState.FAILED
    assert "scan_std.h5: could not create the file: permission denied: let the user who runs the service" in run.message
    assert "0 of 3 frames stored" in run.message
    folder.chmod(0o700)
    assert os.listdir(folder) == []
    following = Bench(folder.parent, n_positions=3, path="scan").play(frames([1, 2, 3]))
    assert following.state is RunState.COMPLETE


@pytest.mark.parametrize("mode", [0o500, 0o000], ids=["write-protected", "closed"])
def test_folder_that_is_closed_in_mid_run_costs_nothing(folder: Path, mode: int) -> None:
    """The file in it is open."""
    b = Bench(folder.parent, n_positions=6, path="scan")
    run = b.play(frames([1, 2, 3]), b.settles(), lambda: folder.chmod(mode), frames([4, 5, 6]))
    assert run.state is RunState.COMPLETE, run.message
    folder.chmod(0o700)
    assert b.rows() == [1, 2, 3, 4, 5, 6]


def test_file_that_is_write_protected_in_mid_run_is_finished(folder: Path) -> None:
    b = Bench(folder.parent, n_positions=6, path="scan")
    run = b.play(frames([1, 2, 3]), b.settles(), lambda: b.run.setup.path.chmod(0o400), frames([4, 5, 6]))
    assert run.state is RunState.COMPLETE, run.message
    assert b.rows() == [1, 2, 3, 4, 5, 6]


def test_file_deleted_from_a_folder_that_takes_no_other_is_rescued_beside_it(folder: Path) -> None:
    b = Bench(folder.parent, n_positions=6, path="scan")

    def delete(_: Any) -> None:
        b.run.setup.path.unlink()
        folder.chmod(0o500)

    def deleted() -> None:
        assert b.run.out is not None
        b.run.out.file.call(delete)  # in the thread that looks after the file: it never finds the one without the other

    run = b.play(frames([1, 2, 3]), b.settles(), deleted, frames([4, 5]), b.settles())
    assert run.state is RunState.FAILED
    rescued = folder.parent / "scan_std.rescued.h5"
    assert f"was deleted while it was written: its rows up to then are in {rescued}" in run.message
    with h5py.File(rescued) as file:
        ids: Any = file["/entry/frames/unique_id"]
        assert ids[:, 0].tolist() == [1, 2, 3]
    assert [found for found in validate_file(rescued) if found.level == "error"] == []
