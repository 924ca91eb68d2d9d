"""Arrays that hardware writes into a file, as a run hears of them: what came since it was armed, and no more."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from limits import HANG_S
from panda_file import DATASETS, PandaFile
from waiting import wait_until

from stream_service.core.pairing.hardware_array import HardwareArray
from stream_service.core.pairing.readback import Entries
from stream_service.core.stream import Ends
from stream_service.sources.hdf5 import arrays_file
from stream_service.sources.hdf5.arrays_file import ArraysFile


class Listener:
    """Who takes the events; x as the pairing has it."""

    def __init__(self, path: Path | None, **datasets: str) -> None:
        self.path = path
        self.file = ArraysFile(datasets or DATASETS, lambda: self.path)
        self.array = HardwareArray()
        self.events: list[Any] = []
        self.has_ended = False

    def listen(self) -> None:
        for event in self.file.take():
            self.events.append(event)
            if isinstance(event, Ends):
                self.has_ended = True
                if event.channel == "x":
                    self.array.end()
            elif isinstance(event, Entries) and event.channel == "x":
                self.array.update(event.values, is_from_before=event.is_from_before)

    def until(self, claim: Callable[[], bool]) -> None:
        """Listen until it holds."""

        def holds() -> bool:
            self.listen()
            return claim()

        wait_until(holds)

    def used(self) -> list[float]:
        """Entries that frames would have, as far as they are there."""
        readings = [self.array.reading(n) for n in range(20)]
        return [reading.value for reading in readings if reading is not None and not reading.flag]

    def looks(self, n: int = 2) -> None:
        """So many more looks are answered."""
        for _ in range(n):
            before = self.file._next_s
            self.until(lambda before=before: self.file._next_s != before)


@pytest.fixture
def listen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Listener]]:
    monkeypatch.setattr(arrays_file, "LOOK_S", 0.02)
    monkeypatch.setattr(arrays_file, "FIRST_LOOK_S", HANG_S)
    listeners: list[Listener] = []

    def start(path: Path | None, **datasets: str) -> Listener:
        listener = Listener(path, **datasets)
        listeners.append(listener)
        listener.file.start()
        listener.listen()
        return listener

    yield start
    for listener in listeners:
        listener.file.close()


def test_file_that_is_made_after_arming_grows_and_ends(listen: Callable[..., Listener], tmp_path: Path) -> None:
    path = tmp_path / "panda.h5"
    listener = listen(path)
    assert listener.file.sentence == f"{path} is not there"
    with PandaFile(path) as panda:
        panda.append(3)
        listener.until(lambda: listener.used() == [0.0, 1.0, 2.0])
        assert not listener.has_ended and listener.array.reading(3) is None and listener.file.sentence == ""
        panda.append(2)
        listener.until(lambda: len(listener.used()) == 5)
    listener.until(lambda: listener.has_ended)
    assert listener.used() == [0.0, 1.0, 2.0, 3.0, 4.0] and listener.array.notes("x")


def test_file_of_yesterday_gives_nothing_and_the_one_that_takes_its_place_all(
    listen: Callable[..., Listener], tmp_path: Path
) -> None:
    path = tmp_path / "panda.h5"
    PandaFile.of(path, 6, arm_time="yesterday")
    listener = listen(path)
    listener.looks()
    assert listener.used() == [] and not listener.has_ended
    assert all(event.is_from_before for event in listener.events)
    with PandaFile(path, arm_time="today") as panda:  # as PandA does it: emptied under its name, and the same values
        panda.append(4)
    listener.until(lambda: listener.has_ended)
    assert listener.used() == [0.0, 1.0, 2.0, 3.0]


@pytest.mark.parametrize("n_before", [0, 2])
def test_file_that_hardware_began_before_the_run_was_armed(
    listen: Callable[..., Listener], tmp_path: Path, n_before: int
) -> None:
    """Empty it is fit for use; one that goes on from older entries is not."""
    with PandaFile(tmp_path / "panda.h5") as panda:
        panda.append(n_before)
        listener = listen(tmp_path / "panda.h5")
        panda.append(3)
        listener.looks()
    listener.until(lambda: listener.has_ended)
    assert listener.used() == ([0.0, 1.0, 2.0] if not n_before else [])
    assert any("was not emptied" in note for note in listener.array.notes("x")) == bool(n_before)


def test_file_that_cannot_be_looked_into_before_it_is_closed(listen: Callable[..., Listener], tmp_path: Path) -> None:
    """Of one that was there when the run was armed nobody knows what is new; one that is made later is the run's."""
    early, late = tmp_path / "early.h5", tmp_path / "late.h5"
    with PandaFile(early, swmr=False) as panda:
        listener = listen(early)
        assert "not in SWMR mode" in listener.file.sentence
        panda.append(3)
    listener.until(lambda: bool(listener.events))
    assert listener.used() == [] and "arm the service before the hardware" in listener.file.remark
    listener = listen(late)
    with PandaFile(late, swmr=False) as panda:
        panda.append(3)
        listener.looks()
        assert listener.used() == [] and "not in SWMR mode" in listener.file.sentence
    listener.until(lambda: listener.has_ended)
    assert listener.used() == [0.0, 1.0, 2.0] and listener.file.remark == ""


def test_name_that_is_told_late_is_followed_until_frames_come(listen: Callable[..., Listener], tmp_path: Path) -> None:
    listener = listen(None)
    listener.listen()
    PandaFile.of(tmp_path / "old.h5", 3)
    listener.path = tmp_path / "old.h5"
    listener.until(lambda: bool(listener.events))
    listener.path = tmp_path / "new.h5"
    listener.until(lambda: "new.h5 is not there" in listener.file.sentence)
    listener.file.fix()
    listener.path = tmp_path / "old.h5"
    PandaFile.of(tmp_path / "new.h5", 4)
    listener.until(lambda: listener.has_ended)
    assert listener.used() == [0.0, 1.0, 2.0, 3.0]


def test_name_that_changes_while_the_process_starts_is_followed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A file is named, the right one, and frames come, all before the first look is answered."""
    monkeypatch.setattr(arrays_file, "LOOK_S", 0.02)
    PandaFile.of(tmp_path / "old.h5", 3)
    listener = Listener(tmp_path)
    with closing(listener.file) as file:
        file.take()
        assert file._asked_s is not None
        listener.path = tmp_path / "new.h5"
        file.fix()
        listener.path = tmp_path / "old.h5"
        listener.until(lambda: "new.h5 is not there" in file.sentence)
        PandaFile.of(tmp_path / "new.h5", 4)
        listener.until(lambda: listener.has_ended)
        assert listener.used() == [0.0, 1.0, 2.0, 3.0]


def test_file_that_is_being_written_when_its_name_changes_is_of_the_run(
    listen: Callable[..., Listener], tmp_path: Path
) -> None:
    listener = listen(tmp_path / "old.h5")
    with PandaFile(tmp_path / "new.h5", swmr=False) as panda:
        panda.append(2)
        listener.path = tmp_path / "new.h5"
        listener.until(lambda: "new.h5 is being written" in listener.file.sentence)
    listener.until(lambda: listener.has_ended)
    assert listener.used() == [0.0, 1.0] and listener.file.remark == ""


def test_dataset_that_is_not_there_is_named(listen: Callable[..., Listener], tmp_path: Path) -> None:
    listener = listen(tmp_path / "panda.h5", x="/INENC9.VAL.Mean")
    with PandaFile(tmp_path / "panda.h5") as panda:
        panda.append(1)
        listener.until(lambda: "has no dataset /INENC9.VAL.Mean, which the profile names" in listener.file.sentence)
    assert listener.used() == []


def test_what_is_wrong_is_a_sentence_and_looked_at_again(listen: Callable[..., Listener], tmp_path: Path) -> None:
    path = tmp_path / "panda.h5"
    listener = listen(path)
    path.write_bytes(os.urandom(2000))
    listener.until(lambda: "cannot be read as HDF5" in listener.file.sentence)
    path.unlink()
    process = listener.file._process
    assert process is not None and process._process is not None
    process._process.kill()
    listener.until(lambda: "cannot be read: " in listener.file.sentence)
    PandaFile.of(path, 2)
    listener.until(lambda: listener.has_ended)
    assert listener.used() == [0.0, 1.0] and listener.file.sentence == ""
