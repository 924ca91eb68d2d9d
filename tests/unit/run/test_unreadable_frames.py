"""Frames of a recording whose pixels cannot be read: exactly these are lost, and it is said which, and why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from tiff_scan import write_tiff
from typer.testing import CliRunner

from stream_service.cli.main import app
from stream_service.core.frame import Frame, UnreadableFrame, no_pixels
from stream_service.core.intake import UNCONFIRMED
from stream_service.errors import SourceError
from stream_service.run.recorded.ingest import ingest
from stream_service.run.recorded.ingest_settings import IngestSettings
from stream_service.run.recorded.recorded_scan import RecordedScan
from stream_service.sources.tiff.recording import TiffRecording
from stream_service.testing.example_file import START_NS, example_pixels, write_example
from stream_service.testing.memory_recording import PERIOD_NS, MemoryRecording, attributes_of, frames_of

N = 12
COMMANDS = ["ingest hdf5 scan.h5 --output out_std.h5", "replay scan.h5 --output . --scan-id out --rate 10000"]


def write_damaged(path: Path, chunks: list[int], *, chunk_frames: int = 1, compression: str | None = "gzip") -> None:
    """A scan in the `/entry` schema, and the bytes of these chunks overwritten."""
    with h5py.File(path, "w") as file:
        pixels = np.array([example_pixels(row) for row in range(N)])
        data = file.create_dataset("/entry/data", data=pixels, chunks=(chunk_frames, 6, 8), compression=compression)
        file["/entry/pos"] = np.column_stack([np.arange(N), -np.arange(N)]) * 1e-6
        for name, value in {"energy_eV": 700.0, "det_dist_m": 0.1, "pixel_m": 1e-5, "exposure_s": 0.01}.items():
            file[f"/entry/{name}"] = value
        file.flush()
        places = [data.id.get_chunk_info(chunk) for chunk in chunks]
    damaged = bytearray(path.read_bytes())
    for place in places:
        damaged[place.byte_offset : place.byte_offset + 8] = b"\xff" * 8
    path.write_bytes(damaged)


@pytest.mark.further(but=5)
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("chunk_frames", "chunks"),
    [(1, [0]), (1, [5]), (1, [N - 1]), (1, [0, 4, 5, N - 1]), (3, [0]), (3, [1, 3]), (5, [2]), (1, [*range(N - 1)])],
)
def test_exactly_the_frames_of_damaged_chunks_are_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, chunk_frames: int, chunks: list[int]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_damaged(tmp_path / "scan.h5", chunks, chunk_frames=chunk_frames)
    bad = [row for row in range(N) if row // chunk_frames in chunks]
    good = [row for row in range(N) if row not in bad]
    done = CliRunner().invoke(app, command.split())
    assert done.exit_code == 1 and "INCOMPLETE" in done.output, (done.output, done.exception)
    for chunk in chunks:
        last = min(N, (chunk + 1) * chunk_frames) - 1
        rows = (
            f"rows {chunk * chunk_frames} to {last}"
            if chunk_frames > 1 and last > chunk * chunk_frames
            else f"row {last}"
        )
        assert f"scan.h5:/entry/data, {rows}, cannot be read: " in " ".join(done.output.split())
    with h5py.File("out_std.h5") as file:
        np.testing.assert_array_equal(file["/entry/data"], [example_pixels(row) for row in good])
        np.testing.assert_array_equal(file["/entry/pos"][:, 0], np.array(good) * 1e-6)
        ids, status = file["/entry/ledger/unique_id"][()], file["/entry/ledger/status"][()]
        assert ids[status == 3].tolist() == bad and ids[status == 1].tolist() == good
        assert "cannot be read" in file["/entry/run/message"][()].decode()


class Damaged(MemoryRecording):
    """A recording of which the pixels of these frames, counted from 0, cannot be read."""

    unreadable: frozenset[int] = frozenset()

    def frames(self) -> Iterator[Frame]:
        for place, frame in enumerate(super().frames()):
            if place in self.unreadable:
                empty = no_pixels(self.frame_shape, self.dtype)
                yield UnreadableFrame(frame.unique_id, frame.timestamp_ns, empty, frame.attributes, reason="damaged")
            else:
                yield frame


def test_a_long_damaged_stretch_costs_no_frame_behind_it(tmp_path: Path) -> None:
    """Its ids are known: the last frame is none that nothing confirms."""
    n = UNCONFIRMED + 20
    recording = Damaged(frames_of(n), attributes_of(n), unreadable=frozenset(range(5, n - 1)))
    account = ingest(recording, tmp_path / "out_std.h5", IngestSettings()).account
    assert (account.expected, account.stored, account.lost, account.implausible) == (n, 6, n - 6, 0)


def test_a_wrong_id_beside_a_damaged_frame_makes_no_millions_of_lost_ones(tmp_path: Path) -> None:
    ids = list(range(1, N + 1))
    ids[5] = 40_000_000
    stamps_ns = [START_NS + place * PERIOD_NS for place in range(N)]
    recording = Damaged(frames_of(N), attributes_of(N), ids=ids, stamps_ns=stamps_ns, unreadable=frozenset([8, N - 1]))
    account = ingest(recording, tmp_path / "out_std.h5", IngestSettings()).account
    assert (account.expected, account.lost, account.implausible) == (N, 3, 1)
    assert RecordedScan(recording, IngestSettings()).n_recorded == N, "where reading ends early, too"


@pytest.mark.parametrize("bad", [3, N - 1])
def test_a_damaged_row_of_a_standard_file_costs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: int
) -> None:
    """Compressed by someone: without a filter nothing tells of damage."""
    monkeypatch.chdir(tmp_path)
    write_example(tmp_path / "scan_std.h5", N)
    with h5py.File("scan_std.h5", "r+") as file:
        pixels = file["/entry/data"][()]
        del file["/entry/data"]
        data = file.create_dataset("/entry/data", data=pixels, chunks=(1, 6, 8), compression="gzip")
        file.flush()
        place = data.id.get_chunk_info(bad).byte_offset
    damaged = bytearray(Path("scan_std.h5").read_bytes())
    damaged[place : place + 8] = b"\xff" * 8
    Path("scan_std.h5").write_bytes(damaged)
    done = CliRunner().invoke(app, ["ingest", "hdf5", "scan_std.h5", "--output", "out_std.h5"])
    assert f"{N - 1} of {N} frames stored" in done.output and f"row {bad}, cannot be read" in done.output


@pytest.mark.parametrize("command", COMMANDS)
def test_a_recording_of_which_nothing_can_be_read_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_damaged(tmp_path / "scan.h5", [*range(N)])
    done = CliRunner().invoke(app, command.split())
    assert f"none of its {N} frames can be read: scan.h5:/entry/data, row 0, cannot" in str(done.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["scan.h5"]


@pytest.mark.further(but=5)
@pytest.mark.parametrize("how", ["cut off", "damaged pixels"])
@pytest.mark.parametrize("bad", [[0], [5], [N - 1], [0, 4, 5, N - 1]])
@pytest.mark.parametrize("match", ["auto", "order"])
def test_exactly_the_frames_of_damaged_tiffs_are_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, bad: list[int], match: str
) -> None:
    monkeypatch.chdir(tmp_path)
    good = [row for row in range(N) if row not in bad]
    for row in range(N):
        path = tmp_path / f"scan_{row:02}.tif"
        tifffile.imwrite(path, example_pixels(row), compression="zlib")
        if row in bad:
            written = bytearray(path.read_bytes())
            with tifffile.TiffFile(path) as file:
                at = file.pages[0].dataoffsets[0]
            written[at : at + 4] = b"\xff" * 4
            path.write_bytes(written if how == "damaged pixels" else written[: at + 10])
    log = "frame_index,posx_um,posy_um\n" + "".join(f"{row},{row},{-row}\n" for row in range(N))
    Path("log.csv").write_text(log)
    options = "--readbacks log.csv --energy-eV 700 --det-dist-m 0.1 --pixel-m 1e-5 --exposure-s 0.1"
    done = CliRunner().invoke(app, f"ingest tiff scan_*.tif -o out.h5 {options} --match {match}".split())
    assert done.exit_code == 1 and "INCOMPLETE" in done.output, (done.output, done.exception)
    said = " ".join(done.output.split())
    assert [row for row in range(N) if f"note: scan_{row:02}.tif " in said] == bad, said
    with h5py.File("out.h5") as file:
        np.testing.assert_array_equal(file["/entry/data"], [example_pixels(row) for row in good])
        np.testing.assert_allclose(file["/entry/posx_m"], np.array(good) * 1e-6)
        ids, status = file["/entry/ledger/unique_id"][()], file["/entry/ledger/status"][()]
        assert ids[status == 3].tolist() == bad and ids[status == 1].tolist() == good
        assert f"scan_{bad[0]:02}.tif" in file["/entry/run/message"][()].decode()


def test_a_damaged_tiff_of_areadetector_has_the_unique_id_of_its_number(tmp_path: Path) -> None:
    for number in range(5):
        write_tiff(
            tmp_path / f"scan_{number}.tif", example_pixels(number), unique_id=11 + number, timestamp_ns=START_NS
        )
    (tmp_path / "scan_2.tif").write_bytes((tmp_path / "scan_2.tif").read_bytes()[:60])
    frames = list(TiffRecording(str(tmp_path / "scan_*.tif")).frames())
    assert [frame.unique_id for frame in frames] == [11, 12, 13, 14, 15]
    assert [isinstance(frame, UnreadableFrame) for frame in frames] == [False, False, True, False, False]


def test_a_frame_of_another_shape_is_compared_with_one_that_can_be_read(tmp_path: Path) -> None:
    for number, rows in enumerate([6, 6, 5]):
        write_tiff(tmp_path / f"scan_{number}.tif", np.ones((rows, 8), np.uint16))
    (tmp_path / "scan_0.tif").write_bytes((tmp_path / "scan_0.tif").read_bytes()[:60])
    with pytest.raises(SourceError, match=r"scan_2\.tif is 5 x 8 uint16, but scan_1\.tif is 6 x 8 uint16"):
        TiffRecording(str(tmp_path / "scan_*.tif"))


def test_a_damaged_tiff_of_which_nothing_tells_the_unique_id_is_refused(tmp_path: Path) -> None:
    for number, unique_id in enumerate([11, 12, 13, 15, 16]):
        write_tiff(tmp_path / f"scan_{number}.tif", example_pixels(number), unique_id=unique_id)
    (tmp_path / "scan_2.tif").write_bytes((tmp_path / "scan_2.tif").read_bytes()[:60])
    with pytest.raises(SourceError, match=r"scan_2\.tif"):
        TiffRecording(str(tmp_path / "scan_*.tif"))
