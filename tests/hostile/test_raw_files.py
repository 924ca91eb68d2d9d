"""Whatever the raw file holds, the daemon gets frames or a sentence, and its next question is answered."""

from __future__ import annotations

import time
from pathlib import Path

import h5py
import hdf5_corpus
import numpy as np
import pytest
from limits import HANG_S

from stream_service.core.frame import EPICS_EPOCH_S, Frame
from stream_service.sources.hdf5.raw_file import RawAnswer, RawFile, RawLimits, RawState

IDS = np.arange(1, hdf5_corpus.N + 1)
STAMPS_NS = (1_100_000_000 + EPICS_EPOCH_S + IDS - 1) * 10**9 + IDS - 1
LIMITS = RawLimits(step_cpu_s=1)


def asked(file: RawFile) -> tuple[list[Frame], RawAnswer]:
    """The last three frames, by the first two."""
    file.ask(IDS[2:], IDS[:2], STAMPS_NS[:2])
    deadline_s, taken = time.monotonic() + HANG_S, []
    while file.is_asked:
        assert time.monotonic() < deadline_s
        taken += file.take(1.0)
    *frames, answer = taken
    assert isinstance(answer, RawAnswer)
    return [frame for frame in frames if isinstance(frame, Frame)], answer


def check(path: Path, files: list[bytes]) -> dict[RawState, int]:
    """What became of each."""
    with h5py.File(path.parent / hdf5_corpus.SOURCE, "w") as source:
        source["frames"] = hdf5_corpus.FRAMES
    found = dict.fromkeys(RawState, 0)
    good = hdf5_corpus.good("areaDetector")
    with RawFile(path, limits=LIMITS) as file:
        for number, content in enumerate(files):
            path.write_bytes(content)
            frames, answer = asked(file)
            found[answer.state] += 1
            assert "the process that reads it" not in answer.sentence, (number, answer)
            assert len(frames) == answer.n_found or answer.state is RawState.UNREADABLE
            for frame in frames:
                assert frame.pixels.ndim == 2 and frame.unique_id in IDS[2:]
            if answer.state in (RawState.UNREADABLE, RawState.OTHER_SCAN, RawState.BEING_WRITTEN):
                assert str(path) in answer.sentence and "\n" not in answer.sentence
            if answer.state is RawState.UNREADABLE and number % 10 == 0:
                path.write_bytes(good)
                assert asked(file)[1].n_found == 3
    return found


@pytest.mark.further(but=1)
@pytest.mark.parametrize("seeds", [range(80), range(80, 250)], ids=str)
def test_mutated_files_give_frames_or_a_sentence(tmp_path: Path, seeds: range) -> None:
    files = [hdf5_corpus.mutated("areaDetector", seed) for seed in seeds]
    found = check(tmp_path / "raw.h5", files)
    assert found[RawState.CLOSED] > 10 and found[RawState.UNREADABLE] > 10, found


def test_library_that_does_not_come_back_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "raw.h5"
    path.write_bytes(hdf5_corpus.circles()[0])
    with RawFile(path, limits=LIMITS) as file:
        _, answer = asked(file)
        assert answer.state is RawState.UNREADABLE
        assert f"{path} cannot be read: it is damaged so that the library does not come back" in answer.sentence
        path.write_bytes(hdf5_corpus.good("areaDetector"))
        assert asked(file)[1].n_found == 3
