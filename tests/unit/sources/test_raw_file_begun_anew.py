"""A raw file that is begun anew under its name while it is read: no pixels of the new one for frames of the old one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hdf5_trees import write_areadetector
from hdf5_writer import PERIOD_NS, START_NS, Writer, pixels_of
from limits import HANG_S

from iocsim.detector.ndarray import NDArray
from iocsim.hdf5.file import FileOptions, NDFile
from iocsim.hdf5.layout import DefaultLayout
from stream_service.core.frame import Frame
from stream_service.errors import SourceError
from stream_service.sources.hdf5.growth import Follow
from stream_service.sources.hdf5.raw_file import RawAnswer, RawFile, RawState
from stream_service.sources.hdf5.recording import Hdf5Recording

N = 30
IDS = np.arange(1, N + 1)
SHAPE = (300, 400)
"""A frame is more than a pipe holds: the process that reads waits with each."""
LATER_NS = 1000 * 10**9


def nd_frame(unique_id: int, capture: int) -> NDArray:
    pixels = np.full(SHAPE, 1000 * capture + unique_id, np.uint16)
    return NDArray(pixels, unique_id, START_NS + PERIOD_NS * unique_id + capture * LATER_NS, ())


def begun(path: Path, capture: int) -> NDFile:
    file = NDFile(path, nd_frame(1, capture), DefaultLayout(), FileOptions(swmr=True, column_chunk=4, flush_every=1))
    for unique_id in IDS.tolist():
        file.append(nd_frame(unique_id, capture))
    file.flush()
    return file


def taken_until(file: RawFile, is_enough: Any) -> list[Any]:
    taken: list[Any] = []
    deadline_s = time.monotonic() + HANG_S
    while not is_enough(taken) and time.monotonic() < deadline_s:
        taken += file.take(1.0)
    return taken


@pytest.mark.parametrize("is_closed", [True, False])
def test_file_that_is_begun_anew_while_it_is_read_gives_none_of_its_new_frames(tmp_path: Path, is_closed: bool) -> None:
    """AutoIncrement is off: the next capture has the same name, the same ids, and all lies where it lay before."""
    path = tmp_path / "raw.h5"
    writer = begun(path, 0)
    if is_closed:
        writer.close()
    held = IDS[::2]
    with RawFile(path, budget_bytes=1) as file:
        file.ask(IDS[1::2], held, START_NS + PERIOD_NS * held)
        taken = taken_until(file, bool)
        if not is_closed:
            writer.close()
        writer = begun(path, 1)
        taken += taken_until(file, lambda _: not file.is_asked)
    writer.close()
    *frames, answer = taken
    assert frames and all(isinstance(frame, Frame) for frame in frames)
    assert [int(frame.pixels[0, 0]) for frame in frames] == [frame.unique_id for frame in frames]
    assert isinstance(answer, RawAnswer) and answer.state is RawState.BEING_WRITTEN
    assert answer.sentence == f"{path} was written to while it was read"


@pytest.mark.parametrize("column", ["NDArrayUniqueId", "NDArrayEpicsTSSec", "NDArrayEpicsTSnSec"])
def test_column_of_one_row_is_no_id_or_stamp_of_all_frames(tmp_path: Path, column: str) -> None:
    """A layout may store a column once, when the file is opened: that is so for values, never for whose they are."""
    path = write_areadetector(tmp_path / "raw.h5", N)
    with h5py.File(path, "r+") as file:
        place = f"/entry/instrument/NDAttributes/{column}"
        whole = file[place]
        assert isinstance(whole, h5py.Dataset)
        attributes, first = dict(whole.attrs), whole[:1]
        del file[place]
        file.create_dataset(place, data=first).attrs.update(attributes)
    held = IDS[::2]
    with RawFile(path) as file:
        file.ask(IDS[1::2], held, START_NS + PERIOD_NS * (held - 1))
        taken = taken_until(file, lambda _: not file.is_asked)
    assert [type(one) for one in taken] == [RawAnswer]
    assert taken[0].state is not RawState.UNREADABLE and taken[0].n_found == 0
    assert "ended" not in taken[0].sentence


@pytest.mark.parametrize("is_closed", [True, False])
def test_file_that_is_begun_anew_while_it_is_followed_gives_none_of_its_new_frames(
    tmp_path: Path, is_closed: bool
) -> None:
    """By a writer that takes no notice of locks, as many IOCs."""
    path, other = tmp_path / "raw.h5", tmp_path / "other.h5"
    with Writer(path) as writer, Writer(other) as next_writer:
        for one, frames in ((writer, "0, 40"), (next_writer, "100, 200")):
            one.do("file = opened(swmr=True, column_chunk=4, flush_every=1)")
            one.do(f"append({frames})")
        if is_closed:
            next_writer.do("file.close()")
        with Hdf5Recording(path, follow=Follow(timeout_s=HANG_S)) as recording:
            followed = recording.frames()
            came = [next(followed) for _ in range(2)]
            path.write_bytes(other.read_bytes())
            with pytest.raises(SourceError, match="was begun anew while it was followed"):
                came.extend(followed)
    assert [frame.unique_id for frame in came] == [1, 2]
    for frame in came:
        np.testing.assert_array_equal(frame.pixels, pixels_of(frame.unique_id - 1))
