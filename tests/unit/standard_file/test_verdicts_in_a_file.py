"""Verdicts that are written into a closed file: what they change, and what is left of them by a kill."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest

from stream_service.errors import SourceError, WriteError
from stream_service.standard_file import (
    VERDICTS_DTYPE,
    RowVerdicts,
    apply_verdicts,
    check_takes_verdicts,
    paths,
    validate_file,
)
from stream_service.standard_file.write.swmr_file import StandardFile
from stream_service.testing.example_file import append_example_rows, example_header, write_example

N_ROWS = 40
LEFT_OUT = 5
"""A row that is not kept for a reason of somebody else."""
SCRIPT = """
import os, signal, sys
import numpy as np
from pathlib import Path
from stream_service.standard_file import VERDICTS_DTYPE, RowVerdicts, apply_verdicts
path, n_left = Path(sys.argv[1]), int(sys.argv[2])
name = sys.argv[3]
real = getattr(os, name)
def dying(*args):
    global n_left
    n_left -= 1
    if n_left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*args)
setattr(os, name, dying)
score = np.linspace(0, 1, 40)
apply_verdicts(path, RowVerdicts(score, score < 0.2, np.ones(40, bool)))
"""


def verdicts(*rejected: int, judged: npt.NDArray[np.bool_] | None = None) -> RowVerdicts:
    score = np.linspace(0, 1, N_ROWS)
    is_rejected = np.isin(np.arange(N_ROWS), rejected)
    return RowVerdicts(score, is_rejected, np.ones(N_ROWS, bool) if judged is None else judged)


def said(path: Path) -> tuple[list[int], list[int], npt.NDArray[Any]]:
    with h5py.File(path) as file:
        keep, tags, score = (np.asarray(file[name]) for name in (paths.KEEP, paths.TAGS, paths.SCORE))
    return np.flatnonzero(keep == 0).tolist(), np.flatnonzero(tags).tolist(), score


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("example") / "scan_std.h5"
    write_example(path, N_ROWS)
    with h5py.File(path, "r+") as file:
        file[paths.KEEP][LEFT_OUT] = 0
    return path


@pytest.fixture
def path(example: Path, tmp_path: Path) -> Path:
    return Path(shutil.copyfile(example, tmp_path / "scan_std.h5"))


def test_rows_left_out_by_others_stay_left_out_and_ours_come_back(path: Path) -> None:
    apply_verdicts(path, verdicts(3, LEFT_OUT, 7))
    assert said(path)[:2] == ([3, LEFT_OUT, 7], [3, 7])
    assert validate_file(path) == []
    apply_verdicts(path, verdicts(7, 9))
    assert said(path)[:2] == ([LEFT_OUT, 7, 9], [7, 9])
    assert said(path)[2] == pytest.approx(np.linspace(0, 1, N_ROWS), abs=0)
    assert validate_file(path) == []


def test_rows_that_were_not_judged_stay_as_they_were(path: Path) -> None:
    apply_verdicts(path, verdicts(3, 30))
    judged = np.arange(N_ROWS) < 20
    apply_verdicts(path, RowVerdicts(np.where(judged, 0.5, np.nan), np.zeros(N_ROWS, bool), judged))
    kept_out, tagged, score = said(path)
    assert (kept_out, tagged) == ([LEFT_OUT, 30], [30])
    assert (score[:20] == 0.5).all() and score[30] == pytest.approx(30 / 39)


def test_a_second_time_values_are_written_over_where_they_lie(path: Path) -> None:
    apply_verdicts(path, verdicts(3))
    before, inode = path.stat().st_size, path.stat().st_ino
    apply_verdicts(path, verdicts(4))
    assert (path.stat().st_size, path.stat().st_ino) == (before, inode)
    assert said(path)[1] == [4]


def test_the_file_keeps_its_mode_and_a_link_to_it(path: Path, tmp_path: Path) -> None:
    path.chmod(0o640)
    link = tmp_path / "link.h5"
    link.symlink_to(path)
    apply_verdicts(link, verdicts(3))
    assert link.is_symlink() and path.stat().st_mode & 0o777 == 0o640
    assert said(path)[1] == [3]


@pytest.mark.further(but=2)
@pytest.mark.parametrize("n_done", range(5))
def test_killed_while_values_are_written_over_the_file_stays_readable_and_a_second_attempt_ends_it(
    path: Path, n_done: int
) -> None:
    apply_verdicts(path, verdicts(3, 30))  # 30 is to come back, 3 stays rejected, others follow
    done = subprocess.run([sys.executable, "-c", SCRIPT, path, str(n_done), "pwrite"], check=False)
    assert done.returncode == (-9 if n_done < 4 else 0)
    with h5py.File(path) as file:
        assert len(file[paths.KEEP]) == N_ROWS
    assert not any("cannot be read" in finding.message for finding in validate_file(path))
    subprocess.run([sys.executable, "-c", SCRIPT, path, "99", "pwrite"], check=True)
    rejected = [row for row in range(8) if row != LEFT_OUT]
    assert said(path)[:2] == ([*range(8)], rejected)
    assert validate_file(path) == []


@pytest.mark.further(but=1)
@pytest.mark.parametrize("name", ["fsync", "rename", "replace"])
def test_killed_while_a_copy_is_made_the_file_is_as_it_was(path: Path, name: str) -> None:
    before = path.read_bytes()
    done = subprocess.run([sys.executable, "-c", SCRIPT, path, "0", name], check=False)
    if done.returncode == -9:
        assert path.read_bytes() == before
    subprocess.run([sys.executable, "-c", SCRIPT, path, "99", name], check=True)
    assert validate_file(path) == []


def test_a_file_that_is_being_written_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "growing_std.h5"
    with StandardFile.create(path, example_header(N_ROWS)) as file:
        append_example_rows(file, 0, 10)
        file.flush()
        with pytest.raises(SourceError, match=r"is being written, or its writer died: .* `ptychostream repair"):
            check_takes_verdicts(path)


def test_a_file_whose_run_has_not_ended_is_refused(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file[paths.STATE][()] = b"RECEIVING"
    with pytest.raises(SourceError, match="is being written"):
        apply_verdicts(path, verdicts(3))


def test_scores_and_tags_of_others_are_not_replaced(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file[paths.TAGS] = np.zeros((2, N_ROWS), np.uint8)
        file[paths.TAGS].attrs["headings"] = ["ice", "hit"]
    with pytest.raises(SourceError, match="tags is somebody else's: it is not replaced"):
        check_takes_verdicts(path)


def test_a_disk_without_room_for_a_copy_is_told_beforehand(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(path.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    before = path.read_bytes()
    with pytest.raises(WriteError, match="the disk is full"):
        apply_verdicts(path, verdicts(3))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_verdicts_on_another_number_of_rows_are_refused(path: Path) -> None:
    with pytest.raises(SourceError, match="has no frames of 3 rows"):
        apply_verdicts(path, RowVerdicts(np.zeros(3), np.zeros(3, bool), np.ones(3, bool)))


def test_validate_finds_verdicts_that_contradict_each_other(path: Path) -> None:
    apply_verdicts(path, verdicts(3))
    with h5py.File(path, "r+") as file:
        file[paths.KEEP][3] = 1
        file[paths.SCORE][4] = 1.5
    findings = {finding.where: finding.message for finding in validate_file(path)}
    assert "1 row is tagged as rejected and kept by /entry/keep (the first is row 3)" in findings[paths.TAGS]
    assert "is outside of 0 to 1 in 1 row" in findings[paths.SCORE]


def remade(path: Path, name: str, values: Any) -> None:
    """A verdict column of another length, type or content."""
    with h5py.File(path, "r+") as file:
        del file[f"{paths.QC}/{name}"]
        file[f"{paths.QC}/{name}"] = values


def said_of(path: Path, level: str) -> list[str]:
    return [f"{found.where}: {found.message}" for found in validate_file(path) if found.level == level]


@pytest.mark.further(but=6)
@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("score", np.full(N_ROWS, 1.5), "is no number from 0 to 1 in 40 rows"),
        ("score", np.full(N_ROWS, -1e-9), "is no number from 0 to 1"),
        ("score", np.r_[np.zeros(N_ROWS - 1), math.nan], "in 1 row, the first is 39"),
        ("score", np.full(N_ROWS, math.inf), "is no number from 0 to 1"),
        ("reason", np.full(N_ROWS, 200, np.uint8), "is a code that nobody knows"),
        ("reason", np.full(N_ROWS, -1), "is a code that nobody knows"),
        ("reason", np.full(N_ROWS, 0.5), "is a code that nobody knows"),
        ("gates", np.full(N_ROWS, 1 << 30, np.uint32), "names a gate that nobody knows"),
        ("gates", np.full(N_ROWS, -2), "names a gate that nobody knows"),
        ("gates", np.full(N_ROWS, math.nan), "names a gate that nobody knows"),
        ("score", np.zeros(N_ROWS + 1), f"has verdicts on {N_ROWS + 1} rows, but there are {N_ROWS}"),
        ("gates", np.zeros(2 * N_ROWS, np.uint32), f"has verdicts on {2 * N_ROWS} rows"),
        ("score", np.zeros((N_ROWS, 2)), "a verdict is one number for each row"),
        ("reason", np.zeros(N_ROWS, complex), "a verdict is one number for each row"),
        ("number", np.array([b"x"] * N_ROWS), "a verdict is one number for each row"),
        ("second", 3.0, "a verdict is one number for each row"),
    ],
)
def test_validate_finds_verdicts_that_are_none(path: Path, name: str, values: Any, said: str) -> None:
    remade(path, name, values)
    (found,) = said_of(path, "error")
    assert found.startswith(f"{paths.QC}/{name}: ") and said in found


@pytest.mark.parametrize("n", [0, N_ROWS - 3])
def test_validate_says_what_to_do_about_rows_without_a_verdict(path: Path, n: int) -> None:
    with h5py.File(path, "r+") as file:
        for name in ("score", "reason", "number", "second", "gates"):
            file[f"{paths.QC}/{name}"].resize(n, axis=0)  # type: ignore[union-attr]
    (found,) = said_of(path, "warning")
    assert f"no verdict on the last {N_ROWS - n} rows" in found and "evaluate --apply" in found
    with h5py.File(path, "r+") as file:
        file[paths.STATE][()] = b"INCOMPLETE"  # type: ignore[index]
    assert not any("no verdict" in each for each in said_of(path, "warning"))


def test_a_file_of_an_earlier_version_has_no_verdicts_and_is_as_good(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        for name in ("score", "reason", "number", "second", "gates"):
            del file[f"{paths.QC}/{name}"]
    assert validate_file(path) == []


def test_verdicts_of_a_run_that_are_revised_leave_later_ones_as_they_are(tmp_path: Path) -> None:
    score = np.zeros(N_ROWS)
    with StandardFile.create(tmp_path / "scan_std.h5", example_header(N_ROWS)) as file:
        append_example_rows(file, 0, N_ROWS)
        for first, last, value in ((0, 10, 0.1), (10, N_ROWS, 0.2), (3, 7, 0.9)):
            table = np.zeros(last - first, VERDICTS_DTYPE)
            table["score"] = score[first:last] = value
            assert file.write_verdicts(first, table)
    with h5py.File(tmp_path / "scan_std.h5") as file:
        np.testing.assert_array_equal(file["/entry/qc/score"], score)
