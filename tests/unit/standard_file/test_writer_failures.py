"""Failures of disk or path: the message says what to do and what was written stays good."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
from without_privileges import permissions_hold

from stream_service.errors import WriteError
from stream_service.standard_file import StandardFile
from stream_service.standard_file.write.write_errors import write_error
from stream_service.testing.example_file import append_example_rows, example_header

FULL_DISK = """
import resource, signal, sys
import numpy as np
from stream_service.errors import WriteError
from stream_service.standard_file import StandardFile
from stream_service.testing.example_file import append_example_rows, example_header

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, 2 << 20))
header = example_header(1000, frame_shape=(64, 64), dark=None, flat=None)
file = StandardFile.create(sys.argv[1], header)
n_rows = 0
try:
    for n_rows in range(1, 1000):
        append_example_rows(file, n_rows - 1, n_rows)
        file.flush()
except WriteError as error:
    print(error)
try:
    file.append(None)
except WriteError as error:
    print(error)
print(file.n_rows)
file.close()
"""


def test_existing_file_is_never_overwritten(tmp_path):
    path = tmp_path / "a.h5"
    path.write_text("all that is left of last night")
    with pytest.raises(WriteError, match=r"a\.h5: could not create the file: it exists already .* choose another"):
        StandardFile.create(path, example_header())
    assert path.read_text() == "all that is left of last night"
    assert os.listdir(tmp_path) == ["a.h5"]


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(WriteError, match=r"nowhere/a\.h5: could not create the file: the folder does not exist"):
        StandardFile.create(tmp_path / "nowhere" / "a.h5", example_header())


def test_file_in_place_of_a_folder_is_named(tmp_path):
    (tmp_path / "data").touch()
    with pytest.raises(WriteError, match="a part of this path is a file"):
        StandardFile.create(tmp_path / "data" / "a.h5", example_header())


def test_folder_without_permission_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with permissions_hold(), pytest.raises(WriteError, match="permission denied"):
        StandardFile.create(tmp_path / "a.h5", example_header())


def test_failed_creation_leaves_nothing_behind(tmp_path):
    with pytest.raises(TypeError):
        StandardFile.create(tmp_path / "a.h5", example_header(settings={"not JSON": object()}))
    assert os.listdir(tmp_path) == []


def test_new_file_is_alone_in_its_folder(tmp_path):
    with StandardFile.create(tmp_path / "a.h5", example_header()):
        assert os.listdir(tmp_path) == ["a.h5"]


def test_file_systems_without_hard_links_get_a_rename(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EPERM, "hard links are not supported here")

    monkeypatch.setattr(os, "link", refuse)
    with StandardFile.create(tmp_path / "a.h5", example_header()):
        assert os.listdir(tmp_path) == ["a.h5"]
    with pytest.raises(WriteError, match="it exists already"):
        StandardFile.create(tmp_path / "a.h5", example_header())


def test_closed_file_takes_nothing_more(tmp_path):
    file = StandardFile.create(tmp_path / "a.h5", example_header())
    file.close()
    file.close()
    for late in (file.flush, lambda: append_example_rows(file, 0, 1), lambda: file.set_state("FAILED")):
        with pytest.raises(WriteError, match="the file is closed"):
            late()


def test_disk_that_fills_up_ends_the_file_and_keeps_the_rows(tmp_path):
    path = tmp_path / "a.h5"
    child = subprocess.run([sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    assert child.stderr == ""
    first, second, n_rows = child.stdout.splitlines()
    assert first.startswith(f"{path}: could not write rows: ")
    assert "ulimit -f" in first
    assert "nothing more can be written after an earlier failure" in second
    with h5py.File(path, "r", swmr=True) as file:
        keys = file["/entry/live/key_data"][()]
        assert np.count_nonzero(keys) == int(n_rows) > 10
        data = file["/entry/data"][: int(n_rows)]
        assert np.array_equal(data[:, 0, 0], 64 * 64 * np.arange(int(n_rows)))
        assert file["/entry/pos"].shape[0] >= int(n_rows)


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (OSError(errno.ENOSPC, "no"), "the disk is full: free space or choose another folder"),
        (RuntimeError("Unable to flush (file write failed: errno = 28, error message = 'No'"), "the disk is full"),
        (OSError("[Errno 11] unable to lock file, errno = 11"), "another process holds a lock"),
        (OSError(errno.EDQUOT, "no"), "quota"),
        (OSError(errno.EPIPE, "no"), os.strerror(errno.EPIPE)),
        (RuntimeError("something odd\nwith details"), "something odd."),
    ],
)
def test_message_says_what_to_do(tmp_path, error, advice):
    message = str(write_error(tmp_path, "write rows", error))
    assert message.startswith(f"{tmp_path}: could not write rows: ")
    assert advice in message
    assert "\n" not in message


def test_rows_before_an_error_of_the_caller_are_kept(tmp_path):
    path = tmp_path / "a.h5"
    with pytest.raises(ZeroDivisionError), StandardFile.create(path, example_header()) as file:
        append_example_rows(file, 0, 3)
        raise ZeroDivisionError
    with h5py.File(path, "r") as closed:
        assert closed["/entry/data"].shape[0] == 3
