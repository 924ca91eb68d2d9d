"""In-line holograms: scale, sign and orientation from frames made for the purpose, and from a simulated scan."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest

from iocsim.detector.frames import Conditions
from iocsim.physics.beamline import BeamlineConfig, fermat_positions_m, make_beamline
from iocsim.physics.optics import zone_plate_probe
from stream_service.errors import SourceError
from stream_service.ptycho.optics.inline_hologram import InlineHolograms
from stream_service.ptycho.optics.probe_estimate import estimate_defocus, estimate_probe
from stream_service.ptycho.optics.scan_holograms import ScanHolograms, middle_rows, read_holograms
from stream_service.ptycho.orientation.detector_orientation import Orientation
from stream_service.ptycho.orientation.orient import judge, mosaic, profile_lines
from stream_service.ptycho.scan_file import ScanFile
from stream_service.standard_file.write.swmr_file import StandardFile
from stream_service.testing.example_file import append_row, example_header, example_ledger, example_row

N_ROWS = 90
POSITIONS_M = fermat_positions_m(N_ROWS, 0.2e-6)
OPTICS = {
    "kind": "zone_plate",
    "zone_plate_diameter_m": 120e-6,
    "outermost_zone_width_m": 40e-9,
    "central_stop_m": 45e-6,
}


@cache
def simulated(defocus_m: float) -> tuple[Any, npt.NDArray[np.float32]]:
    """A beamline, and its frames along a Fermat spiral."""
    beamline = make_beamline(
        BeamlineConfig(shape=(128, 128), defocus_m=defocus_m, scan_range_x_m=6e-6, scan_range_y_m=6e-6)
    )
    frames = [
        beamline.frames.frame(row, 0.02, Conditions(x_m, y_m, beamline.energy_eV, 200.0, True))
        for row, (x_m, y_m) in enumerate(POSITIONS_M)
    ]
    return beamline, np.maximum(np.array(frames, np.float32) - 100, 0)


def simulated_file(
    path: Path,
    defocus_m: float,
    orientation: Orientation,
    *,
    sign: int = 1,
    optics: dict[str, Any] | None = None,
) -> Any:
    """A standard file of a simulated scan whose frames are stored turned; the true probe."""
    beamline, frames = simulated(defocus_m)
    header = example_header(
        N_ROWS,
        frame_shape=(128, 128),
        energy_eV=beamline.energy_eV,
        det_dist_m=beamline.det_dist_m,
        pixel_m=beamline.pixel_m,
        optics=optics or {"kind": "unknown"},
        dark=None,
        flat=None,
        settings={"profile": {"preprocessing": {"rotate": 0, "flip": "none"}, "stage_map": [[-1.0, 0.0], [0.0, -1.0]]}},
    )
    with StandardFile.create(path, header, swmr=False) as file:
        for row, (x_m, y_m) in enumerate(POSITIONS_M):
            append_row(file, example_row(row, x_m=sign * x_m, y_m=sign * y_m), orientation.apply(frames[row]))
        file.write_ledger(example_ledger(N_ROWS))
        file.set_state("COMPLETE", "done", 1)
    assert beamline.optics is not None
    return ScanFile.read(path), zone_plate_probe(beamline.optics)


@pytest.mark.further(but=1)
@pytest.mark.parametrize(("defocus_m", "within"), [(16e-6, 0.03), (-24e-6, 0.03), (10e-6, 0.15)])
def test_defocus_and_its_side_are_found_without_optics(defocus_m: float, within: float, tmp_path: Path) -> None:
    """The smaller the probe, the less neighbours overlap, and the less their holograms tell."""
    scan, probe = simulated_file(tmp_path / "scan_std.h5", defocus_m, Orientation())
    found = estimate_defocus(scan, read_holograms(scan))
    assert found.is_seen
    assert found.defocus_m == pytest.approx(defocus_m, rel=within)
    estimate = estimate_probe(scan, read_holograms(scan))
    assert abs(np.vdot(probe, estimate.probe)) > 0.9
    assert ("behind" if defocus_m > 0 else "before") in estimate.sentence


def test_a_sample_in_focus_makes_no_hologram_and_that_is_said(tmp_path: Path) -> None:
    scan, _ = simulated_file(tmp_path / "scan_std.h5", 0.5e-6, Orientation())
    estimate = estimate_probe(scan, read_holograms(scan))
    assert not estimate.defocus.is_seen
    assert "no in-line hologram" in estimate.sentence


@pytest.mark.parametrize("orientation", list(Orientation.all()))
def test_the_wizard_names_the_lines_for_every_mounting(orientation: Orientation, tmp_path: Path) -> None:
    scan, _ = simulated_file(tmp_path / "scan_std.h5", 16e-6, orientation, optics=OPTICS | {"defocus_m": 16e-6})
    verdict = judge(scan, read_holograms(scan))
    assert verdict.best is not None and verdict.sign_is_known
    assert verdict.best.orientation.after(orientation) == Orientation(), "what undoes the mounting"
    lines = profile_lines(verdict.best.orientation, 1, scan)
    assert (lines.rotate, lines.flip) == verdict.best.orientation.profile
    assert lines.stage_map == "[[-1, 0], [0, -1]]"


def test_a_wrong_stage_sign_is_half_a_turn_of_the_frames(tmp_path: Path) -> None:
    optics = OPTICS | {"defocus_m": 16e-6}
    scan, _ = simulated_file(tmp_path / "scan_std.h5", 16e-6, Orientation(), sign=-1, optics=optics)
    verdict = judge(scan, read_holograms(scan))
    assert verdict.best is not None
    assert verdict.best.orientation == Orientation().upside_down
    lines = profile_lines(verdict.best.orientation.upside_down, -1, scan)
    assert (lines.rotate, lines.flip, lines.stage_map) == (0, "none", "[[1, 0], [0, 1]]")


def test_without_optics_the_twin_is_not_told_apart_and_that_is_said(tmp_path: Path) -> None:
    orientation = Orientation(transpose=True)
    scan, _ = simulated_file(tmp_path / "scan_std.h5", 16e-6, orientation)
    verdict = judge(scan, read_holograms(scan))
    assert not verdict.sign_is_known
    assert verdict.best is not None
    assert verdict.best.orientation.after(orientation) in (Orientation(), Orientation().upside_down)


def test_frames_without_a_sample_decide_nothing() -> None:
    rng = np.random.default_rng(1)
    frames = rng.poisson(100, (60, 40, 40)).astype(float)
    seen = holograms_of(frames, np.array(fermat_positions_m(60, 1e-6)))
    scan = ScanFile(
        **dict.fromkeys(ScanFile.__dataclass_fields__)  # type: ignore[arg-type]
        | {"pixel_m": 75e-6, "det_dist_m": 0.1, "axis_signs": (1, 1), "optics": example_optics(16e-6)}
    )
    verdict = judge(scan, seen)
    assert verdict.best is None
    assert "does not decide" in verdict.reason


def example_optics(defocus_m: float) -> Any:
    from stream_service.settings.optics import Optics

    return Optics(defocus_m=defocus_m)


def holograms_of(frames: npt.NDArray[Any], positions_yx_m: npt.NDArray[Any]) -> ScanHolograms:
    mean, good = frames.mean(axis=0), np.ones(frames.shape[1:], bool)
    center = (frames.shape[1] / 2, frames.shape[2] / 2)
    return ScanHolograms(InlineHolograms.of(frames, mean, good, center, positions_yx_m), mean, good)


def test_a_picture_put_together_of_windows_is_the_picture() -> None:
    """Frames that are windows of one picture, a pixel of it per pixel: scale, correlation and mosaic."""
    rng = np.random.default_rng(3)
    picture = 1 + 0.3 * smooth(rng.standard_normal((160, 160)))
    starts = rng.integers(0, 120, (80, 2))
    frames = np.stack([picture[y : y + 40, x : x + 40] for y, x in starts])
    seen = holograms_of(frames, starts * 1e-6)
    scale = seen.holograms.best_scale()
    assert scale.metres_per_pixel == pytest.approx(1e-6, rel=0.01)
    assert scale.correlation > 0.8
    assert seen.holograms.best_scale(-np.eye(2)).metres_per_pixel == pytest.approx(-1e-6, rel=0.01)


def smooth(noise: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Blobs of some pixels."""
    frequency = np.hypot(np.fft.fftfreq(noise.shape[0])[:, None], np.fft.fftfreq(noise.shape[1]))
    blurred = np.fft.ifft2(np.fft.fft2(noise) * np.exp(-((frequency / 0.08) ** 2))).real
    return blurred / blurred.std()


def test_the_middle_of_the_scan_is_looked_at_and_unusable_rows_are_not() -> None:
    positions = np.column_stack([np.arange(9.0), np.zeros(9)])
    usable = np.arange(9) != 4
    assert middle_rows(positions, usable, most=4).tolist() == [2, 3, 5, 6]


def test_a_scan_with_too_few_rows_says_so(tmp_path: Path) -> None:
    from stream_service.testing.example_file import write_example

    write_example(tmp_path / "few_std.h5", 5)
    with pytest.raises(SourceError, match="5 rows to use"):
        read_holograms(ScanFile.read(tmp_path / "few_std.h5"))


def test_a_beam_that_stood_still_and_dark_frames_are_said_in_words(tmp_path: Path) -> None:
    for name, x_m, level, words in (("still", 0.0, 5.0, "stood still"), ("dark", 1e-6, 0.0, "are dark")):
        path = tmp_path / f"{name}_std.h5"
        with StandardFile.create(path, example_header(12), swmr=False) as file:
            for row in range(12):
                pixels = np.full(file.frame_shape, level, np.float32)
                append_row(file, example_row(row, x_m=row * x_m, y_m=0.0, intensity=level), pixels)
            file.write_ledger(example_ledger(12))
            file.set_state("COMPLETE", "done", 1)
        with pytest.raises(SourceError, match=words):
            read_holograms(ScanFile.read(path))


def test_the_right_mosaic_has_the_most_contrast(tmp_path: Path) -> None:
    scan, _ = simulated_file(tmp_path / "scan_std.h5", 16e-6, Orientation(), optics=OPTICS | {"defocus_m": 16e-6})
    seen = read_holograms(scan)
    verdict = judge(scan, seen)
    contrast = [np.nanstd(mosaic(seen, candidate)) for candidate in verdict.candidates]
    assert np.argmax(contrast) == 0
    with h5py.File(scan.path) as file:
        assert len(seen.holograms.contrast) == len(file["/entry/pos"])


def test_a_beam_wider_than_the_far_field_can_hold_is_said_to_be_of_the_near_field(tmp_path: Path) -> None:
    """Seen on a real near-field scan: its cone leaves the edge of the frames dark, so only the width tells."""
    scan, _ = simulated_file(tmp_path / "scan_std.h5", 16e-6, Orientation())
    seen = read_holograms(scan)
    assert "near field" not in estimate_probe(scan, seen).sentence
    coarse = replace(scan, pixel_m=4 * scan.pixel_m)  # a window of a quarter, and the same beam
    assert "are these frames of the near field? Then say --near-field" in estimate_probe(coarse, seen).sentence
