"""Which datasets are virtual, by their headers, in every version of the format; and that none is tried twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from h5py import h5o  # pyright: ignore[reportAttributeAccessIssue]
from old_layouts import CHUNKED, COMPACT, CONTIGUOUS, write_old

from stream_service.errors import SourceError
from stream_service.hdf5 import virtual_trial
from stream_service.hdf5.headers import LAYOUT, ObjectHeaders
from stream_service.hdf5.opening import open_hdf5
from stream_service.sources.hdf5.recording import Hdf5Paths, Hdf5Recording

VALUES = np.arange(12, dtype=np.int32).reshape(3, 4)
"""Two axes: with the size of an element there are three dimensions, and 3 is the class of a virtual dataset."""
KINDS = {"contiguous": CONTIGUOUS, "compact": COMPACT, "chunked": CHUNKED}


def layout_version(path: Path) -> int:
    """Of the dataset's layout message."""
    with h5py.File(path) as file:
        address = h5o.get_info(file["data"].id).addr
    with ObjectHeaders(path) as headers:
        return next(message[0] for kind, message in headers._messages(address) if kind == LAYOUT)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("version", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", [(12,), (3, 4), (1, 3, 4)])
def test_datasets_of_every_layout_version_are_read(
    tmp_path: Path, version: int, kind: str, shape: tuple[int, ...]
) -> None:
    path, values = tmp_path / "old.h5", VALUES.reshape(shape)
    write_old(path, version, KINDS[kind], values)
    assert layout_version(path) >= version or kind != "chunked"  # HDF5 writes 4 only for what is new in it
    with h5py.File(path) as file:
        np.testing.assert_array_equal(np.asarray(file["data"]), values)  # HDF5 itself takes it for what it is
    with open_hdf5(path).file as file:
        np.testing.assert_array_equal(file["data"][()], values)
    if len(shape) > 1:
        with Hdf5Recording(path, Hdf5Paths(data="/data")) as recording:
            assert recording.n_frames == 1


def virtual(folder: Path) -> Path:
    """A file with a virtual dataset, and what it is a view of beside it."""
    with h5py.File(folder / "frames.h5", "w") as file:
        file["image"] = VALUES
    path = folder / "scan.h5"
    with h5py.File(path, "w") as file:
        layout = h5py.VirtualLayout(VALUES.shape, VALUES.dtype)
        layout[...] = h5py.VirtualSource("frames.h5", "/image", VALUES.shape)
        file.create_virtual_dataset("data", layout)
    return path


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was asked of the process of its own, which answers as ever."""
    asked: list[Any] = []
    ask = virtual_trial.run_limited

    def counted(module: str, arguments: list[str], timeout_s: float) -> bytes:
        asked.append(arguments)
        return ask(module, arguments, timeout_s)

    monkeypatch.setattr(virtual_trial, "run_limited", counted)
    return asked


def test_a_virtual_dataset_is_tried_once(tmp_path: Path, trials: list[Any]) -> None:
    path = virtual(tmp_path)
    for _ in range(2):
        with open_hdf5(path).file as file:
            for _ in range(3):
                np.testing.assert_array_equal(file["data"][()], VALUES)
    assert trials == [[str(path), "/data"]]


def test_a_file_that_was_written_to_is_tried_again(tmp_path: Path, trials: list[Any]) -> None:
    path = virtual(tmp_path)
    with open_hdf5(path).file as file:
        assert file["data"].shape == VALUES.shape
    with h5py.File(path, "a") as file:
        file["more"] = 1
    content = path.read_bytes()
    with open_hdf5(path).file as file:
        assert file["data"].shape == VALUES.shape
    assert len(trials) == 2
    heap = content.index(b"GCOL")
    path.write_bytes(content[: heap + 16] + b"\xff" * 16 + content[heap + 32 :])
    with pytest.raises(SourceError, match="is a virtual dataset that cannot be read"), open_hdf5(path).file as file:
        file["data"]
    assert len(trials) == 3
