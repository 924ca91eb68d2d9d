"""A recording is read while a second process writes it in SWMR mode, as NDFileHDF5 does, and after that one has died.

What the writer does next is decided by what the reader has seen: time passes only when the reader waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hdf5_writer import PERIOD_NS, START_NS, Writer, attributes_of, pixels_of
from limits import HANG_S

from stream_service.core.frame import Frame
from stream_service.errors import SourceError
from stream_service.sources.hdf5.recording import Follow, Hdf5Recording

TIMEOUT_S = 5.0
SWMR = "swmr=True, flush_every=1"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "scan_raw.h5"


@pytest.fixture
def writer(path: Path) -> Iterator[Writer]:
    with Writer(path) as process:
        yield process


class Waiting:
    """Steps that happen whenever the reader waits, one at a time; its clock goes on by a second."""

    def __init__(self, *steps: Callable[[], None]) -> None:
        self._steps = list(steps)
        self.now_s = 0.0

    def follow(self) -> Follow:
        return Follow(TIMEOUT_S, 1.0, clock=lambda: self.now_s, sleep=self._sleep, on_wait=self._step)

    def _sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def _step(self) -> None:
        if self._steps:
            self._steps.pop(0)()


def lines(writer: Writer, *steps: str) -> Waiting:
    return Waiting(*((lambda line=line: writer.do(line)) for line in steps))


def check(frame: Frame, index: int) -> None:
    """The frame is exactly what a live one of this index is."""
    assert frame.unique_id == index + 1
    assert frame.timestamp_ns == START_NS + index * PERIOD_NS
    assert np.array_equal(frame.pixels, pixels_of(index))
    assert frame.attributes == attributes_of(index)


def test_frames_come_while_the_file_grows_and_all_are_there_at_its_end(writer: Writer, path: Path) -> None:
    writer.do(f"file = opened({SWMR}, column_chunk=1)")
    came_at = []
    waiting = lines(writer, "append(0, 3)", "append(3, 4)", "append(4, 40)", "file.close()")
    with Hdf5Recording(path, follow=waiting.follow()) as recording:
        assert recording.n_frames == 3
        assert (recording.first_unique_id, recording.has_timestamps) == (1, True)
        for index, frame in enumerate(recording.frames()):
            check(frame, index)
            came_at.append(waiting.now_s)
        assert recording.n_frames == 40
    assert came_at == [1.0] * 3 + [2.0] + [3.0] * 36
    assert not any("not closed" in note for note in recording.notes)


def test_no_frame_is_given_before_its_values(writer: Writer, path: Path) -> None:
    """By default columns stay behind until the file is closed: the reader says what to set, and waits for that."""
    writer.do(f"file = opened({SWMR})")
    waiting = lines(writer, *(f"append({n}, {n + 1})" for n in range(9)), "file.close()")
    with Hdf5Recording(path, follow=waiting.follow()) as recording:
        assert waiting.now_s == 10.0
        frames = list(recording.frames())
    assert len(frames) == 9
    for index, frame in enumerate(frames):
        check(frame, index)
    assert len([note for note in recording.notes if "NDAttributeChunk to 1" in note and "16384" in note]) == 1


def test_flush_now_brings_the_values(writer: Writer, path: Path) -> None:
    writer.do(f"file = opened({SWMR})")
    waiting = lines(writer, "append(0, 5)", "file.flush()", "append(5, 7)", "file.flush()", "file.close()")
    came_at = []
    with Hdf5Recording(path, follow=waiting.follow()) as recording:
        for index, frame in enumerate(recording.frames()):
            check(frame, index)
            came_at.append(waiting.now_s)
    assert came_at == [2.0] * 5 + [4.0] * 2


def test_frames_flushed_in_tens_come_in_tens(writer: Writer, path: Path) -> None:
    writer.do("file = opened(swmr=True, flush_every=10, column_chunk=10)")
    waiting = lines(writer, "append(0, 8)", "append(8, 26)", "append(26, 30)", "append(30, 33)", "file.close()")
    came_at = []
    with Hdf5Recording(path, follow=waiting.follow()) as recording:
        for index, frame in enumerate(recording.frames()):
            check(frame, index)
            came_at.append(waiting.now_s)
    assert came_at == [2.0] * 20 + [3.0] * 10 + [5.0] * 3


def test_a_file_made_before_the_first_frame_is_waited_for(writer: Writer, path: Path) -> None:
    """NDFileHDF5 makes every dataset with one row: that row is no frame."""
    waiting = lines(writer, f"file = opened({SWMR}, column_chunk=1)", "pass", "append(0, 2)", "file.close()")
    with Hdf5Recording(path, follow=waiting.follow()) as recording:
        assert waiting.now_s == 3.0
        frames = list(recording.frames())
    for index, frame in enumerate(frames):
        check(frame, index)
    assert len(frames) == 2


def test_a_single_frame_is_given_when_the_file_is_closed(writer: Writer, path: Path) -> None:
    writer.do(f"file = opened({SWMR}, column_chunk=1)")
    with Hdf5Recording(path, follow=lines(writer, "append(0, 1)", "file.close()").follow()) as recording:
        (frame,) = recording.frames()
    check(frame, 0)


@pytest.mark.further(but=1)
@pytest.mark.parametrize("places", [[3, 0, 7, 1, 5, 5, 2], [0, 1, 2, 3, 6, 5, 9], [0, 1, 2, 1, 3, 4, 5]])
def test_images_by_index_never_come_with_the_values_of_others(writer: Writer, path: Path, places: list[int]) -> None:
    """PositionMode: what stands by its index comes at once, everything else when the file is closed."""
    writer.do(f"file = opened_by_index({SWMR}, column_chunk=1)")
    steps = (f"append_at(0, {places[0]}, {places[1]})", *(f"append_at({k}, {places[k]})" for k in range(2, 7)))
    with Hdf5Recording(path, follow=lines(writer, *steps, "file.close()").follow()) as recording:
        frames = list(recording.frames())
    seen = [frame.unique_id - 1 for frame in frames]
    assert {places[index] for index in seen} == set(places) and seen == sorted(seen)
    for index, frame in zip(seen, frames, strict=True):
        assert np.array_equal(frame.pixels, pixels_of(index))
        assert frame.attributes == {**attributes_of(index), "place": places[index]}
    assert any("taken once the file is closed" in note for note in recording.notes)


def test_time_out_ends_for_a_writer_that_died(writer: Writer, path: Path) -> None:
    writer.do(f"file = opened({SWMR}, column_chunk=1)")
    writer.do("append(0, 12)")
    waiting = Waiting(writer.kill)
    with Hdf5Recording(path, follow=waiting.follow()) as recording:
        frames = list(recording.frames())
    assert len(frames) == 12
    for index, frame in enumerate(frames):
        check(frame, index)
    assert waiting.now_s == TIMEOUT_S
    assert any("nothing new came for 5 s" in note for note in recording.notes)


def test_time_out_begins_anew_with_everything_that_comes(writer: Writer, path: Path) -> None:
    writer.do(f"file = opened({SWMR}, column_chunk=1)")
    writer.do("append(0, 2)")
    rests = ["pass"] * 4
    waiting = lines(writer, *rests, "append(2, 3)", *rests, "append(3, 4)", *rests, "file.close()")
    with Hdf5Recording(path, follow=waiting.follow()) as recording:
        assert len(list(recording.frames())) == 4
    assert not any("nothing new" in note for note in recording.notes)


def test_frames_whose_values_died_with_the_writer_are_given_without_them(writer: Writer, path: Path) -> None:
    writer.do(f"file = opened({SWMR})")
    writer.do("append(0, 4)")
    with Hdf5Recording(path, follow=Waiting(writer.kill).follow()) as recording:
        assert not recording.has_timestamps
        frames = list(recording.frames())
    assert [(frame.unique_id, frame.timestamp_ns, frame.attributes) for frame in frames] == [
        (index + 1, 0, {}) for index in range(4)
    ]
    for index, frame in enumerate(frames):
        assert np.array_equal(frame.pixels, pixels_of(index))
    assert any("the last 4 of 4 frames lack values" in note for note in recording.notes)


def test_a_writer_that_died_is_read_without_following_too(writer: Writer, path: Path) -> None:
    writer.do("file = opened(swmr=True, flush_every=1, column_chunk=5)")
    writer.do("append(0, 12)")
    writer.kill()
    with Hdf5Recording(path) as recording:
        frames = list(recording.frames())
    assert [frame.unique_id for frame in frames] == list(range(1, 13)), "ids of the last two are counted on"
    for index in range(10):
        check(frames[index], index)
    assert [frame.attributes for frame in frames[10:]] == [{}, {}]
    assert [frame.timestamp_ns for frame in frames[10:]] == [0, 0]
    assert any("was not closed" in note and "12 frames" in note for note in recording.notes)
    assert any("the last 2 of 12 frames lack values" in note for note in recording.notes)


def test_a_growing_file_is_taken_as_it_is_without_following(writer: Writer, path: Path) -> None:
    writer.do(f"file = opened({SWMR}, column_chunk=1)")
    writer.do("append(0, 5)")
    with Hdf5Recording(path) as recording:
        writer.do("append(5, 9)")
        assert [frame.unique_id for frame in recording.frames()] == [1, 2, 3, 4, 5]
    assert any("--follow" in note for note in recording.notes)


def test_a_file_written_without_swmr_asks_to_wait(writer: Writer, path: Path) -> None:
    writer.do("file = opened()")
    writer.do("append(0, 3)")
    with pytest.raises(SourceError, match="wait until it is closed, or set SWMRMode"):
        Hdf5Recording(path)


def test_following_a_file_written_without_swmr_waits_for_its_end(writer: Writer, path: Path) -> None:
    writer.do("file = opened()")
    waiting = lines(writer, "append(0, 3)", "file.close()")
    with Hdf5Recording(path, follow=waiting.follow()) as recording:
        frames = list(recording.frames())
    assert len(frames) == 3
    for index, frame in enumerate(frames):
        check(frame, index)


def test_a_file_that_never_comes_is_told_with_how_long_it_was_waited_for(path: Path) -> None:
    with pytest.raises(SourceError, match=r"no such file \(waited 5 s for it\)"):
        Hdf5Recording(path, follow=Waiting().follow())


def test_a_file_that_stays_without_a_frame_is_told(writer: Writer, path: Path) -> None:
    writer.do(f"file = opened({SWMR})")
    with pytest.raises(SourceError, match="holds no frames"):
        Hdf5Recording(path, follow=Waiting().follow())


@pytest.mark.further(but=1)
@pytest.mark.parametrize("is_at_open", [True, False])
def test_a_column_stored_once_keeps_no_frame_back(writer: Writer, path: Path, is_at_open: bool) -> None:
    """`when="OnFileOpen"` or "OnFileClose" of a layout: such a column stays at one row while the others grow."""
    store = "once.append({'sample': 'Siemens star'}); once.write(1, 1); once.dataset.flush()"
    writer.do(f"file = opened({SWMR}, column_chunk=1)")
    writer.do("once = next(b for b in file._buffers if b._column.name == 'sample')")
    writer.do("file._buffers = tuple(b for b in file._buffers if b is not once)")
    if is_at_open:
        writer.do(store)
    close = "file.close()" if is_at_open else f"{store}; file.close()"
    waiting = lines(writer, "append(0, 2)", "append(2, 3)", "append(3, 5)", close)
    with Hdf5Recording(path, follow=waiting.follow()) as recording:
        came = [(frame, waiting.now_s) for frame in recording.frames()]
    assert [frame.unique_id for frame, _ in came] == [1, 2, 3, 4, 5]
    assert [at for _, at in came] == [2.0, 2.0, 2.0, 3.0, 3.0]
    for index, (frame, _) in enumerate(came):
        expected = attributes_of(index)
        if not is_at_open:
            del expected["sample"]
        assert frame.attributes == expected
    assert any("'sample' was recorded once for the whole scan: 'Siemens star'" in note for note in recording.notes)


def test_a_standard_file_is_followed_by_its_live_keys(writer: Writer, path: Path) -> None:
    writer.do("from stream_service.standard_file import StandardFile")
    writer.do("from stream_service.testing.example_file import append_example_rows, example_header, example_ledger")
    writer.do("file = StandardFile.create(path, example_header(20), swmr=True)")
    waiting = lines(
        writer,
        "append_example_rows(file, 0, 3); file.flush()",
        "append_example_rows(file, 3, 8)",
        "file.flush()",
        "file.write_ledger(example_ledger(8)); file.set_state('COMPLETE', 'done', 1); file.close()",
    )
    with Hdf5Recording(path, follow=waiting.follow()) as recording:
        assert recording.layout == "/entry (standard file)"
        came = [(frame.unique_id, frame.attributes["x"], waiting.now_s) for frame in recording.frames()]
    assert [id for id, _, _ in came] == list(range(1, 9))
    assert [x for _, x, _ in came] == [1e-6 * n for n in range(8)]
    assert [at for _, _, at in came] == [1.0] * 3 + [3.0] * 5


def test_another_file_under_the_same_name_ends_the_following(writer: Writer, path: Path) -> None:
    writer.do(f"file = opened({SWMR}, column_chunk=1)")
    writer.do("append(0, 2)")
    replace = "path.rename(path.with_suffix('.old')); other = opened(); other.append(nd_frame(0)); other.close()"
    with (
        Hdf5Recording(path, follow=lines(writer, replace).follow()) as recording,
        pytest.raises(SourceError, match="replaced by another file"),
    ):
        list(recording.frames())


@pytest.mark.further(but=1)
@pytest.mark.parametrize("chunk_frames", [1, 4])
def test_a_reader_keeps_up_with_a_writer_at_full_speed(writer: Writer, path: Path, chunk_frames: int) -> None:
    """Real time: both run freely, and no frame or value is ever wrong."""
    writer.do(f"file = opened({SWMR}, column_chunk=1, chunk_frames={chunk_frames})")
    writer.do("import threading, time")
    writer.do(
        "thread = threading.Thread(target=lambda: ([(file.append(nd_frame(i)), time.sleep(0.001)) "
        "for i in range(400)], file.close()))"
    )
    writer.do("thread.start()")
    with Hdf5Recording(path, follow=Follow(HANG_S, 0.01)) as recording:
        for index, frame in enumerate(recording.frames()):
            check(frame, index)
    assert index == 399
    assert not any("not closed" in note for note in recording.notes)
