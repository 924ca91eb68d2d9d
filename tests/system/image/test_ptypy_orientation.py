"""A reconstruction shows the truth, and only if orientation and position signs are right. Needs PtyPy."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import pytest
from object_truth import correlation, read_reconstruction, read_truth
from simulated_scan import SimulatedScan, run_ptychostream, simulate_scan

pytestmark = [pytest.mark.ptypy, pytest.mark.usefixtures("ptypy_python")]

MOUNTINGS = [(rotate, flip) for rotate in (0, 90) for flip in ("none", "h", "v", "hv")]
"""All eight: the other two rotations are these with another flip."""


def mostly_long(cases: Sequence[Any], always: Any) -> list[Any]:
    """A minute each: all of them with --long, one without."""
    return [pytest.param(*case, marks=() if case == always else pytest.mark.long) for case in cases]


N_ROWS = 120
SHAPE = (128, 128)


def reconstructed(file: Path, truth: Path, iterations: int) -> float:
    """Correlation of the object with the truth."""
    out = file.with_name(f"{file.stem}_recon.cxi")
    run_ptychostream("reconstruct", str(file), "--out", str(out), "--iters", str(iterations))
    return correlation(*read_reconstruction(out), read_truth(truth))


@pytest.fixture(scope="module")
def upright(tmp_path_factory: pytest.TempPathFactory) -> SimulatedScan:
    return simulate_scan(tmp_path_factory.mktemp("upright"), N_ROWS, shape=SHAPE)


@pytest.mark.parametrize(("rotate", "flip"), mostly_long(MOUNTINGS, (90, "h")))
def test_the_profiles_inverse_of_the_mounting_shows_the_truth(rotate: Any, flip: Any, tmp_path: Path) -> None:
    scan = simulate_scan(tmp_path, N_ROWS, shape=SHAPE, rotate=rotate, flip=flip)
    file = scan.ingest(tmp_path / "scan_std.h5", "--rotate", str(rotate), "--flip", flip)
    assert reconstructed(file, scan.truth, 100) >= 0.98


@pytest.mark.parametrize(("rotate", "flip"), mostly_long(MOUNTINGS[1:], (0, "hv")))
def test_any_other_orientation_fails(rotate: int, flip: str, upright: SimulatedScan, tmp_path: Path) -> None:
    file = upright.ingest(tmp_path / "scan_std.h5", "--rotate", str(rotate), "--flip", flip)
    assert reconstructed(file, upright.truth, 60) < 0.8


@pytest.mark.parametrize(("x", "y"), mostly_long([(-1, -1), (-1, 1), (1, -1)], (-1, -1)))
def test_wrong_position_sign_fails(x: int, y: int, upright: SimulatedScan, tmp_path: Path) -> None:
    raw = tmp_path / "raw.h5"
    shutil.copyfile(upright.raw, raw)
    with h5py.File(raw, "r+") as opened:
        opened["/entry/pos"][...] = opened["/entry/pos"][()] * (x, y)
    file = SimulatedScan(raw, upright.truth).ingest(tmp_path / "scan_std.h5")
    assert reconstructed(file, upright.truth, 60) < 0.8
