"""The masks that files hold themselves are taken, whatever their name, type and layout, and told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hdf5_trees import cxi_tree, seed_tree, write_areadetector, write_tree
from hdf5_writer import SHAPE

from stream_service.sources.hdf5.recording import Hdf5Paths, Hdf5Recording

BAD = np.zeros(SHAPE, bool)
BAD[1, 2], BAD[3] = True, True
UNKNOWN = Hdf5Paths(data="/entry/data/data_000001", pos_x="/x", pos_y="/y", pos_unit="um")


def mask_in(path: Path, paths: Hdf5Paths = Hdf5Paths()) -> tuple[Any, list[str]]:  # noqa: B008
    with Hdf5Recording(path, paths) as recording:
        return recording.references.get("mask"), [note for note in recording.notes if "mask" in note]


@pytest.mark.parametrize(
    "place",
    [
        "/entry/instrument/detector/pixel_mask",
        "/entry/instrument/detector/detectorSpecific/pixel_mask",
        "/somewhere/bad",
        "/bad_pixels",
    ],
)
@pytest.mark.parametrize("mask", [BAD, BAD * np.uint32(1 << 8), BAD[None].astype("i4"), BAD.astype("f4")])
def test_mask_of_areadetector_file_is_found_by_its_name(tmp_path, place, mask):
    path = write_areadetector(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        file[place] = mask
    found, notes = mask_in(path)
    np.testing.assert_array_equal(found, BAD)
    assert notes == [f"{place} is taken as a mask: it calls {BAD.sum()} pixels bad"]


def test_mask_of_an_eiger_master_file_stands_in_another_file(tmp_path):
    write_tree(tmp_path / "meta.h5", {"/pixel_mask": BAD * np.uint32(8)})
    link = h5py.ExternalLink("meta.h5", "/pixel_mask")
    frames = np.ones((4, *SHAPE), "u4")
    tree = {"/entry/data/data_000001": frames, "/x": np.arange(4.0), "/y": np.arange(4.0)}
    path = write_tree(tmp_path / "a.h5", tree | {"/entry/instrument/detector/detectorSpecific/pixel_mask": link})
    np.testing.assert_array_equal(mask_in(path, UNKNOWN)[0], BAD)


@pytest.mark.parametrize("tree", [seed_tree, cxi_tree])
def test_mask_of_the_schema_and_other_masks_add_up(tmp_path, tree):
    other = np.zeros(SHAPE, "u1")
    other[0, 0] = 1
    place = "/entry/mask" if tree is seed_tree else "/entry_1/instrument_1/detector_1/mask"
    path = write_tree(tmp_path / "a.h5", tree() | {place: other, "/entry_2/bad": BAD})
    np.testing.assert_array_equal(mask_in(path)[0], BAD | (other != 0))


def test_both_masks_of_cxi_count_and_signal_is_no_fault(tmp_path):
    detector = "/entry_1/instrument_1/detector_1"
    flags = np.full(SHAPE, 0x1000, "u4")
    flags[0, 0] |= 8
    tree = cxi_tree() | {f"{detector}/mask": BAD, f"{detector}/detectorSpecific/pixel_mask": flags}
    found = mask_in(write_tree(tmp_path / "a.cxi", tree))[0]
    np.testing.assert_array_equal(found, BAD | (flags > 0x1000))


def test_dataset_of_that_name_that_is_no_mask_is_left_out_and_told(tmp_path):
    path = write_areadetector(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        file["bad"], file["pixel_mask"] = np.arange(3), np.zeros((2, 2), "u4")
        file["bad_pixels"] = b"none"
    found, notes = mask_in(path)
    assert found is None
    assert notes == ["/pixel_mask is left out: (2, 2) uint32 is not a mask of these frames"]
