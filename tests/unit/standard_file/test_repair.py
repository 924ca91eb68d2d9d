"""Rows that `repair` keeps of a killed writer's file, or of one that was cut off, and its message."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from unclosed_files import GEOMETRY, N_BEYOND, N_ROWS, cut, end_of_row, h5clear, write_finished, write_killed

from stream_service.errors import ConfigError, SourceError, WriteError
from stream_service.ptycho.scan_file import ScanFile
from stream_service.standard_file import RowVerdicts, apply_verdicts, paths
from stream_service.standard_file.repair.repair import Repaired, repair
from stream_service.standard_file.rules.validate import validate_file
from stream_service.standard_file.schema.row_columns import row_column_specs
from stream_service.standard_file.write.swmr_file import StandardFile
from stream_service.testing.example_file import (
    START_NS,
    append_example_rows,
    example_header,
    example_ledger,
    example_pixels,
    example_row,
)


class Clock:
    """Time passes by sleeping only."""

    def __init__(self, on_sleep: Callable[[], None] = lambda: None) -> None:
        self.now_s = 0.0
        self._on_sleep = on_sleep

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        self._on_sleep()


def repaired(path: Path, output: Path | None = None, **options: Any) -> Repaired:
    clock = Clock()
    return repair(path, output, clock=lambda: clock.now_s, sleep=clock.sleep, **options)


def errors_of(path: Path) -> list[str]:
    return [str(finding) for finding in validate_file(path) if finding.level == "error"]


def check_rows(path: Path, n_rows: int) -> None:
    """The first rows of the example, in both halves, with keys; closed."""
    assert errors_of(path) == []
    with h5py.File(path) as file:
        data: Any = file["/entry/data"]
        for row in range(n_rows):
            np.testing.assert_array_equal(data[row], example_pixels(row, (64, 80)))
        assert data.shape[0] == n_rows
        positions = [example_row(row)[["x_m", "y_m"]].item() for row in range(n_rows)]
        np.testing.assert_array_equal(np.asarray(file["/entry/pos"]), positions)
        for spec in row_column_specs((64, 80), 1):
            assert file[spec.path].shape[0] == n_rows  # type: ignore[union-attr]
        for name in ("key_data", "key_x", "key_y"):
            keys = np.asarray(file[f"/entry/live/{name}"])
            np.testing.assert_array_equal(keys[:n_rows], np.arange(1, n_rows + 1))
            assert not keys[n_rows:].any()


def text(path: Path, name: str) -> str:
    with h5py.File(path) as file:
        value: Any = file[name]
        return value[()].decode()


def test_a_killed_writers_rows_are_kept_and_the_run_is_aborted(tmp_path: Path) -> None:
    path = write_killed(tmp_path)
    whole = path.read_bytes()
    done = repaired(path)
    assert done.path == path and done.original == tmp_path / "killed_std_unrepaired.h5"
    assert done.original.read_bytes() == whole, "the old file is whole, beside the new one"
    check_rows(path, N_ROWS)
    assert text(path, "/entry/run/state") == "ABORTED"
    assert text(path, "/entry/run/end_reason") == "its writer was killed, or the machine failed"
    assert text(path, "/entry/run/message") == done.message
    assert f"kept {N_ROWS} of {N_ROWS} rows" in done.message and "the writer died (state RECEIVING)" in done.message
    assert not ScanFile.read(path).notes
    assert sorted(tmp_path.iterdir()) == sorted([path, done.original]), "nothing half-made is left"


def test_everything_around_the_rows_is_as_it_was(tmp_path: Path) -> None:
    """A file that its writer finished and could not close any more."""
    finished, path = tmp_path / "finished_std.h5", tmp_path / "left_std.h5"
    with StandardFile.create(finished, example_header(N_ROWS, **GEOMETRY)) as file:
        append_example_rows(file, 0, N_ROWS)
        file.write_ledger(example_ledger(N_ROWS))
        file.set_state("COMPLETE", "all expected frames were received", START_NS + 1, "40 rows")
        file.flush()
        shutil.copyfile(finished, path)
    with h5py.File(path, swmr=True) as opened:
        before = contents(opened)
    done = repaired(path, tmp_path / "new.h5")
    check_rows(tmp_path / "new.h5", N_ROWS)
    with h5py.File(tmp_path / "new.h5") as opened:
        after = contents(opened)
    assert {name for name in before if before[name] != after.get(name)} == {"/entry/run/message"}
    assert set(after) == set(before)
    assert done.message.startswith("the file was not closed; ") and done.message.endswith("Before that: 40 rows")


def contents(file: h5py.File) -> dict[str, Any]:
    """Values and attributes of everything, by every name; soft links by their target."""
    found: dict[str, Any] = {}

    def enter(group: h5py.Group, path: str) -> None:
        found[path] = attributes_of(group)
        for name in group:
            place, link, member = f"{path}/{name}", group.get(name, getlink=True), group[name]
            if isinstance(link, h5py.SoftLink):
                found[place] = link.path
            elif isinstance(member, h5py.Group):
                enter(member, place)
            elif isinstance(member, h5py.Dataset):
                shape = member.shape, member.maxshape, member.dtype.str, member.chunks
                found[place] = np.asarray(member).tobytes(), shape, attributes_of(member)

    enter(file, "")
    return found


def attributes_of(member: h5py.Group | h5py.Dataset) -> dict[str, str]:
    return {name: repr(value) for name, value in member.attrs.items()}


@pytest.mark.further(but=3)
@pytest.mark.parametrize("whole_rows", [12, 20, 33, N_ROWS - 1])
@pytest.mark.parametrize("make", [write_killed, write_finished])
def test_the_rows_before_a_cut_are_kept(tmp_path: Path, make: Callable[[Path], Path], whole_rows: int) -> None:
    path = make(tmp_path)
    short = cut(path, end_of_row(path, whole_rows) - 1)
    done = repaired(short, tmp_path / "new_std.h5")
    assert done.n_rows == whole_rows and done.original == short
    check_rows(tmp_path / "new_std.h5", whole_rows)
    lost = f"{whole_rows} to {N_ROWS - 1}" if whole_rows < N_ROWS - 1 else str(whole_rows)
    assert f"kept {whole_rows} of {N_ROWS} rows; lost are the rows {lost}, as" in done.message
    state = text(tmp_path / "new_std.h5", "/entry/run/state")
    assert state == ("ABORTED" if make is write_killed else "INCOMPLETE"), "it cannot be complete any more"


def empty_last_frame(path: Path) -> None:
    with h5py.File(path, "r") as file:
        info = file["/entry/data"].id.get_chunk_info_by_coord((N_ROWS - 1, 0, 0))  # type: ignore[union-attr]
    content = bytearray(path.read_bytes())
    content[info.byte_offset : info.byte_offset + info.size] = bytes(info.size)
    path.write_bytes(content)


@pytest.mark.further
def test_account_with_the_earlier_name_of_a_count_is_kept(tmp_path: Path) -> None:
    path = write_finished(tmp_path)
    with h5py.File(path, "r+") as file:
        file["/entry/ledger/unexpected"][()] = 3  # type: ignore[index]
        file.move("/entry/ledger/unexpected", "/entry/ledger/surplus")
    empty_last_frame(path)
    repaired(path, tmp_path / "new.h5")
    check_rows(tmp_path / "new.h5", N_ROWS - 1)
    with h5py.File(tmp_path / "new.h5") as file:
        assert file["/entry/ledger/surplus"][()] == 3  # type: ignore[index]


def test_frames_of_lost_rows_are_lost_in_the_ledger(tmp_path: Path) -> None:
    """A file whose account is whole, and whose frames are not: sparse, as a broken copy may be."""
    path = write_finished(tmp_path)
    empty_last_frame(path)
    assert any("is 0 everywhere in 1 row (39), in which light was measured" in error for error in errors_of(path))
    with pytest.raises(SourceError, match="of row 39, the last, no pixel is in it"):
        ScanFile.read(path)
    repaired(path, tmp_path / "new.h5")
    check_rows(tmp_path / "new.h5", N_ROWS - 1)
    with h5py.File(tmp_path / "new.h5") as file:
        ledger: Any = file["/entry/ledger"]
        assert [int(ledger[name][()]) for name in ("expected", "stored", "lost")] == [N_ROWS, N_ROWS - 1, 1]
        assert ledger["status"][-1] == 3 and (ledger["status"][:-1] == 1).all()


def test_a_copy_that_h5clear_mended_is_put_in_order(tmp_path: Path) -> None:
    path = write_killed(tmp_path)
    h5clear(path)
    assert repaired(path).n_rows == N_ROWS
    check_rows(path, N_ROWS)


@pytest.mark.further
def test_a_cut_that_h5clear_mended_is_seen_by_its_empty_rows(tmp_path: Path) -> None:
    path = write_killed(tmp_path)
    short = cut(path, end_of_row(path, 29))
    h5clear(short, 1 << 20)
    assert repaired(short).n_rows == 30
    check_rows(short, 30)


def test_a_file_in_order_stays_as_it_is(tmp_path: Path) -> None:
    path = write_finished(tmp_path)
    before = path.read_bytes()
    done = repaired(path, tmp_path / "new.h5")
    assert not done.is_new and done.n_rows == N_ROWS
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
    again = repaired(write_killed(tmp_path))
    assert not repaired(again.path).is_new, "what was repaired needs it no more"


def test_a_file_that_is_written_is_left_alone(tmp_path: Path) -> None:
    path = write_killed(tmp_path)
    with h5py.File(path, "r", swmr=True) as file:
        place: int = file["/entry/run/heartbeat"].id.get_offset()  # type: ignore[union-attr]

    def beat() -> None:
        with path.open("r+b") as written:
            written.seek(place)
            written.write((999).to_bytes(8, "little"))

    clock = Clock(beat)
    with pytest.raises(SourceError, match=r"is being written \(its heartbeat counts on\)"):
        repair(path, clock=lambda: clock.now_s, sleep=clock.sleep)
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_destroyed(tmp_path: Path) -> None:
    path = write_killed(tmp_path)
    with pytest.raises(ConfigError, match="is one of the files that are read"):
        repaired(path, path, force=True)
    (tmp_path / "new.h5").write_text("mine")
    with pytest.raises(WriteError, match="exists already"):
        repaired(path, tmp_path / "new.h5")
    (tmp_path / "killed_std_unrepaired.h5").write_text("mine")
    with pytest.raises(WriteError, match=r"killed_std_unrepaired\.h5 exists already: move it away"):
        repaired(path)
    assert (tmp_path / "new.h5").read_text() == (tmp_path / "killed_std_unrepaired.h5").read_text() == "mine"
    assert repaired(path, tmp_path / "new.h5", force=True).n_rows == N_ROWS


def test_what_cannot_be_repaired_is_said_so(tmp_path: Path) -> None:
    path = write_killed(tmp_path)
    with h5py.File(tmp_path / "raw.h5", "w", libver="v110") as file:
        file["entry/data/data"] = np.zeros((2, 3, 4))
    for name, sentence in {"raw.h5": "is not a standard file", "none.h5": "there is no such file"}.items():
        with pytest.raises(SourceError, match=sentence):
            repaired(tmp_path / name)
    with h5py.File(path, "r", swmr=True) as file:
        begun: int = file["/entry/data"].id.get_chunk_info_by_coord((0, 0, 0)).byte_offset  # type: ignore[union-attr]
    for n_bytes in (0, 1000, begun // 2, begun + 100):
        short = cut(path, n_bytes)
        with pytest.raises(SourceError) as refused:
            repaired(short)
        assert str(short) in str(refused.value) and "\n" not in str(refused.value)
        assert os.path.getsize(short) == n_bytes
    assert sorted(file.name for file in tmp_path.iterdir()) == ["cut_killed_std.h5", "killed_std.h5", "raw.h5"]


def test_rows_beyond_the_keys_are_not_kept(tmp_path: Path) -> None:
    path = write_killed(tmp_path)
    with h5py.File(path, "r", swmr=True) as file:
        assert file["/entry/data"].shape[0] == N_ROWS + N_BEYOND  # type: ignore[union-attr]
    assert repaired(path).n_rows == N_ROWS


def test_the_energy_is_that_of_most_rows_as_at_the_end_of_a_run(tmp_path: Path) -> None:
    path = write_killed(tmp_path)
    rows_eV = np.where(np.arange(N_ROWS + N_BEYOND) < 10, 900.0, 700.0)
    with h5py.File(path, swmr=True) as file:
        place = file["/entry/frames/energy_eV"].id.get_chunk_info(0).byte_offset  # type: ignore[union-attr]
    with path.open("r+b") as stream:
        stream.seek(place)
        stream.write(rows_eV.tobytes())
    repair(path, tmp_path / "new.h5", clock=iter(range(99)).__next__, sleep=lambda _: None)
    with h5py.File(tmp_path / "new.h5") as file:
        assert file["/entry/energy_eV"][()] == pytest.approx(700.0)  # type: ignore[index]
        joules = file["/entry_1/instrument_1/source_1/energy"][()]  # type: ignore[index]
    assert joules == pytest.approx(700.0 * 1.602176634e-19)


@pytest.mark.further(but=1)
@pytest.mark.parametrize("write", [write_killed, write_finished])
def test_validate_names_what_is_wrong_wherever_a_file_was_cut(write: Callable[[Path], Path], tmp_path: Path) -> None:
    whole = write(tmp_path)
    for part in range(1, 200):
        copy = tmp_path / "cut_std.h5"
        copy.write_bytes(whole.read_bytes()[: whole.stat().st_size * part // 200])
        assert validate_file(copy), f"cut after {part} of 200 parts"


def test_row_of_which_only_an_optional_column_was_cut_off_is_kept(tmp_path: Path) -> None:
    """The cells of row 32 lie behind its frame, in a chunk of their own."""
    short = cut(path := write_killed(tmp_path), end_of_row(path, 33) - 1)
    assert repaired(short, tmp_path / "new_std.h5").n_rows == 33
    with h5py.File(tmp_path / "new_std.h5") as file:
        cells: Any = file["/entry/qc/features/cells"]
        for row in range(32):
            np.testing.assert_array_equal(cells[row], example_row(row)["features"]["cells"])
        assert np.isnan(cells[32]).all(), "not known"


def test_damaged_columns_are_a_sentence_or_fewer_values(tmp_path: Path) -> None:
    path = write_finished(tmp_path)
    with h5py.File(path, "r+") as file:
        values = file["/entry/qc/features/neighbour_sum"][()]
        del file["/entry/qc/features/neighbour_sum"]
        file["/entry/qc/features/neighbour_sum"] = values[:-1]
    assert repaired(path, tmp_path / "new_std.h5").n_rows == N_ROWS
    with h5py.File(path, "r+") as file:
        del file["/entry/ledger/status"]
        file.create_group("/entry/ledger/status")
    with pytest.raises(SourceError, match="lacks /entry/ledger/status, which every standard file has"):
        repaired(path, tmp_path / "newer_std.h5")


def write_judged(folder: Path) -> Path:
    """The finished scan, whose rows 3 and 20 were rejected afterwards."""
    path = write_finished(folder)
    is_rejected = np.isin(np.arange(N_ROWS), (3, 20))
    apply_verdicts(path, RowVerdicts(np.linspace(0, 1, N_ROWS), is_rejected, np.ones(N_ROWS, bool)))
    return path


def first_verdict(path: Path) -> int:
    """Where the first dataset begins that was written after the run."""
    with h5py.File(path) as file:
        return int(h5py.h5o.get_info(file[paths.SCORE].id).addr)  # type: ignore[attr-defined]


@pytest.mark.further(but=1)
@pytest.mark.parametrize("n_lost", [0, 4])
def test_rows_of_a_file_whose_applied_verdicts_are_cut_off_are_kept(tmp_path: Path, n_lost: int) -> None:
    """Those lie behind the rows: whatever is cut off, they are lost first."""
    whole = write_judged(tmp_path)
    path = cut(whole, end_of_row(whole, N_ROWS - 1 - n_lost) if n_lost else first_verdict(whole))
    done = repaired(path)
    check_rows(path, N_ROWS - n_lost)
    with h5py.File(path) as file:
        assert paths.SCORE not in file and paths.TAGS not in file
        assert np.flatnonzero(np.asarray(file[paths.KEEP]) == 0).tolist() == [3, 20]
    assert f"{paths.SCORE} and {paths.TAGS} are not whole and left out: `ptychostream evaluate --apply`" in done.message


@pytest.mark.further
def test_each_cut_of_the_applied_verdicts_leaves_them_whole_or_out(tmp_path: Path) -> None:
    whole = write_judged(tmp_path)
    with h5py.File(whole) as file:
        before = {name: np.asarray(file[name]) for name in (paths.SCORE, paths.TAGS)}
    for n_bytes in range(first_verdict(whole), whole.stat().st_size, 400):
        new = tmp_path / "new.h5"
        done = repaired(cut(whole, n_bytes), new, force=True)
        assert errors_of(new) == []
        with h5py.File(new) as file:
            for name, values in before.items():
                assert (name in file) != (name in done.message)
                if name in file:
                    np.testing.assert_array_equal(file[name], values)


def test_applied_verdicts_follow_the_rows_that_are_kept(tmp_path: Path) -> None:
    path = write_judged(tmp_path)
    with h5py.File(path, "r+") as file:
        epochs: Any = file[f"{paths.FRAMES}/epoch"]
        epochs[10] = -1  # a row that was never written
    assert errors_of(path)
    assert "lost are the rows 10" in repaired(path).message
    with h5py.File(path) as file:
        assert np.flatnonzero(np.asarray(file[paths.TAGS])).tolist() == [3, 19]
        assert np.asarray(file[paths.SCORE]) == pytest.approx(np.delete(np.linspace(0, 1, N_ROWS), 10), abs=0)
    assert errors_of(path) == []


def test_energy_that_its_writer_was_correcting_is_one_number_again(tmp_path: Path) -> None:
    """It stands in three places; the writer was killed after the first, before there was a row."""
    path = tmp_path / "killed_std.h5"
    with StandardFile.create(tmp_path / "growing_std.h5", example_header(5, **GEOMETRY)) as file:
        file._fixed.replace(paths.ENERGY, 711.0)
        shutil.copyfile(file.path, path)
    repaired(path)
    assert errors_of(path) == []
    with h5py.File(path) as opened:
        assert [opened[name][()] for name in (paths.ENERGY, paths.BEAM_ENERGY)] == [711.0, 711.0]  # type: ignore[index]
