"""Every reader of a standard file reads the rows that its live keys announce, says so, and refuses one that was cut."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from recipe_parameters import OPTICS
from typer.testing import CliRunner
from unclosed_files import GEOMETRY, N_BEYOND, N_ROWS, cut, end_of_row, h5clear, write_finished, write_killed

from stream_service.cli.main import app
from stream_service.errors import SourceError
from stream_service.hdf5.opening import open_hdf5
from stream_service.ptycho.image.export import Layout, export
from stream_service.ptycho.ptypy.closed_copy import closed_copy
from stream_service.ptycho.scan_file import ScanFile
from stream_service.sources.hdf5.recording import Hdf5Paths, Hdf5Recording
from stream_service.standard_file.read.announced_rows import n_announced, standard_rows
from stream_service.standard_file.rules.validate import validate_file
from stream_service.standard_file.write.swmr_file import StandardFile
from stream_service.testing.example_file import (
    START_NS,
    append_example_rows,
    example_header,
    example_ledger,
    example_pixels,
)
from stream_service.web.stored_series import stored_series


def killed(folder: Path) -> Path:
    return write_killed(folder)


def cleared(folder: Path) -> Path:
    """A copy of a growing file that h5clear made look closed."""
    path = write_killed(folder)
    h5clear(path)
    return path


def read(path: Path) -> int:
    return ScanFile.read(path).n_rows


def exported(path: Path) -> int:
    export(path, path.with_suffix(".out.h5"), Layout.TIKE, None, force=False)
    with h5py.File(path.with_suffix(".out.h5")) as file:
        frames = np.asarray(file["data"])
    assert all(frame.any() for frame in frames)
    return len(frames)


def ingested(path: Path) -> int:
    with Hdf5Recording(path) as recording:
        frames = list(recording.frames())
        wanted = [example_pixels(row, (64, 80)) for row in range(len(frames))]
        np.testing.assert_array_equal([frame.pixels for frame in frames], wanted)
        return recording.n_frames


def copied(path: Path) -> int:
    return closed_copy(ScanFile.read(path), path.with_suffix(".rows.h5")).n_rows


READERS = [read, exported, ingested, copied]


@pytest.mark.further(but=3)
@pytest.mark.parametrize("make", [killed, cleared])
@pytest.mark.parametrize("reader", READERS)
def test_rows_beyond_the_keys_are_never_read(
    tmp_path: Path, make: Callable[[Path], Path], reader: Callable[[Path], int]
) -> None:
    path = make(tmp_path)
    with h5py.File(path, swmr=True) as file:
        assert len(np.asarray(file["/entry/data"])) == N_ROWS + N_BEYOND, "they are there"
    assert reader(path) == N_ROWS


@pytest.mark.parametrize(
    ("make", "said"), [(killed, "was not closed: the 40 rows"), (cleared, "is a copy of a file that grew, or its wri")]
)
def test_a_file_that_was_not_closed_is_read_with_a_note(
    tmp_path: Path, make: Callable[[Path], Path], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make(tmp_path)
    (note,) = ScanFile.read(path).notes
    assert said in note and "3 more, which it does not announce, are left out" in note
    assert f"ptychostream repair {path}" in note
    assert not capsys.readouterr().err, "whoever shows it decides where, and whether: one who follows knows"
    done = CliRunner().invoke(app, ["export", str(path), "--tike", "--output", str(tmp_path / "out.h5")])
    assert (done.exit_code, done.stderr.count("note:"), done.stdout.count("note:")) == (0, 1, 0)
    with Hdf5Recording(path) as recording:
        assert any(said in note for note in recording.notes)


def test_a_finished_file_is_read_without_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_finished(tmp_path)
    assert not ScanFile.read(path).notes and not capsys.readouterr().err
    with open_hdf5(path).file as file:
        assert standard_rows(file).n_rows == N_ROWS


@pytest.mark.parametrize("n_told", [N_ROWS + 1, 2**40, 2**63 - 1])
def test_number_of_rows_that_is_damaged_is_a_sentence_and_takes_no_time_or_memory(tmp_path: Path, n_told: int) -> None:
    path = write_finished(tmp_path)
    with h5py.File(path, "r+") as file:
        file["/entry/live/n_rows"][...] = n_told
    for reader in READERS:
        with pytest.raises(
            SourceError, match=f"{n_told - N_ROWS} of the {n_told} rows that it announces are not in it"
        ):
            reader(path)
    assert f"of which {N_ROWS} are in the file" in str([str(found) for found in validate_file(path)])
    repaired = tmp_path / "repaired.h5"
    done = CliRunner().invoke(app, ["repair", str(path), "--output", str(repaired)])
    assert done.exit_code == 0, done.output
    assert read(repaired) == N_ROWS


def test_page_says_that_a_number_of_rows_is_damaged(tmp_path: Path) -> None:
    path = write_finished(tmp_path)
    with h5py.File(path, "r+") as file:
        file["/entry/live/n_rows"][...] = 2**40
        with pytest.raises(SourceError, match=f"it announces {2**40} rows, of which 40 are in it"):
            stored_series(file)


def short(path: Path, state: str, reason: str = "the detector stopped", message: str = "1 frame not exposed") -> None:
    """A run that ended before its last frame."""
    settings = {"preprocessing": {"rotate": 0, "flip": "none"}}
    header = example_header(N_ROWS + 1, optics=OPTICS, settings=settings, **GEOMETRY)
    with StandardFile.create(path, header) as file:
        append_example_rows(file, 0, N_ROWS)
        file.write_ledger(example_ledger(N_ROWS))
        file.set_state(state, reason, START_NS + 60_000_000_000, message)


@pytest.mark.parametrize("state", ["INCOMPLETE", "FAILED"])
def test_a_run_that_is_not_whole_is_read_with_a_note(tmp_path: Path, state: str) -> None:
    path = tmp_path / "short_std.h5"
    short(path, state)
    said = f"the run in {path} is {state}: the detector stopped: 1 frame not exposed; it has 40 rows"
    assert ScanFile.read(path).notes == (said,)


def test_what_the_reason_and_the_message_both_say_is_said_once(tmp_path: Path) -> None:
    path, cause = tmp_path / "short_std.h5", "raw.h5:/data, row 10, cannot be read"
    short(path, "INCOMPLETE", f"the recording was read to its end: {cause}", f"39 of 40 stored; {cause}")
    assert ScanFile.read(path).why == f"the recording was read to its end: 39 of 40 stored; {cause}"


@pytest.mark.parametrize(
    "command", ["validate", "repair", "orient", "recipe", "export --pynx --output e.cxi", "replay"]
)
def test_a_folder_is_said_to_be_one(tmp_path: Path, command: str) -> None:
    done = CliRunner().invoke(app, [*command.split(), str(tmp_path)])
    said = " ".join(f"{done.output} {done.exception}".split())
    assert done.exit_code == 1 and "is a folder; give a file" in said, said


@pytest.mark.further(but=2)
@pytest.mark.parametrize(
    "command",
    ["orient @", "probe @ --output p.cxi", "recipe @ --output r.py", "export @ --tike --output e.h5",
     "ingest hdf5 @ --output i.h5", "replay @ --output new --rate 1000"],
)  # fmt: skip
def test_every_command_tells_of_a_failed_run_once_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    short(Path("short_std.h5"), "FAILED")
    done = CliRunner().invoke(app, command.replace("@", "short_std.h5").split())
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert done.output.count("note: the run in short_std.h5 is FAILED: the detector stopped: ") == 1, done.output
    assert done.output.count("short_std.h5 is FAILED") == 1


@pytest.mark.further(but=9)
@pytest.mark.parametrize("whole_rows", [0, 1, 20, N_ROWS - 1])
@pytest.mark.parametrize("make", [killed, cleared, write_finished])
@pytest.mark.parametrize("reader", READERS)
def test_a_file_shorter_than_it_says_is_refused(
    tmp_path: Path, make: Callable[[Path], Path], reader: Callable[[Path], int], whole_rows: int
) -> None:
    path = make(tmp_path)
    short = cut(path, end_of_row(path, whole_rows) - 1)
    with pytest.raises(SourceError, match=r"is shorter than it says.*copied.*ptychostream repair") as refused:
        reader(short)
    assert "\n" not in str(refused.value)
    assert any("is shorter than it says" in finding.message for finding in validate_file(short))


def test_a_cut_file_whose_sizes_were_mended_is_refused(tmp_path: Path) -> None:
    """`h5clear --increment` makes HDF5 believe that the file is long enough; it gives zeros for what is not there."""
    path = write_killed(tmp_path)
    short = cut(path, end_of_row(path, N_ROWS - 5) - 1)
    h5clear(short, 1 << 20)
    with pytest.raises(SourceError, match="is shorter than it says"):
        ScanFile.read(short)


def test_a_row_that_is_announced_and_was_never_written_is_refused(tmp_path: Path) -> None:
    path = write_finished(tmp_path)
    with h5py.File(path, "a") as file:
        for name in ("key_data", "key_x", "key_y"):
            del file[f"/entry/live/{name}"]
            file[f"/entry/live/{name}"] = np.arange(1, 46, dtype=np.uint32)
        for name in ("data", "pos", "posx_m", "posy_m", "keep"):
            column: Any = file[f"/entry/{name}"]
            column.resize(45, axis=0)
    sentence = r"5 of the 45 rows that it announces are not in it \(the first is row 40\)"
    with pytest.raises(SourceError, match=sentence):
        ScanFile.read(path)


def test_keys_announce_rows_up_to_the_first_hole() -> None:
    assert n_announced(np.array([1, 2, 0, 4, 5], np.uint32)) == 2
    assert n_announced(np.array([1, 2, 3], np.uint32)) == 3
    assert n_announced(np.zeros(4, np.uint32)) == 0


def test_raw_files_that_were_cut_are_refused_too(tmp_path: Path) -> None:
    """Of areaDetector's, in SWMR mode: nothing in them is a standard file's."""
    path = tmp_path / "raw.h5"
    with h5py.File(path, "w", libver="v110") as file:
        data = file.create_dataset("/entry/data/data", (20, 64, 64), "u2", maxshape=(None, 64, 64), chunks=(1, 64, 64))
        file.swmr_mode = True
        data[...] = 7
        data.flush()
        file.flush()
        Path(tmp_path / "killed.h5").write_bytes(path.read_bytes())
    killed_size = (tmp_path / "killed.h5").stat().st_size
    paths = Hdf5Paths(data="/entry/data/data")
    with Hdf5Recording(tmp_path / "killed.h5", paths) as recording:
        assert recording.n_frames == 20
    with pytest.raises(SourceError, match=r"is shorter than it says: .* copy it again$"):
        Hdf5Recording(cut(tmp_path / "killed.h5", killed_size - 5 * 64 * 64 * 2), paths)
