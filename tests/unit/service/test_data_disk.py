"""The disk of the files: one that has gone, or takes nothing, is told before a scan is lost on another one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stream_service.errors import ConfigError
from stream_service.service import data_disk
from stream_service.service.data_disk import DataDisk, absence, mount_point


def test_folder_that_is_not_there_is_told_until_it_is_back(tmp_path: Path) -> None:
    root = tmp_path / "root"
    disk = DataDisk(root)
    assert disk.look().problem == absence(root)
    assert absence(root).startswith(f"{root} is not there: a run makes it, on the disk of /")
    root.mkdir()
    found = disk.look()
    assert found.problem == absence(root) == "" and found.free_bytes > 0
    disk.check()


def mounted_at(*folders: Path) -> Callable[[object], bool]:
    return lambda path: Path(str(path)) in (*folders, Path("/"))


def test_disk_that_was_unmounted_is_told_and_nothing_is_armed_for_the_one_below(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "proposal" / "scans"
    root.mkdir(parents=True)
    monkeypatch.setattr(data_disk.os.path, "ismount", mounted_at(tmp_path))
    disk = DataDisk(root)
    assert mount_point(root) == tmp_path and disk.look().problem == ""
    monkeypatch.setattr(data_disk.os.path, "ismount", mounted_at())
    assert disk.look().problem == (
        f"the disk at {tmp_path} is not mounted any more: mount it again, files would fill another disk"
    )
    with pytest.raises(ConfigError, match="not mounted any more"):
        disk.check()
    monkeypatch.setattr(data_disk.os.path, "ismount", mounted_at(tmp_path))
    assert disk.look().problem == ""
    disk.check()


def test_disk_of_an_automounter_is_not_taken_for_unmounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is mounted when somebody uses it, which asking whether it is mounted does not."""
    monkeypatch.setattr(data_disk.os.path, "ismount", mounted_at(tmp_path))
    disk = DataDisk(tmp_path)
    assert disk.look().problem == ""
    monkeypatch.setattr(data_disk.os.path, "ismount", mounted_at())
    found = os.statvfs(tmp_path)

    def use(path: object) -> os.statvfs_result:
        if Path(str(path)) == tmp_path:
            monkeypatch.setattr(data_disk.os.path, "ismount", mounted_at(tmp_path))
        return found

    monkeypatch.setattr(data_disk.os, "statvfs", use)
    disk.check()
    assert disk.look().problem == ""


def test_disk_of_the_system_is_never_unmounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_disk.os.path, "ismount", mounted_at())
    disk = DataDisk(tmp_path)
    assert disk.look().problem == ""
    disk.check()


def test_disk_that_has_become_read_only_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = os.statvfs(tmp_path)
    numbers = [*found, found.f_fsid][:10]
    numbers[8] = found.f_flag | os.ST_RDONLY
    monkeypatch.setattr(data_disk.os, "statvfs", lambda _: os.statvfs_result(numbers))
    place = DataDisk(tmp_path).look()
    assert place.problem == f"{tmp_path} is on a disk that is read-only" and place.free_bytes > 0
