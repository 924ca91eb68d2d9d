"""A file that is deleted, moved or replaced while it is written ends the run, and its rows are not lost."""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pytest
from limits import HANG_S
from live_reader import LiveReader
from scripted_run import Bench, frame, frames

from stream_service.core.frame import Frame
from stream_service.core.run import RunOutcome, RunState
from stream_service.errors import WriteError
from stream_service.run.recorded.ingest import ingest
from stream_service.run.recorded.ingest_settings import IngestSettings
from stream_service.standard_file import StandardFile, validate_file
from stream_service.testing.example_file import append_example_rows, example_header
from stream_service.testing.memory_recording import MemoryRecording, attributes_of, frames_of


def rows_of(path: Path) -> list[int]:
    with h5py.File(path, "r") as file:
        assert file["/entry/run/state"][()] == b"FAILED"
        return file["/entry/frames/unique_id"][:, 0].tolist()


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_text("another file")
    other.replace(path)


def rename_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("archived"))


def delete_folder(path: Path) -> None:
    with suppress(OSError):  # the rows were rescued into it in between: it stays
        shutil.rmtree(path.parent)


WHAT_HAPPENS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "deleted": (
        Path.unlink,
        "was deleted while it was written: its rows up to then are in",
        "scan/scan_std.rescued.h5",
    ),
    "replaced": (replace, "was replaced by another file while it was written", "scan/scan_std.rescued.h5"),
    "folder deleted": (delete_folder, "was deleted while it was written", "scan_std.rescued.h5"),
    "folder renamed": (rename_folder, "was moved while it was written (it is", "archived/scan_std.h5"),
    "moved": (lambda path: path.rename(path.with_name("b.h5")), "was moved while it was written", "scan/b.h5"),
}


@pytest.mark.parametrize("what", WHAT_HAPPENS)
def test_run_fails_with_the_reason_and_the_rows_are_kept(tmp_path: Path, what: str) -> None:
    happen, sentence, where = WHAT_HAPPENS[what]
    b = Bench(tmp_path, n_positions=9, path="scan")

    def with_the_next_frames() -> Iterator[list[Frame]]:  # at once: the run may hear of it before more come
        happen(b.run.setup.path)
        yield [frame(4), frame(5)]

    run = b.play(frames([1, 2, 3]), b.settles(), b.exposed(6), with_the_next_frames(), b.settles())
    if what == "folder deleted" and b.run.setup.path.parent.exists():
        where = "scan/scan_std.rescued.h5"
    assert run.state is RunState.FAILED
    assert sentence in run.message
    assert str(tmp_path / where) in run.message
    assert "3 of 9 frames stored in 3 rows, 3 lost, 3 never exposed (missing ids: 4-6)" in run.message
    assert rows_of(tmp_path / where) == [1, 2, 3]
    with h5py.File(tmp_path / where) as file:
        assert file["/entry/run/message"][()].decode() == run.message
        assert (file["/entry/ledger/stored"][()], file["/entry/ledger/lost"][()]) == (3, 3)
    assert [found for found in validate_file(tmp_path / where) if found.level == "error"] == []


def test_run_whose_place_of_rescue_goes_away_says_the_same_as_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`rm -r` of the folder that is still at work when the run has heard of it."""
    finish = StandardFile.finish

    def finish_after_the_folder_has_gone(file: StandardFile, outcome: RunOutcome) -> None:
        if file.failure is not None:
            file.path.parent.rmdir()
        finish(file, outcome)

    monkeypatch.setattr(StandardFile, "finish", finish_after_the_folder_has_gone)
    b = Bench(tmp_path, n_positions=9, path="scan")

    def once_it_is_deleted() -> Iterator[list[Frame]]:
        b.run.setup.path.unlink()
        yield [frame(4)]

    run = b.play(frames([1, 2, 3]), b.settles(), b.exposed(4), once_it_is_deleted(), b.settles())
    assert run.state is RunState.FAILED
    assert "scan/scan_std.rescued.h5 could not be made, since its folder has gone, too" in run.message
    assert rows_of(tmp_path / "scan_std.rescued.h5") == [1, 2, 3]
    with h5py.File(tmp_path / "scan_std.rescued.h5") as file:
        assert file["/entry/run/message"].asstr()[()] == run.message


def test_file_that_is_deleted_after_the_last_row_is_noticed_when_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "a_std.h5"
    file = StandardFile.create(path, example_header(20))
    append_example_rows(file, 0, 4)
    file.flush()
    path.unlink()
    with pytest.raises(WriteError, match="was deleted while it was written"):
        file.set_state("COMPLETE", "all expected frames were received")
    file.set_state("FAILED", "the service could not go on")
    file.close()
    assert rows_of(tmp_path / "a_std.rescued.h5") == [1, 2, 3, 4]


def test_file_that_another_program_cuts_short_is_not_closed_as_if_nothing_were(tmp_path: Path) -> None:
    path = tmp_path / "a_std.h5"
    file = StandardFile.create(path, example_header(20))
    append_example_rows(file, 0, 10)
    file.flush()
    with path.open("r+b") as other:
        other.truncate(1000)
    with pytest.raises(WriteError, match=r"a_std\.h5 was cut short by another program .* from \d+ to 1000 bytes"):
        append_example_rows(file, 10, 12)
    file.set_state("FAILED", "the service could not go on")
    file.close()
    with StandardFile.create(tmp_path / "b_std.h5", example_header(20)) as following:
        append_example_rows(following, 0, 10)


def test_nothing_is_rescued_over_another_file(tmp_path: Path) -> None:
    path = tmp_path / "a_std.h5"
    (tmp_path / "a_std.rescued.h5").write_text("of last night")
    file = StandardFile.create(path, example_header(20))
    append_example_rows(file, 0, 4)
    file.flush()
    path.unlink()
    with pytest.raises(WriteError, match=r"a_std\.rescued2\.h5"):
        file.flush()
    file.close()
    assert (tmp_path / "a_std.rescued.h5").read_text() == "of last night"
    with h5py.File(tmp_path / "a_std.rescued2.h5", "r") as rescued:
        assert np.count_nonzero(rescued["/entry/live/key_data"][()]) == 4


def test_rows_whose_place_of_rescue_goes_away_meanwhile_are_in_the_next_folder(tmp_path: Path) -> None:
    """`rm -r` of the data root: the folder still is there when the file in it has gone."""
    folder = tmp_path / "root"
    folder.mkdir()
    file = StandardFile.create(folder / "a_std.h5", example_header(20))
    append_example_rows(file, 0, 4)
    file.flush()
    (folder / "a_std.h5").unlink()
    with pytest.raises(WriteError, match=r"root/a_std\.rescued\.h5"):
        file.flush()
    file.set_state("FAILED", "the service could not go on", message="its file was deleted")
    folder.rmdir()
    (tmp_path / "a_std.rescued.h5").write_text("of last night")
    there = tmp_path / "a_std.rescued2.h5"
    with pytest.raises(WriteError, match=rf"its folder has gone, too: the rows are in {there}") as caught:
        file.close()
    assert rows_of(there) == [1, 2, 3, 4]
    with h5py.File(there) as rescued:  # whoever finds it reads where it was to be, and why it is not
        assert rescued["/entry/run/message"].asstr()[()] == f"its file was deleted; {caught.value}"


def test_followed_ingest_whose_file_is_deleted_fails_and_keeps_the_rows(tmp_path: Path) -> None:
    output = tmp_path / "out.h5"

    class Deleting(MemoryRecording):
        def frames(self) -> Iterator[Frame]:
            yield from itertools.islice(super().frames(), 4)
            deadline = time.monotonic() + HANG_S
            while not output.exists():
                assert time.monotonic() < deadline
            with LiveReader(output) as reader:
                while reader.look().n_rows < 4:
                    assert time.monotonic() < deadline
            output.unlink()
            yield from itertools.islice(super().frames(), 4, None)

    with pytest.raises(WriteError, match=r"out\.h5 was deleted while it was written"):
        ingest(Deleting(frames_of(9), attributes_of(9)), output, IngestSettings(), live=True)
    assert rows_of(tmp_path / "out.rescued.h5") == [1, 2, 3, 4]
    assert [path.name for path in tmp_path.iterdir()] == ["out.rescued.h5"]
