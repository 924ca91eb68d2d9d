"""An independent forward model, that of cdtools, fed with the true object and probe, predicts the frames of our file.

Only with positions, orientation and signs as the file has them: so their convention is not only ours.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cdtools.datasets import Ptycho2DDataset
from cdtools.tools import initializers, interactions, propagators
from conftest import DEMO

N_FRAMES = 40
TRUTH = DEMO.with_name("demo_truth.npz")


@pytest.fixture(scope="module")
def dataset() -> Ptycho2DDataset:
    if not DEMO.exists():
        pytest.skip(f"there is no {DEMO}: run make demo first")
    return Ptycho2DDataset.from_cxi(DEMO)


@pytest.fixture(scope="module")
def truth() -> dict[str, np.ndarray]:
    with np.load(TRUTH) as archive:
        return {name: archive[name] for name in ("object", "object_pixel_yx_m", "object_origin_yx_m", "probe")}


def predicted(dataset: Ptycho2DDataset, truth: dict[str, np.ndarray], translations: torch.Tensor) -> np.ndarray:
    """cdtools' patterns for these translations: its geometry, its interaction, its propagator."""
    geometry = dataset.detector_geometry
    shape = dataset.patterns.shape[-2:]
    basis = initializers.exit_wave_geometry(
        torch.as_tensor(geometry["basis"]), torch.Size(shape), dataset.wavelength, geometry["distance"]
    )
    assert np.linalg.norm(np.asarray(basis), axis=0) == pytest.approx(truth["object_pixel_yx_m"], rel=1e-4)
    in_pixels = interactions.translations_to_pixel(torch.as_tensor(basis, dtype=torch.float32), translations)
    middle = -truth["object_origin_yx_m"] / truth["object_pixel_yx_m"] - np.array(shape) // 2
    corners = in_pixels.to(torch.float64) + torch.as_tensor(middle)
    object_, probe = (torch.as_tensor(truth[name], dtype=torch.complex128) for name in ("object", "probe"))
    waves = interactions.ptycho_2D_sinc(probe, object_, corners, shift_probe=True, multiple_modes=False)
    return (propagators.far_field(waves).abs() ** 2).numpy()


def good_pixels(dataset: Ptycho2DDataset) -> np.ndarray:
    return dataset.mask.numpy().astype(bool)


def likeness(good: np.ndarray, patterns: np.ndarray, measured: np.ndarray) -> float:
    """Correlation of amplitudes over the good pixels, of what changes from frame to frame."""
    a, b = (np.sqrt(np.maximum(frames, 0))[:, good] for frames in (patterns, measured))
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    return float(np.corrcoef(a.reshape(-1), b.reshape(-1))[0, 1])


def test_the_true_object_gives_the_frames_of_the_file(dataset, truth) -> None:
    measured = dataset.patterns[:N_FRAMES].numpy()
    there = dataset.translations[:N_FRAMES]
    assert likeness(good_pixels(dataset), predicted(dataset, truth, there), measured) > 0.95


@pytest.mark.parametrize("signs", [(-1, -1), (-1, 1), (1, -1)])
def test_other_signs_of_the_positions_do_not(signs: tuple[int, int], dataset, truth) -> None:
    measured = dataset.patterns[:N_FRAMES].numpy()
    there = dataset.translations[:N_FRAMES] * torch.tensor([*signs, 1.0])
    assert likeness(good_pixels(dataset), predicted(dataset, truth, there), measured) < 0.3


def test_swapped_axes_of_the_positions_do_not(dataset, truth) -> None:
    measured = dataset.patterns[:N_FRAMES].numpy()
    there = dataset.translations[:N_FRAMES][:, [1, 0, 2]]
    assert likeness(good_pixels(dataset), predicted(dataset, truth, there), measured) < 0.3


@pytest.mark.parametrize("flip", [(1,), (2,), (1, 2)], ids=["rows", "columns", "both"])
def test_frames_turned_the_other_way_do_not(flip: tuple[int, ...], dataset, truth) -> None:
    measured = np.flip(dataset.patterns[:N_FRAMES].numpy(), axis=flip)
    measured = np.roll(measured, 1, axis=flip)  # the axis stays at n // 2
    assert likeness(good_pixels(dataset), predicted(dataset, truth, dataset.translations[:N_FRAMES]), measured) < 0.3


def test_transposed_frames_do_not(dataset, truth) -> None:
    """Of the square about the axis, since these frames are not square."""
    n = min(dataset.patterns.shape[-2:])
    rows, columns = (slice(size // 2 - n // 2, size // 2 + n // 2) for size in dataset.patterns.shape[-2:])
    patterns = predicted(dataset, truth, dataset.translations[:N_FRAMES])[:, rows, columns]
    measured = dataset.patterns[:N_FRAMES, rows, columns].numpy()
    good = good_pixels(dataset)[rows, columns]
    good &= good.T
    assert likeness(good, patterns, measured) > 0.95
    assert likeness(good, patterns, measured.transpose(0, 2, 1)) < 0.3
