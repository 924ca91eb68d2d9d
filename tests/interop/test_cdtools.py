"""cdtools reads a standard file as any CXI file: frames, energy, geometry, mask, positions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cdtools.datasets import Ptycho2DDataset

HC_EV_M = 1.239841984e-6
"""Planck's constant times the speed of light (CODATA 2018), in eV m."""


@pytest.fixture
def dataset(standard_file: Path) -> Ptycho2DDataset:
    return Ptycho2DDataset.from_cxi(standard_file)


def test_frames_are_equal(dataset, expected) -> None:
    assert np.array_equal(dataset.patterns.numpy(), expected.frames)


def test_positions_are_those_of_the_beam_on_the_sample(dataset, expected) -> None:
    """cdtools negates the motion of the sample that CXI holds; it keeps float32."""
    assert dataset.translations.numpy()[:, :2] == pytest.approx(expected.beam_m, rel=1e-6, abs=1e-12)


def test_wavelength_follows_from_the_energy(dataset, expected) -> None:
    assert float(dataset.wavelength) == pytest.approx(HC_EV_M / expected.energy_eV, rel=1e-5)


def test_geometry_is_the_detectors(dataset, expected) -> None:
    assert dataset.detector_geometry["distance"] == pytest.approx(expected.det_dist_m)
    pitches_m = np.linalg.norm(dataset.detector_geometry["basis"], axis=0)
    assert pitches_m == pytest.approx([expected.pixel_m] * 2)


def test_bad_pixels_are_bad(dataset, expected) -> None:
    assert np.array_equal(dataset.mask.numpy().astype(bool), expected.is_good)
