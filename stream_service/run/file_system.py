"""Fitness of a place for a new file that is read while it grows."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import h5py
import numpy as np

from stream_service.errors import OutputPathError, WriteError
from stream_service.standard_file import GuardedFile, write_error

NETWORK_TYPES = {"nfs": "NFS", "nfs4": "NFS", "cifs": "SMB", "smb3": "SMB", "smbfs": "SMB", "fuse.sshfs": "sshfs"}
"""SWMR needs ordered writes that these do not promise (HDF5 documentation, SWMR; local disks, GPFS and Lustre do)."""
LITTLE_SPACE_BYTES = 5 << 30


def check_new_file(path: Path) -> None:
    """Make the folder and see that a new file can be written there; raises `OutputPathError` or `WriteError`."""
    try:
        if path.exists() or os.path.lexists(path):  # a link to nothing has the name, too
            raise OutputPathError(f"{path} exists already and is never overwritten: choose another scan_id or folder")
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"cannot make the folder {path.parent}: {error.strerror}") from error
    if not os.access(path.parent, os.W_OK):
        raise WriteError(f"no permission to write into {path.parent}: check its owner and the service's user")
    if problem := swmr_problem(path.parent):
        raise WriteError(problem)


def swmr_problem(folder: Path) -> str | None:
    """Problem of a live file in `folder`, in one sentence; None if there is none. Writes a small file to find out."""
    kind = file_system_type(folder)
    if kind in NETWORK_TYPES:
        return (
            f"{folder} is on {NETWORK_TYPES[kind]}, where HDF5 files cannot be read while they grow (SWMR): "
            "choose a data_root on a local disk, GPFS or Lustre"
        )
    try:
        with tempfile.TemporaryDirectory(prefix=".ptychostream-check-", dir=folder) as trial:
            _try_swmr(Path(trial) / "trial.h5")
    except OSError as error:
        return str(write_error(folder, "make a file that is read while it grows (SWMR)", error))
    return None


def space_problem(folder: Path) -> str | None:
    """A sentence if there is little room left."""
    free_bytes = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    if free_bytes < LITTLE_SPACE_BYTES:
        return f"only {free_bytes / 1e9:.1f} GB are free in {folder}: make room before the scan"
    return None


def file_system_type(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """The type of the file system that holds `folder`, as the kernel names it; empty where the kernel does not tell."""
    try:
        lines = mounts.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    folder = folder.resolve()
    best, kind = "", ""
    for line in lines:
        fields = line.split()
        point = fields[1].replace("\\040", " ")
        if len(point) >= len(best) and folder.is_relative_to(point):
            best, kind = point, fields[2]
    return kind


def _try_swmr(path: Path) -> None:
    with GuardedFile(path, libver="latest") as writer:
        values = writer.create_dataset("values", (0,), np.int32, maxshape=(None,), chunks=(16,))
        writer.swmr_mode = True
        values.resize((1,))
        values[0] = 1
        values.flush()
        with h5py.File(path, "r", libver="latest", swmr=True) as reader:
            found = reader["values"]
            if not isinstance(found, h5py.Dataset) or len(found) != 1:
                raise OSError("a reader does not see what was flushed")
