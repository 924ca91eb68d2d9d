"""Other programs' layouts: frames, positions and their signs, from a file whose frames may lie the other way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from stream_service.errors import ConfigError, SourceError, WriteError
from stream_service.ptycho.image.export import Layout, export
from stream_service.ptycho.image.image_file import Reconstruction, write_image
from stream_service.ptycho.ptypy.ptyr import Ptyr
from stream_service.ptycho.ptypy.reconstruct import kept_positions_xy_m
from stream_service.ptycho.scan_file import ScanFile
from stream_service.standard_file.write.swmr_file import StandardFile
from stream_service.testing.example_file import append_row, example_header, example_ledger, example_pixels, example_row

N_ROWS, REJECTED, SHAPE = 12, 4, (16, 20)
KEPT = [row for row in range(N_ROWS) if row != REJECTED]


def write_scan(path: Path, **changes: Any) -> ScanFile:
    with StandardFile.create(path, example_header(N_ROWS, frame_shape=SHAPE, **changes), swmr=False) as file:
        for row in range(N_ROWS):
            append_row(file, example_row(row, keep=row != REJECTED), example_pixels(row, SHAPE))
        file.write_ledger(example_ledger(N_ROWS))
        file.set_state("COMPLETE", "done", 1)
    return ScanFile.read(path)


@pytest.fixture
def scan(tmp_path: Path) -> ScanFile:
    return write_scan(tmp_path / "scan_std.h5")


@pytest.fixture
def recon(scan: ScanFile, tmp_path: Path) -> Path:
    """An object whose value tells its place: amplitude by column, phase by row."""
    pixel_yx_m = scan.sample_pixel_yx_m((16, 16))
    rows, columns = np.indices((400, 400))
    object_ = ((1 + columns / 1000) * np.exp(1j * rows / 1000)).astype(np.complex64)
    origin = -200 * pixel_yx_m[0], -200 * pixel_yx_m[1]
    ptyr = Ptyr(object_, np.ones((2, 16, 16), np.complex64), pixel_yx_m, origin, ("DM",), np.ones((1, 3)), None)
    path = tmp_path / "scan_recon.cxi"
    write_image(path, Reconstruction(scan, ptyr, kept_positions_xy_m(scan), "", "0"), force=False)
    return path


def squares(signs: tuple[int, int] = (1, 1)) -> np.ndarray[Any, Any]:
    """The kept frames about the axis at (8, 10), turned upright, the axis at n // 2."""
    frames = np.stack([example_pixels(row, SHAPE) for row in KEPT])
    side = 16 if signs[0] > 0 else 14  # of 16 rows in reverse order the axis at 8 has 7 on one side
    wide = np.pad(frames, ((0, 0), (16, 16), (16, 16)))[:, :: signs[0], :: signs[1]]
    row = (8 + 16) if signs[0] > 0 else wide.shape[1] - 1 - (8 + 16)
    column = (10 + 16) if signs[1] > 0 else wide.shape[2] - 1 - (10 + 16)
    half = side // 2
    return wide[:, row - half : row + half, column - half : column + half]


def test_pynx_gets_the_probes_positions_as_three_rows(scan: ScanFile, tmp_path: Path) -> None:
    assert export(scan.path, tmp_path / "out.cxi", Layout.PYNX, None, force=False).n_rows == len(KEPT)
    with h5py.File(tmp_path / "out.cxi") as file, h5py.File(scan.path) as data:
        translation = file["/entry_1/sample_1/geometry_1/translation"][()]
        assert translation.shape == (3, len(KEPT))
        np.testing.assert_array_equal(translation[:2].T, data["/entry/pos"][()][KEPT])
        np.testing.assert_array_equal(file["/entry_1/data_1/data"][()], squares())
        assert file["/entry_1/instrument_1/source_1/energy"][()] == pytest.approx(710 * 1.602176634e-19)
        assert file["/entry_1/instrument_1/name"][()]


def test_tike_gets_the_zero_frequency_first_and_positions_in_pixels(
    scan: ScanFile, recon: Path, tmp_path: Path
) -> None:
    export(scan.path, tmp_path / "out.h5", Layout.TIKE, recon, force=False)
    with h5py.File(tmp_path / "out.h5") as file, h5py.File(scan.path) as data:
        np.testing.assert_array_equal(file["data"][()], np.fft.ifftshift(squares(), axes=(1, 2)))
        place = file["scan"][()]
        assert place.min(axis=0).tolist() == [1, 1]
        moved_px = np.diff(data["/entry/pos"][()][KEPT][:, ::-1], axis=0) / scan.sample_pixel_yx_m((16, 16))
        np.testing.assert_allclose(np.diff(place, axis=0), moved_px, rtol=1e-4)
        assert file["probe"].shape == (1, 1, 2, 16, 16)


@pytest.mark.further(but=2)
@pytest.mark.parametrize("signs", [(1, 1), (-1, 1), (1, -1), (-1, -1)])
def test_the_forward_model_of_tike_gives_the_frames_of_a_sample_that_lies_where_the_file_says(
    signs: tuple[int, int], tmp_path: Path
) -> None:
    """tike cuts `psi` from `scan` on, times `probe`, and transforms that: no shift, no centre."""
    side = 16 if signs[0] > 0 else 14
    scan = write_scan(tmp_path / "any_std.h5", axis_signs=signs)
    pixel_m = scan.sample_pixel_yx_m((side, side))[0]
    dice = np.random.default_rng(2)
    probe = dice.normal(size=(side, side)) + 1j * dice.normal(size=(side, side))
    beam_px = dice.integers(-20, 20, (N_ROWS, 2))

    def sample(y_px: Any, x_px: Any) -> Any:
        """By where it is in pixels off (0, 0): unlike at every place."""
        return np.exp(1j * np.sin(0.7 * y_px + 0.05 * x_px**2) + 0.3 * np.cos(0.4 * x_px - 0.02 * y_px**2))

    off = np.arange(side) - side // 2
    starts = [
        centre - (side // 2 if sign > 0 else side - 1 - side // 2) for centre, sign in zip((8, 10), signs, strict=True)
    ]
    path = tmp_path / "scan_std.h5"
    with StandardFile.create(path, example_header(N_ROWS, frame_shape=SHAPE, axis_signs=signs), swmr=False) as file:
        for row, (y, x) in enumerate(beam_px):
            wave = np.fft.fft2(np.fft.ifftshift(probe * sample(y + off[:, None], x + off[None, :])))
            frame = np.zeros(SHAPE, np.float32)
            upright = np.fft.fftshift(np.abs(wave) ** 2)
            frame[starts[0] : starts[0] + side, starts[1] : starts[1] + side] = upright[:: signs[0], :: signs[1]]
            append_row(file, example_row(row, x_m=x * pixel_m, y_m=y * pixel_m, keep=row != REJECTED), frame)
        file.write_ledger(example_ledger(N_ROWS))
        file.set_state("COMPLETE", "done", 1)
    export(path, tmp_path / "out.h5", Layout.TIKE, None, force=False)
    with h5py.File(tmp_path / "out.h5") as file:
        place, data = file["scan"][()], file["data"][()]
        origin_px = np.asarray(file["scan"].attrs["origin_yx_m"]) / pixel_m
        n_y, n_x = np.rint(place.max(axis=0)).astype(int) + side + 1
    psi = sample(origin_px[0] + np.arange(n_y)[:, None], origin_px[1] + np.arange(n_x)[None, :])
    assert np.allclose(place, np.rint(place), atol=1e-3)
    for (top, left), frame in zip(np.rint(place).astype(int), data, strict=True):
        far = np.fft.fft2(psi[top : top + side, left : left + side] * probe)
        np.testing.assert_allclose(np.abs(far) ** 2, frame, rtol=1e-3, atol=1e-3 * frame.max())


def test_ptychonn_gets_the_part_of_the_object_that_each_pattern_saw(
    scan: ScanFile, recon: Path, tmp_path: Path
) -> None:
    export(scan.path, tmp_path / "out.h5", Layout.PTYCHONN, recon, force=False)
    with h5py.File(tmp_path / "out.h5") as file:
        np.testing.assert_array_equal(file["patterns"][()], squares())
        pixel_y_m, pixel_x_m = scan.sample_pixel_yx_m((16, 16))
        for number, (x_m, y_m) in enumerate(file["positions_xy_m"][()]):
            row, column = 200 + y_m / pixel_y_m, 200 + x_m / pixel_x_m
            if not (8 < row < 392 and 8 < column < 392):
                continue  # beyond the object
            assert file["phase"][number, 8, 8] * 1000 == pytest.approx(row, abs=0.6)
            assert (file["amplitude"][number, 8, 8] - 1) * 1000 == pytest.approx(column, abs=0.6)


@pytest.mark.parametrize("signs", [(-1, 1), (1, -1), (-1, -1)])
def test_frames_are_turned_upright_about_the_axis(signs: tuple[int, int], tmp_path: Path) -> None:
    scan = write_scan(tmp_path / "turned_std.h5", axis_signs=signs)
    export(scan.path, tmp_path / "out.h5", Layout.PTYCHONN, None, force=False)
    with h5py.File(tmp_path / "out.h5") as file:
        np.testing.assert_array_equal(file["patterns"][()], squares(signs))


def test_what_cannot_be_is_refused_and_leaves_nothing(scan: ScanFile, recon: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.h5"
    with pytest.raises(ConfigError, match="must end in"):
        export(scan.path, tmp_path / "out.npz", Layout.TIKE, None, force=False)
    with pytest.raises(SourceError, match="is not a reconstruction"):
        export(scan.path, out, Layout.TIKE, scan.path, force=False)
    other = write_scan(tmp_path / "other_std.h5", energy_eV=800.0)
    with pytest.raises(ConfigError, match="another scan"):
        export(other.path, out, Layout.TIKE, recon, force=False)
    assert not list(tmp_path.glob("*out*"))
    export(scan.path, out, Layout.TIKE, None, force=False)
    with pytest.raises(WriteError, match="--force"):
        export(scan.path, out, Layout.TIKE, None, force=False)
