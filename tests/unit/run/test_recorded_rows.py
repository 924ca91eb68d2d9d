"""A row of a log goes to its own frame, or the ingest is refused with what the operator has to say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from stream_service.errors import PtychostreamError, SourceError
from stream_service.run.recorded.ingest import Listener, ingest
from stream_service.run.recorded.ingest_settings import IngestSettings
from stream_service.settings.recorded_choices import Match
from stream_service.sources.tables.recorded_readbacks import load_readbacks
from stream_service.testing.memory_recording import START_NS, MemoryRecording, frames_of


class Heard(Listener):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


class Growing(MemoryRecording):
    """A recording of which more may come."""

    @property
    def identities(self) -> None:
        return None


class BegunWrongly(MemoryRecording):
    """A recording whose first frame has a stamp from long after the last one."""

    def __init__(self, *words: Any, stamps_ns: list[int], **more: Any) -> None:
        super().__init__(*words, stamps_ns=[stamps_ns[0] + 10**13, *stamps_ns[1:]], **more)


def positions(
    tmp_path: Path,
    ids: list[int],
    log: dict[str, Any],
    *,
    kind: type[MemoryRecording] = MemoryRecording,
    live: bool = False,
    match: Match = Match.AUTO,
    **settings: Any,
) -> tuple[list[int | None], list[int], list[str]]:
    """x in micrometres of each row (None: not known), keep, and the notes; x of the log is its line, from 0."""
    csv, output = tmp_path / "log.csv", tmp_path / "out.h5"
    columns = log | {"posx_um": range(len(next(iter(log.values()))))}
    columns["posy_um"] = [0] * len(columns["posx_um"])
    lines = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    csv.write_text("\n".join(lines))
    stamps_ns = [START_NS + i * 10_000_000 for i in range(len(ids))]
    recording = kind(
        frames_of(len(ids)), [{"energy": 700.0}] * len(ids), ids=ids, stamps_ns=stamps_ns, rules=(), is_on_sample=False
    )
    recording.facts = type(recording.facts)(700.0, 0.1, 1e-5, 0.01)
    heard = Heard()
    chosen = IngestSettings(readbacks=load_readbacks(csv, match=match), match=match, **settings)
    ingest(recording, output, chosen, live=live, listener=heard)
    with h5py.File(output) as file:
        x_um = np.round(file["/entry/posx_m"][()] * 1e6, 6)
        found = [None if np.isnan(x) else int(x) for x in x_um]
        return found, file["/entry/keep"][()].tolist(), heard.notes


@pytest.mark.parametrize("first_row", [0, 1])
@pytest.mark.parametrize("key", ["frame_index", "unique_id"])
@pytest.mark.parametrize("first_id", [0, 1])
def test_as_many_rows_as_frames_are_matched_whatever_both_count_from(
    tmp_path: Path, key: str, first_row: int, first_id: int
) -> None:
    ids, keys = list(range(first_id, first_id + 16)), list(range(first_row, first_row + 16))
    found, keep, notes = positions(tmp_path, ids, {key: keys})
    assert found == list(range(16)) and keep == [1] * 16
    assert any("rows of the log and frames are matched by" in note for note in notes)


def test_order_is_that_of_the_key_and_not_of_the_lines(tmp_path: Path) -> None:
    found, _, notes = positions(tmp_path, [5, 6, 7], {"frame_index": [3, 1, 2]})
    assert found == [1, 2, 0]
    assert "rows of the log and frames are matched by order: the row with frame_index 1 is the first frame's" in notes


@pytest.mark.parametrize(
    ("ids", "log", "offsets"),
    [
        (range(1, 17), {"frame_index": range(1, 18)}, "1, 2 fit"),
        (range(1, 17), {"frame_index": range(1, 16)}, "0, 1 fit"),
        (range(2, 18), {"frame_index": range(17)}, "0, 1 fit"),  # the first frame of the scan may be lost
        (range(1, 17), {"frame_index": range(17)}, "0, 1 fit"),
        # rows of the whole scan that lack the last one, or of the frames that are left?
        ([1, 2, 3, *range(5, 17)], {"frame_index": range(15)}, "0, -1 fit"),
        (range(1, 17), {"unique_id": range(17)}, "-1, 0 fit"),
        (range(16), {"unique_id": range(1, 18)}, "1, 2 fit"),
        ([1, 2, 3, 5, 6], {"frame_index": range(1, 7)}, "1 fits"),
    ],
)
def test_unequal_counts_are_refused_with_the_offsets_that_fit(
    tmp_path: Path, ids: Any, log: dict[str, Any], offsets: str
) -> None:
    with pytest.raises(SourceError, match=f"--row-offset N, .*: .*{offsets}".replace("-1, 0", "(-1, 0|0, -1)")):
        positions(tmp_path, list(ids), log)
    assert not (tmp_path / "out.h5").exists()


def test_the_operator_says_the_offset(tmp_path: Path) -> None:
    found, keep, notes = positions(tmp_path, list(range(1, 17)), {"frame_index": range(1, 18)}, row_offset=2)
    assert found == list(range(1, 17)) and keep == [1] * 16
    how = "rows of the log and frames are matched by number: frame_index is the frame's place in the scan, from 0"
    assert f"{how}, + 2" in notes
    assert any(note.startswith("1 of 17 rows in the log of readbacks has no frame: frame_index 1") for note in notes)


def test_first_id_says_where_the_scan_began(tmp_path: Path) -> None:
    found, _, _ = positions(tmp_path, list(range(2, 18)), {"frame_index": range(17)}, first_unique_id=1)
    assert found == list(range(1, 17))


def test_ids_that_repeat_in_the_frames_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"1, 2, 3, 4 are each the unique_id of several frames\. .*--match order"):
        positions(tmp_path, [1, 2, 3, 4] * 4, {"unique_id": range(1, 17)})


@pytest.mark.parametrize("log", [{"frame_index": range(16)}, {"frame_index": range(1, 17)}])
def test_ids_that_repeat_do_not_matter_to_a_log_by_place(tmp_path: Path, log: dict[str, Any]) -> None:
    assert positions(tmp_path, [1, 2, 3, 4] * 4, log)[0] == list(range(16))


@pytest.mark.parametrize("keys", [range(1, 17), [1, 2, 3, 4] * 4])
def test_order_when_asked_for_needs_no_ids(tmp_path: Path, keys: Any) -> None:
    found, keep, _ = positions(tmp_path, [1, 2, 3, 4] * 4, {"unique_id": keys}, match=Match.ORDER)
    assert found == list(range(16)) and keep == [1] * 16


def test_order_and_offset_contradict_each_other(tmp_path: Path) -> None:
    with pytest.raises(PtychostreamError, match="contradict"):
        positions(tmp_path, [1, 2], {"frame_index": range(2)}, match=Match.ORDER, row_offset=1)


def test_what_has_no_counterpart_is_named(tmp_path: Path) -> None:
    found, keep, notes = positions(tmp_path, [11, 12, 13, 14], {"unique_id": [11, 12, 14, 20]})
    assert found == [0, 1, None, 2] and keep == [1, 1, 0, 1]
    assert any("1 frame has no row" in note and note.endswith("uniqueId 13") for note in notes)
    assert any("1 of 4 rows" in note and note.endswith("unique_id 20") for note in notes)


def test_one_wrong_id_moves_no_row(tmp_path: Path) -> None:
    found, keep, _ = positions(tmp_path, [1, 2, 3, 4000, 5, 6], {"frame_index": range(6)})
    assert found == [0, 1, 2, 4, 5] and keep == [1] * 5


def test_rows_are_counted_from_the_frame_that_was_taken_first_as_the_run_is(tmp_path: Path) -> None:
    found, keep, _ = positions(tmp_path, [500, 2, 3, 4, 5, 6], {"frame_index": range(5)}, kind=BegunWrongly)
    assert found == [0, 1, 2, 3, 4] and keep == [1] * 5


# of a recording that grows, nobody knows how many frames come


def test_growing_recording_and_rows_begin_alike(tmp_path: Path) -> None:
    for key, first in (("unique_id", 7), ("frame_index", 0)):
        found, *_ = positions(tmp_path, [7, 8, 10], {key: range(first, first + 5)}, kind=Growing)
        (tmp_path / "out.h5").unlink()
        assert found == [0, 1, 3]


def test_growing_recording_that_begins_otherwise_is_refused_until_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"begins with 1, that of the frames with 0\. Say it: --match number"):
        positions(tmp_path, [7, 8, 9], {"frame_index": range(1, 4)}, kind=Growing)
    found, *_ = positions(tmp_path, [7, 8, 9], {"frame_index": range(1, 4)}, kind=Growing, row_offset=1)
    assert found == [0, 1, 2]
    (tmp_path / "out.h5").unlink()
    found, *_ = positions(tmp_path, [7, 8, 9], {"frame_index": range(1, 4)}, kind=Growing, match=Match.ORDER)
    assert found == [0, 1, 2]


def test_growing_recording_gives_a_row_to_one_frame_only(tmp_path: Path) -> None:
    found, keep, notes = positions(tmp_path, [1, 2, 1, 2], {"unique_id": range(1, 5)}, kind=Growing)
    assert found == [0, 1, None, None] and keep == [1, 1, 0, 0]
    assert "2 frames have a unique_id that an earlier frame had: they get no row of the log" in notes
