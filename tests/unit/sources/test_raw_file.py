"""Frames from the raw file, read in a process beside this one: which of them come, and what is said of the file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hdf5_trees import write_areadetector
from hdf5_writer import PERIOD_NS, START_NS, Writer, attributes_of, pixels_of
from limits import HANG_S

from stream_service.core.frame import Frame
from stream_service.sources.hdf5.raw_file import RawAnswer, RawFile, RawState

N = 12
IDS = np.arange(1, N + 1)
STAMPS_NS = START_NS + PERIOD_NS * (IDS - 1)
HELD = np.isin(IDS, (1, 2, 5, 6, 7, 12), invert=True)
"""Of the frames of the scan; the others were lost."""
LOST = IDS[~HELD]

Ask = Callable[..., tuple[list[Frame], RawAnswer]]


def asked(file: RawFile, wanted: Any, ids: Any, stamps_ns: Any) -> tuple[list[Frame], RawAnswer]:
    """All that is answered."""
    file.ask(*(np.asarray(column, np.int64) for column in (wanted, ids, stamps_ns)))
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
