"""Frames from the raw file, read in a process beside this one: which of them come, and what is said of the file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
from hdf5_trees import write_areadetector
from hdf5_writer import PERIOD_NS, START_NS, Writer, attributes_of, nd_frame, pixels_of
from limits import HANG_S
from waiting import is_there, wait_until

from iocsim.hdf5.file import FileOptions, NDFile
from iocsim.hdf5.layout import DefaultLayout, Layout
from iocsim.hdf5.xml import load_layout
from iocsim.hdf5.xml_layout import XmlLayout
from stream_service.core.frame import Frame
from stream_service.sources.hdf5.raw_file import RawAnswer, RawFile, RawLimits, RawState
from stream_service.sources.hdf5.recording import Hdf5Recording

CHECKOUT = Path(__file__).resolve().parents[3]
REAL = [CHECKOUT / "tests" / "data" / f"real_{name}.h5" for name in ("step_default_layout", "swmr_not_closed")]
LAYOUTS = [None, *sorted((CHECKOUT / "xml_layouts" / "template").glob("*_layout.xml"))]

N = 12
IDS = np.arange(1, N + 1)
STAMPS_NS = START_NS + PERIOD_NS * (IDS - 1)
HELD = np.isin(IDS, (1, 2, 5, 6, 7, 12), invert=True)
"""Of the frames of the scan; the others were lost."""
LOST = IDS[~HELD]

Ask = Callable[..., tuple[list[Frame], RawAnswer]]


def asked(file: RawFile, wanted: Any, ids: Any, stamps_ns: Any, *let_go: Any) -> tuple[list[Frame], RawAnswer]:
    """All that is answered."""
    ids_ns = [np.asarray(column, np.int64) for column in (wanted, ids, stamps_ns, *(let_go or ([], [])))]
    file.ask(ids_ns[0], ids_ns[1], ids_ns[2], ids_ns[3], ids_ns[4])
    deadline_s = time.monotonic() + HANG_S
    taken: list[Any] = []
    while file.is_asked and time.monotonic() < deadline_s:
        taken += file.take(1.0)
    assert taken and isinstance(taken[-1], RawAnswer)
    return taken[:-1], taken[-1]


@pytest.fixture
def ask() -> Iterator[Ask]:
    """Ask a file once; what was lost, unless something else is wanted."""
    files: list[RawFile] = []

    def ask(path: Path, wanted: Any = LOST, ids: Any = IDS[HELD], stamps_ns: Any = STAMPS_NS[HELD], **options: Any):
        files.append(RawFile(path, **options))
        return asked(files[-1], wanted, ids, stamps_ns)

    yield ask
    for file in files:
        file.close()


def test_frames_that_were_lost_come_whole(ask: Ask, tmp_path: Path) -> None:
    frames, answer = ask(write_areadetector(tmp_path / "raw.h5", N))
    assert answer == RawAnswer(RawState.CLOSED, N, len(IDS[HELD]), len(IDS[HELD]), len(LOST))
    assert [frame.unique_id for frame in frames] == LOST.tolist()
    for frame in frames:
        index = frame.unique_id - 1
        assert frame.timestamp_ns == STAMPS_NS[index]
        assert frame.is_backfilled and frame.received_s is None
        np.testing.assert_array_equal(frame.pixels, pixels_of(index))
        assert frame.pixels.dtype == pixels_of(index).dtype
        assert frame.attributes == attributes_of(index)


@pytest.mark.parametrize(("later_ns", "is_used"), [(0, True), (1_000_000_000, False)])
def test_frames_that_came_and_were_let_go_are_given_and_show_whose_the_file_is(tmp_path, later_ns, is_used) -> None:
    with RawFile(write_areadetector(tmp_path / "raw.h5", N)) as file:
        frames, answer = asked(file, IDS, [], [], IDS[HELD], STAMPS_NS[HELD] + later_ns)
    assert answer.state is (RawState.CLOSED if is_used else RawState.OTHER_SCAN)
    assert [frame.unique_id for frame in frames] == (IDS.tolist() if is_used else [])


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda path: path.stem if path else "default")
def test_frames_come_from_every_layout(ask: Ask, tmp_path: Path, layout: Path | None) -> None:
    made: Layout = DefaultLayout() if layout is None else XmlLayout(load_layout(str(layout)))
    file = NDFile(tmp_path / "raw.h5", nd_frame(0), made, FileOptions(filters=dict(hdf5plugin.Bitshuffle(cname="lz4"))))
    for index in range(N):
        file.append(nd_frame(index))
    file.close()
    frames, answer = ask(tmp_path / "raw.h5")
    assert answer.state is RawState.CLOSED
    for frame, unique_id in zip(frames, LOST.tolist(), strict=True):
        assert frame.unique_id == unique_id
        np.testing.assert_array_equal(frame.pixels, pixels_of(unique_id - 1))
        assert frame.attributes["posx"] == attributes_of(unique_id - 1)["posx"]


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
@pytest.mark.parametrize("field", ["timeStamp", "dataTimeStamp"])
def test_frames_come_from_files_of_a_real_ioc(ask: Ask, path: Path, field: Any) -> None:
    with Hdf5Recording(path, timestamp_field=field) as recording:
        recorded = list(recording.frames())
    held, lost = recorded[::2], recorded[1::2]
    ids, stamps_ns = ([getattr(frame, name) for frame in held] for name in ("unique_id", "timestamp_ns"))
    frames, answer = ask(path, [frame.unique_id for frame in lost], ids, stamps_ns, timestamp_field=field)
    assert (answer.n_agree, answer.n_found, answer.sentence) == (len(held), len(lost), "")
    for frame, other in zip(frames, lost, strict=True):
        assert (frame.unique_id, frame.timestamp_ns) == (other.unique_id, other.timestamp_ns)
        assert frame.attributes == other.attributes
        np.testing.assert_array_equal(frame.pixels, other.pixels)


def test_only_the_attributes_that_are_wanted_are_read(ask: Ask, tmp_path: Path) -> None:
    frames, _ = ask(write_areadetector(tmp_path / "raw.h5", N), wanted_attributes=["posy", "posx", "none"])
    assert [sorted(frame.attributes) for frame in frames] == [["posx", "posy"]] * len(LOST)


def test_counter_that_was_reset_within_the_file_is_told_apart_by_the_stamps(ask: Ask, tmp_path: Path) -> None:
    file = NDFile(tmp_path / "raw.h5", nd_frame(0), DefaultLayout(), FileOptions())
    for index in range(N):
        file.append(replace(nd_frame(index), unique_id=1 + index % 6))
    file.close()
    held = np.array([0, 1, 3, 4, 5, 6, 8, 9, 10])  # lost are id 3 of the first epoch, and ids 2 and 6 of the second
    frames, answer = ask(tmp_path / "raw.h5", [2, 3, 6], 1 + held % 6, STAMPS_NS[held])
    assert (answer.n_agree, answer.state) == (len(held), RawState.CLOSED)
    assert [(frame.unique_id, frame.timestamp_ns) for frame in frames] == [
        (3, STAMPS_NS[2]),
        (2, STAMPS_NS[7]),
        (6, STAMPS_NS[11]),
    ]


def test_yesterdays_file_fills_nothing(ask: Ask, tmp_path: Path) -> None:
    frames, answer = ask(write_areadetector(tmp_path / "raw.h5", N), stamps_ns=STAMPS_NS[HELD] + 86_400 * 10**9)
    assert (frames, answer.state, answer.n_agree) == ([], RawState.OTHER_SCAN, 0)
    assert "of another scan" in answer.sentence


def test_without_a_frame_that_came_a_file_is_not_used(ask: Ask, tmp_path: Path) -> None:
    frames, answer = ask(write_areadetector(tmp_path / "raw.h5", N), ids=(), stamps_ns=())
    assert (frames, answer.state) == ([], RawState.OTHER_SCAN)
    assert "no frame came" in answer.sentence


def test_file_that_comes_late_is_asked_again_while_it_grows_and_when_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "raw.h5"
    with Writer(path) as writer, RawFile(path) as file:
        question = LOST, IDS[HELD], STAMPS_NS[HELD]
        assert asked(file, *question)[1].state is RawState.NOT_THERE
        writer.do("file = opened(swmr=True, column_chunk=4, flush_every=1)")
        writer.do("append(0, 7)")  # of the columns 4 are flushed
        frames, answer = asked(file, *question)
        assert (answer.state, answer.n_frames) == (RawState.GROWING, 4)
        assert [frame.unique_id for frame in frames] == [1, 2]
        writer.do(f"append(7, {N}); file.close()")
        frames, answer = asked(file, *question)
        assert (answer.state, answer.n_frames) == (RawState.CLOSED, N)
        assert [frame.unique_id for frame in frames] == LOST.tolist()


def test_ids_that_are_not_flushed_yet_are_no_frames(tmp_path: Path) -> None:
    path = tmp_path / "raw.h5"
    with Writer(path) as writer, RawFile(path) as file:
        writer.do("file = opened(swmr=True, flush_every=1)")  # columns have chunks of 16384
        writer.do("append(0, 7)")
        frames, answer = asked(file, [0, *LOST], IDS[HELD], STAMPS_NS[HELD])
        assert (frames, answer.state, answer.n_frames) == ([], RawState.GROWING, 0)
        assert "none of the frames" in answer.sentence
        writer.do("file.flush()")
        assert asked(file, [0, *LOST], IDS[HELD], STAMPS_NS[HELD])[1].n_found == 5


def test_file_without_swmr_is_read_once_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "raw.h5"
    with Writer(path) as writer, RawFile(path) as file:
        question = LOST, IDS[HELD], STAMPS_NS[HELD]
        writer.do("file = opened()")
        writer.do(f"append(0, {N})")
        frames, answer = asked(file, *question)
        assert (frames, answer.state) == ([], RawState.BEING_WRITTEN)
        writer.do("file.close()")
        assert len(asked(file, *question)[0]) == len(LOST)


@pytest.mark.parametrize("is_locked", [True, False])
def test_file_whose_writer_is_at_it_or_died_is_not_read(tmp_path: Path, is_locked: bool) -> None:
    """Where locks do not work, as on NFS, the file's own length tells it."""
    path = tmp_path / "raw.h5"
    with Writer(path) as writer:
        writer.do("file = opened()")
        writer.do("append(0, 9); file._file.flush()")
        writer.do("append(9, 12)")
        if not is_locked:
            (tmp_path / "copy.h5").write_bytes(path.read_bytes())
            path = tmp_path / "copy.h5"
        with RawFile(path) as file:
            frames, answer = asked(file, LOST, IDS[HELD], STAMPS_NS[HELD])
    assert (frames, answer.state) == ([], RawState.BEING_WRITTEN)


def test_file_that_cannot_be_read_while_it_is_written_is_asked_again(tmp_path: Path) -> None:
    """Its parts may not fit together at the moment; what nobody writes to stays as it is."""
    path = tmp_path / "raw.h5"
    path.write_bytes(b"no HDF5")
    is_over = threading.Event()

    def write() -> None:
        with path.open("ab", buffering=0) as file:
            while not is_over.wait(1e-4):
                file.write(b" yet")

    writer = threading.Thread(target=write)
    with RawFile(path) as file:
        writer.start()
        try:
            _, written = asked(file, LOST, IDS[HELD], STAMPS_NS[HELD])
        finally:
            is_over.set()
            writer.join(HANG_S)
        _, left = asked(file, LOST, IDS[HELD], STAMPS_NS[HELD])
    assert (written.state, left.state) == (RawState.BEING_WRITTEN, RawState.UNREADABLE)
    assert "is no HDF5 file" in written.sentence and "is no HDF5 file" in left.sentence


def test_what_is_no_file_is_told(ask: Ask, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.h5")
    too_long = tmp_path / ("x" * 300)
    for path, words in ((tmp_path / "pipe.h5", "is a pipe"), (too_long, "name too long"), (tmp_path, "is a folder")):
        _, answer = ask(path)
        assert answer.state is RawState.UNREADABLE
        assert words in answer.sentence


def test_file_that_is_written_anew_is_read_anew(tmp_path: Path) -> None:
    """It is not locked between two questions either."""
    path = write_areadetector(tmp_path / "raw.h5", N)
    question = LOST, IDS[HELD], STAMPS_NS[HELD]
    with RawFile(path) as file:
        assert asked(file, *question)[1].n_found == len(LOST)
        write_areadetector(path, 7)
        frames, answer = asked(file, *question)
        assert answer.n_frames == 7
        assert [frame.unique_id for frame in frames] == [1, 2, 5, 6, 7]
        path.unlink()
        assert asked(file, *question)[1].state is RawState.NOT_THERE


def test_frames_whose_pixels_are_damaged_are_counted(ask: Ask, tmp_path: Path) -> None:
    path = write_areadetector(tmp_path / "raw.h5", N, filters={"compression": "gzip", "fletcher32": True})
    with h5py.File(path) as file:
        chunk = file["entry/data/data"].id.get_chunk_info_by_coord((4, 0, 0))
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + 8] ^= 0xFF
    path.write_bytes(content)
    frames, answer = ask(path)
    assert [frame.unique_id for frame in frames] == [1, 2, 6, 7, 12]
    assert (answer.state, answer.n_found, answer.n_unreadable) == (RawState.CLOSED, 5, 1)
    assert "1 frame of" in answer.sentence and "cannot be read" in answer.sentence


def test_frames_wait_until_they_are_taken(ask: Ask, tmp_path: Path) -> None:
    """Frames of a budget and one more at a time; the process does not read ahead by more than the pipe holds."""
    pixels = np.random.default_rng(0).integers(0, 1 << 16, (64, 256, 256), np.uint16)
    frames = [replace(nd_frame(index), pixels=image) for index, image in enumerate(pixels)]
    file = NDFile(tmp_path / "raw.h5", frames[0], DefaultLayout(), FileOptions())
    for frame in frames:
        file.append(frame)
    file.close()
    budget = 4 * pixels[0].nbytes
    with RawFile(tmp_path / "raw.h5", budget_bytes=budget) as raw:
        raw.ask(np.arange(2, 65), np.array([1]), np.array([START_NS]))
        n_taken, deadline_s = 1, time.monotonic() + HANG_S
        while raw.is_asked and time.monotonic() < deadline_s:
            taken = [frame for frame in raw.take(1.0) if isinstance(frame, Frame)]
            assert len(taken) <= 4
            for frame in taken:
                np.testing.assert_array_equal(frame.pixels, pixels[n_taken])
                n_taken += 1
        assert n_taken == 64


# --- the process


def number_of(file: RawFile) -> int:
    """Of its process, once that is there."""
    file.start()
    wait_until(lambda: file.process_number is not None)
    assert file.process_number is not None
    return file.process_number


def test_process_that_hangs_is_given_up_and_another_answers(tmp_path: Path) -> None:
    path = write_areadetector(tmp_path / "raw.h5", N)
    with RawFile(path, limits=RawLimits(silence_s=0.2)) as file:
        os.kill(number_of(file), signal.SIGSTOP)
        frames, answer = asked(file, LOST, IDS[HELD], STAMPS_NS[HELD])
        assert (frames, answer.state) == ([], RawState.UNREADABLE)
        assert "nothing came for 0.2 s" in answer.sentence
    with RawFile(path) as file:
        os.kill(number_of(file), signal.SIGSTOP)
        file.close()
        assert asked(file, LOST, IDS[HELD], STAMPS_NS[HELD])[1].n_found == len(LOST)


def test_process_that_was_ended_is_told_and_another_answers(tmp_path: Path) -> None:
    with RawFile(write_areadetector(tmp_path / "raw.h5", N)) as file:
        number = number_of(file)
        os.kill(number, signal.SIGSTOP)
        file.ask(LOST, IDS[HELD], STAMPS_NS[HELD])
        os.kill(number, signal.SIGKILL)
        (answer,) = file.take(HANG_S)
        assert isinstance(answer, RawAnswer) and answer.state is RawState.INTERRUPTED
        assert "SIGKILL" in answer.sentence
        os.kill(number := number_of(file), signal.SIGKILL)  # while nothing is asked
        wait_until(lambda: not is_there(number))
        assert asked(file, LOST, IDS[HELD], STAMPS_NS[HELD])[1].n_found == len(LOST)


def test_process_without_memory_is_told(ask: Ask, tmp_path: Path) -> None:
    path = write_areadetector(tmp_path / "raw.h5", N)
    frames, answer = ask(path, limits=RawLimits(memory_bytes=1 << 20))
    assert (frames, answer.state) == ([], RawState.UNREADABLE)
    assert answer.sentence.startswith(f"{path} cannot be read")


DAEMON = """
import os, signal, sys, threading
from pathlib import Path
import numpy as np
from stream_service.sources.hdf5.raw_file import RawFile

file, none = RawFile(Path(sys.argv[1])), np.empty(0, np.int64)
starter = threading.Thread(target=lambda: file.ask(none, none, none))
starter.start()
starter.join()  # the process outlives the thread that had it started
while file.is_asked:
    file.take(1.0)
os.kill(file.process_number, signal.SIGSTOP)  # as one that a file server holds
print(file.process_number, flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent was killed")
def test_process_ends_with_the_daemon(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", DAEMON, str(tmp_path / "raw.h5")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as daemon:
        assert daemon.stdout is not None
        number = int(daemon.stdout.readline())
        assert is_there(number)
        daemon.kill()
        wait_until(lambda: not is_there(number))


def test_machine_without_free_descriptors_is_a_sentence_and_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> tuple[int, int]:
        raise OSError(24, "Too many open files")

    with RawFile(write_areadetector(tmp_path / "raw.h5", N)) as file:
        with monkeypatch.context() as short:
            short.setattr("stream_service.processes.piped.os.pipe", refuse)
            frames, answer = asked(file, LOST, IDS[HELD], STAMPS_NS[HELD])
        assert (frames, answer.state, answer.state.is_final) == ([], RawState.INTERRUPTED, False)
        assert "cannot be read now" in answer.sentence and "Too many open files" in answer.sentence
        frames, answer = asked(file, LOST, IDS[HELD], STAMPS_NS[HELD])
        assert (len(frames), answer.state) == (len(LOST), RawState.CLOSED)
