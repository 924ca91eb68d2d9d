"""From file to file: what would give wrong positions without a word is right, refused, or flagged and said.

The areaDetector files are those of the cases `frozen_time_stamps`, `log_of_another_time`, `repeated_unique_id` and
`log_counts_from_one`, which were taken from public bug reports.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from stream_service.cli import main as cli
from stream_service.errors import PtychostreamError
from stream_service.standard_file.rules.validate import validate_file

N = 16
X, Y = np.arange(N) % 4 * 1.0, np.arange(N) // 4 * 1.0
EPICS_S = 1.0e9
"""Of the first frame, in seconds since 1990."""
UNIX_S = EPICS_S + 631152000
NUMBERS = ("--energy-eV", "8000", "--det-dist-m", "1", "--pixel-m", "75e-6", "--exposure-s", "0.05")


def write_areadetector(path: Path, *, ids: Any = None, stamps_s: Any = None, n: int = N) -> Path:
    """As NDFileHDF5 in its default layout: frames, ids, stamps (EPICS epoch)."""
    ids = np.arange(1, n + 1) if ids is None else np.asarray(ids)
    stamps_s = EPICS_S + 0.1 * np.arange(n) if stamps_s is None else np.asarray(stamps_s)
    own = {
        "NDArrayUniqueId": ids.astype("i4"),
        "NDArrayTimeStamp": stamps_s.astype("f8"),
        "NDArrayEpicsTSSec": np.floor(stamps_s).astype("u4"),
        "NDArrayEpicsTSnSec": (stamps_s % 1 * 1e9).astype("u4"),
    }
    with h5py.File(path, "w") as file:
        frames = np.random.default_rng(0).poisson(20, (n, 16, 16)).astype("u2")
        file["/entry/data/data"] = frames
        file["/entry/data/data"].attrs["NDArrayNumDims"] = np.int32(2)
        for name, values in own.items():
            column = file.create_dataset(f"/entry/instrument/NDAttributes/{name}", data=values)
            column.attrs["NDAttrName"], column.attrs["NDAttrDescription"] = np.bytes_(name), np.bytes_(b"")
            column.attrs["NDAttrSourceType"] = np.bytes_(b"NDAttrSourceDriver")
    return path


def write_log(path: Path, head: str, rows: Any) -> Path:
    path.write_text(head + "\n" + "".join(",".join(map(str, row)) + "\n" for row in rows))
    return path


def by_time(path: Path, start_s: float, end_s: float, epoch_s: float = UNIX_S) -> Path:
    """The stage goes 1 um/s."""
    rows = [(f"{epoch_s + t:.3f}", f"{t:.4f}", 0) for t in np.arange(start_s, end_s, 0.01)]
    return write_log(path, "timestamp_s,posx_um,posy_um", rows)


def command(*words: str | Path) -> str:
    result = CliRunner().invoke(cli.app, [str(word) for word in words])
    if isinstance(result.exception, PtychostreamError):
        raise result.exception
    assert result.exit_code == ("INCOMPLETE: " in result.output), result.output
    return result.output


def ingest(folder: Path, *options: str | Path) -> tuple[str, dict[str, np.ndarray]]:
    """Output of the command, and content of the file."""
    output = folder / "scan_std.h5"
    said = command(
        "ingest", "hdf5", "--input", folder / "scan.h5", "--readbacks", folder / "log.csv", "--output", output,
        *NUMBERS, *options,
    )  # fmt: skip
    with h5py.File(output) as file:
        return said, {name: file[f"/entry/{name}"][()] for name in ("posx_m", "posy_m", "keep", "frames/flags")}


def test_frozen_time_stamps(tmp_path: Path) -> None:
    write_areadetector(tmp_path / "scan.h5", stamps_s=EPICS_S + 0.4 * np.repeat(np.arange(4), 4))
    by_time(tmp_path / "log.csv", -1, 3)
    said, found = ingest(tmp_path)
    assert found["keep"].tolist() == [1, 0, 0, 0] * 4
    np.testing.assert_allclose(found["posx_m"][::4], (0.4 * np.arange(4) - 0.025) * 1e-6, atol=1e-12)
    assert "12 of 16 frames have the stamp of the frame before" in said
    assert "flagged: 12 of 16 rows are flagged (no_time 12): stored, not used" in said


def test_log_counts_from_one(tmp_path: Path) -> None:
    write_areadetector(tmp_path / "scan.h5")
    write_log(tmp_path / "log.csv", "frame_index,posx_um,posy_um", zip(range(1, N + 1), X, Y, strict=True))
    said, found = ingest(tmp_path)
    np.testing.assert_allclose(found["posx_m"], X * 1e-6)
    np.testing.assert_allclose(found["posy_m"], Y * 1e-6)
    assert found["keep"].all() and "matched by order: the row with frame_index 1 is the first frame's" in said


def test_repeated_unique_id(tmp_path: Path) -> None:
    write_areadetector(tmp_path / "scan.h5", ids=np.tile([1, 2, 3, 4], 4))
    write_log(tmp_path / "log.csv", "unique_id,posx_um,posy_um", zip(range(1, N + 1), X, Y, strict=True))
    with pytest.raises(PtychostreamError, match="1, 2, 3, 4 are each the unique_id of several frames"):
        ingest(tmp_path)
    said, found = ingest(tmp_path, "--match", "order")
    np.testing.assert_allclose(found["posx_m"], X * 1e-6)
    assert found["keep"].all() and "matched by order" in said


def test_log_of_another_time(tmp_path: Path) -> None:
    write_areadetector(tmp_path / "scan.h5")
    by_time(tmp_path / "log.csv", -1, 3, EPICS_S)
    with pytest.raises(PtychostreamError, match=r"was taken 2021-09-09 .* goes from 2001-09-09 .*EPICS epoch"):
        ingest(tmp_path)
    _, found = ingest(tmp_path, "--readbacks-offset-s", "631152000")
    np.testing.assert_allclose(found["posx_m"], (0.1 * np.arange(N) - 0.025) * 1e-6, atol=1e-12)
    assert found["keep"].all()


def test_log_that_ends_before_the_scan(tmp_path: Path) -> None:
    write_areadetector(tmp_path / "scan.h5")
    by_time(tmp_path / "log.csv", -1, 1)
    said, found = ingest(tmp_path)
    assert found["keep"].tolist() == [1] * 11 + [0] * 5
    assert "5 of 16 frames were taken after it ends" in said
    assert "flagged: 5 of 16 rows are flagged (unbracketed 5): stored, not used" in said
    (warning,) = (finding for finding in validate_file(tmp_path / "scan_std.h5") if "flags" in finding.where)
    assert "5 rows (11, 12, 13, 14, 15) of 16 (unbracketed 5); none of them is used" in warning.message


def test_replay_says_what_an_ingest_says(tmp_path: Path) -> None:
    write_areadetector(tmp_path / "scan.h5")
    write_log(tmp_path / "log.csv", "frame_index,posx_um,posy_um", zip(range(1, N + 1), X, Y, strict=True))
    readbacks = ("--readbacks", tmp_path / "log.csv")
    said = command("replay", tmp_path / "scan.h5", "--out", tmp_path, "--rate", "500", *readbacks, *NUMBERS)
    assert "matched by order: the row with frame_index 1 is the first frame's" in said
    with h5py.File(tmp_path / "scan_std.h5") as file:
        np.testing.assert_allclose(file["/entry/posx_m"][()], X * 1e-6)
    by_time(tmp_path / "late.csv", -1, 3, EPICS_S)
    with pytest.raises(PtychostreamError, match="EPICS epoch"):
        command("replay", tmp_path / "scan.h5", "--out", tmp_path / "b", "--readbacks", tmp_path / "late.csv", *NUMBERS)


def test_frames_per_position_that_the_positions_contradict(tmp_path: Path) -> None:
    write_areadetector(tmp_path / "scan.h5", n=60)
    rows = [(i, 0.1 * i, 0) for i in range(60)]
    write_log(tmp_path / "log.csv", "frame_index,posx_um,posy_um", rows)
    with pytest.raises(PtychostreamError, match=r"--frames-per-pos 3 would add up frames up to 0\.2 um"):
        ingest(tmp_path, "--frames-per-pos", "3")
    said, found = ingest(tmp_path, "--frames-per-pos", "3", "--allow-spread")
    assert found["keep"].all() and "20 of 20 rows lie up to 0.2 um apart" in said


# where the translation of a CXI file goes


def write_cxi(path: Path, **more: Any) -> Path:
    translation_m = np.column_stack([X, Y, np.zeros(N)]) * 1e-6
    tree: dict[str, Any] = {
        "instrument_1/detector_1/data": np.ones((N, 8, 8), "u2"),
        "instrument_1/detector_1/distance": 1.0,
        "instrument_1/detector_1/x_pixel_size": 75e-6,
        "instrument_1/source_1/energy": 8000.0,
        "sample_1/geometry_1/translation": translation_m,
    }
    with h5py.File(path, "w") as file:
        for name, value in (tree | more).items():
            file[f"/entry_1/{name}"] = value
    return path


@pytest.mark.parametrize(("option", "sign"), [(None, -1), ("sample", -1), ("probe", 1)])
def test_sign_of_a_translation_is_said_and_may_be_chosen(tmp_path: Path, option: str | None, sign: int) -> None:
    source, chosen = write_cxi(tmp_path / "scan.cxi"), ("--translation", option) if option else ()
    said = command("ingest", "hdf5", "--input", source, "--output", tmp_path / "out.h5", *chosen)
    replayed = command("replay", source, "--out", tmp_path, "--rate", "500", *chosen)
    for path, text in ((tmp_path / "out.h5", said), (tmp_path / "scan_std.h5", replayed)):
        with h5py.File(path) as file:
            np.testing.assert_allclose(file["/entry/posx_m"][()], sign * X * 1e-6)
        assert ("give --translation probe" in text) == (option is None)
    with h5py.File(tmp_path / "out.h5") as file:
        recorded = f'"translation": "{option}"' if option else '"translation": null'
        assert recorded.encode() in file["/entry/process/settings"][()]


def test_file_of_ours_needs_no_note_about_its_sign(tmp_path: Path) -> None:
    source = write_cxi(tmp_path / "scan.cxi", program_name=np.bytes_(b"ptychostream"))
    assert "translation" not in command("ingest", "hdf5", "--input", source, "--output", tmp_path / "out.h5")
