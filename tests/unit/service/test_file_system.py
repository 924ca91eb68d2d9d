"""Fitness of a folder for files that are read while they grow."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from stream_service.run import file_system
from stream_service.run.file_system import file_system_type, space_problem, swmr_problem

MOUNTS = """\
sysfs /sys sysfs rw 0 0
/dev/sda1 / ext4 rw,relatime 0 0
server:/data /mnt/data nfs4 rw,vers=4.2 0 0
/dev/sdb1 /mnt/data/local xfs rw 0 0
//server/share /mnt/with\\040space cifs rw 0 0
gpfs /gpfs gpfs rw 0 0
/dev/sdc1 /mnt/twice ext4 rw 0 0
server:/b /mnt/twice nfs rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/home/user", "ext4"),
        ("/mnt/data/scan", "nfs4"),
        ("/mnt/data", "nfs4"),
        ("/mnt/database", "ext4"),
        ("/mnt/data/local/scan", "xfs"),
        ("/mnt/with space/a", "cifs"),
        ("/gpfs/2026", "gpfs"),
        ("/mnt/twice/a", "nfs"),
    ],
)
def test_type_is_that_of_the_innermost_mount(tmp_path, folder, kind):
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)
    assert file_system_type(type(tmp_path)(folder), mounts) == kind


def test_where_the_kernel_does_not_tell_nothing_is_claimed(tmp_path):
    assert file_system_type(tmp_path, tmp_path / "nothing") == ""


def test_local_folder_is_fit_and_left_as_it_was(tmp_path):
    assert swmr_problem(tmp_path) is None
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("kind", "name"), [("nfs4", "NFS"), ("cifs", "SMB"), ("fuse.sshfs", "sshfs")])
def test_network_share_is_refused_with_advice(tmp_path, monkeypatch, kind, name):
    monkeypatch.setattr(file_system, "file_system_type", lambda folder: kind)
    problem = swmr_problem(tmp_path)
    assert problem is not None
    assert f"{tmp_path} is on {name}" in problem and "choose a data_root on a local disk" in problem


def test_folder_where_nothing_can_be_written_is_named(tmp_path):
    problem = swmr_problem(tmp_path / "missing")
    assert problem is not None and str(tmp_path / "missing") in problem


def test_full_disk_is_announced(tmp_path, monkeypatch):
    assert space_problem(tmp_path) is None or "GB are free" in str(space_problem(tmp_path))
    monkeypatch.setattr(os, "statvfs", lambda folder: SimpleNamespace(f_bavail=1000, f_frsize=4096))
    assert space_problem(tmp_path) == f"only 0.0 GB are free in {tmp_path}: make room before the scan"
