"""ptychodus opens a standard file as CXI diffraction data; positions it takes from files of reconstructions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ptychodus.plugins.cxi_file import CXIDiffractionFileReader


@pytest.fixture
def dataset(standard_file: Path):
    return CXIDiffractionFileReader().read(standard_file)


def test_frames_are_equal(dataset, expected) -> None:
    frames = np.concatenate([array.get_patterns() for array in dataset])
    assert np.array_equal(frames, expected.frames)


def test_energy_and_geometry_are_ours(dataset, expected) -> None:
    metadata = dataset.get_metadata()
    assert metadata.photon_energy_eV == pytest.approx(expected.energy_eV)
    assert metadata.detector_distance_m == pytest.approx(expected.det_dist_m)
    assert metadata.detector_pixel_geometry.width_m == pytest.approx(expected.pixel_m)
    assert metadata.detector_pixel_geometry.height_m == pytest.approx(expected.pixel_m)


def test_bad_pixels_are_bad(dataset, expected) -> None:
    assert np.array_equal(dataset.get_bad_pixels(), ~expected.is_good)
