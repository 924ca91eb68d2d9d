"""STXM and DPC of a simulated scan against its sample, whatever way the camera is mounted.

In the focus the shift of the centre of mass is the gradient of the object's phase, weighted with the light that
passes. Out of it the curvature of the beam adds what the object absorbs.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from evaluated_scans import evaluated
from simulated_scan import SimulatedScan, ingest_hdf5, simulate_scan

from stream_service.quality_report.evaluation import Evaluation

Floats = npt.NDArray[np.float64]
N_ROWS, SHAPE = 144, (64, 64)
MOUNTINGS = [(rotate, flip) for rotate in (0, 90, 180, 270) for flip in ("none", "h")]
"""Of the camera: all eight."""
NOT_TRANSPOSED = {(0, "none"): "[1, 1]", (0, "h"): "[1, -1]", (180, "none"): "[-1, -1]", (180, "h"): "[-1, 1]"}
"""Those that `axis_signs` say, if the frames are stored as the camera gives them."""
PROFILE = Path(__file__).parents[3] / "xml_layouts" / "sim" / "profile.yaml"


class Likeness(NamedTuple):
    """Correlation over the rows of a scan."""

    stxm: float
    """Of ln(counts) with the logarithm of the transmission."""
    dpc_x: float
    """With the gradient of the phase along x."""
    dpc_y: float
    x_with_y: float
    """Of DPC-X with the gradient along y."""
    y_with_x: float


def likeness(found: Evaluation, truth: Path) -> Likeness:
    """Of the values of rows, and what the sample has where the beam was."""
    transmission, along_x, along_y = seen_by_the_probe(truth, found.numbers["x_m"], found.numbers["y_m"])
    pairs = (
        (found.stxm, np.log(transmission)),
        (found.dpc_x, along_x),
        (found.dpc_y, along_y),
        (found.dpc_x, along_y),
        (found.dpc_y, along_x),
    )
    return Likeness(*(float(np.corrcoef(measured, true)[0, 1]) for measured, true in pairs))


def seen_by_the_probe(path: Path, x_m: Floats, y_m: Floats) -> tuple[Floats, Floats, Floats]:
    """(n,) each: share of the light that passes; gradient of the object's phase along x and y, over that light."""
    with np.load(path) as truth:
        transmission, light = truth["object"].astype(complex), abs(truth["probe"]) ** 2
        pixel_y_m, pixel_x_m = truth["object_pixel_yx_m"]
        origin_y_m, origin_x_m = truth["object_origin_yx_m"]
    slope_y, slope_x = np.gradient(transmission, pixel_y_m, pixel_x_m)
    ny, nx = light.shape
    seen = []
    for x, y in zip(x_m, y_m, strict=True):
        top, left = round((y - origin_y_m) / pixel_y_m) - ny // 2, round((x - origin_x_m) / pixel_x_m) - nx // 2
        at = np.s_[top : top + ny, left : left + nx]
        passed = light * abs(transmission[at]) ** 2
        slopes = [(light * (transmission[at].conj() * slope[at]).imag).sum() for slope in (slope_x, slope_y)]
        seen.append((passed.sum() / light.sum(), *(slope / passed.sum() for slope in slopes)))
    passed, along_x, along_y = np.array(seen).T
    return passed, along_x, along_y


def scan(folder: Path, rotate: int, flip: str, defocus_m: float) -> SimulatedScan:
    """Small frames of a camera that is mounted so."""
    name = f"{rotate}{flip}"
    return simulate_scan(folder, N_ROWS, name=name, shape=SHAPE, rotate=rotate, flip=flip, defocus_m=defocus_m)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Likeness]:
    """By how the camera is mounted, and what of that is said where: the table of docs/explanation/maps.md."""
    folder, found = tmp_path_factory.mktemp("mountings"), {}
    for rotate, flip in MOUNTINGS:
        simulated = scan(folder, rotate, flip, defocus_m=0.0)
        turned = simulated.ingest(folder / "turned.h5", "--rotate", str(rotate), "--flip", flip)
        found[f"rotate {rotate}, flip {flip}"] = likeness(evaluated(turned), simulated.truth)
        turned.unlink()
        if (signs := NOT_TRANSPOSED.get((rotate, flip))) is not None:
            profile = folder / "profile.yaml"
            profile.write_text(PROFILE.read_text().replace("\ndetector:\n", f"\ndetector:\n  axis_signs: {signs}\n"))
            as_it_is = folder / "as_it_is.h5"
            ingest_hdf5(simulated.raw, as_it_is, "--profile", str(profile))
            found[f"axis_signs {signs}"] = likeness(evaluated(as_it_is), simulated.truth)
            as_it_is.unlink()
    print("\n| the camera's frames are turned by | STXM | DPC-X | DPC-Y | X with y | Y with x |")
    for how, one in found.items():
        print(f"| {how} |", " | ".join(f"{value:+.3f}" for value in one), "|")
    return found


def test_maps_are_those_of_the_sample_whatever_way_the_camera_is_mounted(measured: dict[str, Likeness]) -> None:
    assert len(measured) == len(MOUNTINGS) + len(NOT_TRANSPOSED)
    for how, one in measured.items():
        assert one.stxm > 0.99, how
        assert one.dpc_x > 0.9 and one.dpc_y > 0.9, how
        assert abs(one.x_with_y) < 0.3 and abs(one.y_with_x) < 0.3, how


def test_out_of_focus_stxm_is_that_of_the_sample_and_dpc_is_not_its_phase_alone(tmp_path: Path) -> None:
    simulated = scan(tmp_path, 90, "h", defocus_m=8e-6)
    one = likeness(evaluated(simulated.ingest(tmp_path / "std.h5", "--rotate", "90", "--flip", "h")), simulated.truth)
    print("\n8 um out of focus:", one)
    assert one.stxm > 0.99
    assert max(one.dpc_x, one.dpc_y) < 0.5
