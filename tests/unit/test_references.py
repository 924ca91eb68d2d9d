"""Dark, flat and mask from files; what is wrong with a file is said in a sentence with its name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from stream_service.errors import ConfigError
from stream_service.sources.references import load_reference

IMAGE = np.arange(12.0).reshape(3, 4)


def hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["dark"] = IMAGE
        file["entry/flat"] = 2 * IMAGE
        file["entry/name"] = "a text"
        file["entry/names"] = np.array([[b"a"]])
        file["entry/number"] = 1.0


@pytest.mark.parametrize(
    ("name", "save", "location"),
    [
        ("a.npy", lambda path: np.save(path, IMAGE), "a.npy"),
        ("a.npz", lambda path: np.savez(path, dark=IMAGE, flat=2 * IMAGE), "a.npz"),
        ("a.h5", hdf5, "a.h5"),
        ("a.h5", hdf5, "a.h5:/dark"),
    ],
)
def test_image_is_found_by_its_kind_or_path(tmp_path, name, save, location):
    save(tmp_path / name)
    np.testing.assert_array_equal(load_reference(str(tmp_path / location), "dark"), IMAGE)


def test_path_in_a_file_is_followed(tmp_path):
    hdf5(tmp_path / "a.nxs")
    np.testing.assert_array_equal(load_reference(f"{tmp_path}/a.nxs:/entry/flat", "dark"), 2 * IMAGE)


def test_stack_of_frames_gives_its_median(tmp_path):
    np.save(tmp_path / "a.npy", np.stack([IMAGE, IMAGE + 1, IMAGE + 100]))
    np.testing.assert_array_equal(load_reference(str(tmp_path / "a.npy"), "dark"), IMAGE + 1)


def broken_archive(path: Path) -> None:
    np.savez_compressed(path, dark=np.random.default_rng(0).random((50, 50)))
    content = bytearray(path.read_bytes())
    content[5000:5100] = bytes(100)
    path.write_bytes(content)


def lying_header(path: Path) -> None:
    """A header that promises 7 exabytes."""
    header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 1000000000)}"
    path.write_bytes(b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + header.ljust(117).encode() + b"\n")


@pytest.mark.parametrize(
    ("location", "save", "said"),
    [
        ("a.npy", lambda path: path.write_bytes(b""), "cannot read the dark"),
        ("a.npy", lambda path: path.write_bytes(b"\x93NUMPY\x01\x00"), "cannot read the dark"),
        ("a.npy", lambda path: np.save(path, np.array([{}], object)), "cannot read the dark"),
        ("a.npy", lying_header, "cannot read the dark"),
        ("a.npy", os.mkdir, "cannot read the dark"),
        ("a.npy", lambda path: None, "No such file"),
        ("a.npy", lambda path: np.save(path, np.zeros(5)), r"has shape \(5,\); one frame"),
        ("a.npy", lambda path: np.save(path, np.zeros((0, 4))), "not an image of numbers"),
        ("a.npy", lambda path: np.save(path, np.zeros((2, 2), complex)), "not an image of numbers"),
        ("a.npy", lambda path: np.save(path, np.zeros((2, 2, 2, 2))), "one frame"),
        ("a.npz", lambda path: path.write_bytes(b"PK\x03\x04xxxx"), "cannot read the dark"),
        ("a.npz", broken_archive, "cannot read the dark"),
        ("a.npz", lambda path: np.savez(path, flat=IMAGE), "holds flat but no 'dark'"),
        ("a.h5", lambda path: path.write_bytes(b"no HDF5"), "cannot read the dark"),
        ("a.h5", lambda path: None, "cannot read the dark"),
        ("a.h5:/nothing", hdf5, "has no dataset /nothing"),
        ("a.h5:/entry", hdf5, "has no dataset /entry"),
        ("a.h5:/entry/name", hdf5, "not an image of numbers"),
        ("a.h5:/entry/names", hdf5, "not an image of numbers"),
        ("a.h5:/entry/number", hdf5, "one frame"),
        ("a.tif", lambda path: path.write_bytes(b"II*"), r"give a .npy, .npz or HDF5 file"),
    ],
)
def test_unusable_file_is_named_with_what_it_lacks(
    tmp_path: Path, location: str, save: Callable[[Path], object], said: str
):
    save(tmp_path / location.partition(":")[0])
    with pytest.raises(ConfigError, match=said) as caught:
        load_reference(str(tmp_path / location), "dark")
    assert str(tmp_path) in str(caught.value)
