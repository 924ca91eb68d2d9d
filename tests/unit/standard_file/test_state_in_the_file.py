"""A reader of the growing file can trust its state and its account: they follow the run, and never run ahead of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import pytest
from limits import HANG_S
from live_reader import LiveReader, Look
from scripted_run import Bench, Step, frames

from stream_service.core.run import EndReason
from stream_service.errors import SourceError
from stream_service.run.live.raw_file import NOT_NAMED
from stream_service.run.recorded.ingest import Listener, ingest
from stream_service.run.recorded.ingest_settings import IngestSettings
from stream_service.run.recorded.replay import replay
from stream_service.settings.preprocessing import Preprocessing
from stream_service.settings.service_status import RunStatus
from stream_service.standard_file import StandardFile
from stream_service.testing.example_file import START_NS, append_example_rows, example_header, example_ledger
from stream_service.testing.memory_recording import Breaking, MemoryRecording, attributes_of, frames_of


class Watch:
    """The looks of a reader that opens a run's file as soon as it is there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.looks: list[Look] = []
        self._reader: LiveReader | None = None
        self._lock = threading.Lock()

    def look(self) -> Look | None:
        with self._lock:  # frames are read in a thread of their own
            if self._reader is None:
                if not self.path.exists():
                    return None
                self._reader = LiveReader(self.path)
            self.looks.append(self._reader.look())
            return self.looks[-1]

    def see(self, _: RunStatus) -> None:
        """Look, whatever there is."""
        self.look()

    def until(self, is_seen: Callable[[Look], bool], meanwhile: Callable[[], None] = lambda: None) -> Iterator[Step]:
        """Look again and again, until this is seen."""
        deadline = time.monotonic() + HANG_S
        while True:
            yield meanwhile
            look = self.look()
            if look is not None and is_seen(look):
                return
            assert time.monotonic() < deadline, f"never seen; last: {look}"

    @property
    def states(self) -> list[str]:
        """Those seen one after another, but for ARMED: the file has it from its creation to its first flush."""
        seen = dict.fromkeys(look.state for look in self.looks)
        return [state for state in seen if state != "ARMED" or next(iter(seen)) != state]

    def close(self) -> None:
        self.look()
        if self._reader is not None:
            self._reader.__exit__()
            self._reader = None


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    opened = Watch(tmp_path / "scan_std.h5")
    yield opened
    opened.close()


def test_state_and_account_follow_a_live_run(tmp_path: Path, watch: Watch) -> None:
    b = Bench(tmp_path, n_positions=8)
    passes = b.waits(0.2)

    def last_frame_hangs() -> None:
        b.sources.readbacks.dead = {"x"}

    b.play(
        frames([1, 2, 3]),
        watch.until(lambda look: look.stored == 3 and look.n_rows == 3, passes),
        frames([5, 6]),
        watch.until(lambda look: look.stored == 5, passes),
        last_frame_hangs,
        frames([7]),
        b.exposed(8),
        b.stop,
        watch.until(lambda look: look.state == "DRAINING", passes),
    )
    watch.close()
    assert watch.states == ["RECEIVING", "DRAINING", "INCOMPLETE"]
    assert all(look.expected == 8 for look in watch.looks if look.stored)
    assert all(look.stored <= look.n_rows for look in watch.looks)
    last = watch.looks[-1]
    assert (last.stored, last.lost, last.n_rows) == (6, 2, 6)
    assert last.end_reason == EndReason.FRAMES_LOST
    assert last.message == b.run.message == f"6 of 8 frames stored in 6 rows, 2 lost (missing ids: 4, 8); {NOT_NAMED}"


def test_cause_of_a_failure_is_in_the_file(tmp_path: Path) -> None:
    b = Bench(tmp_path, n_positions=4)

    def fail() -> None:
        raise SourceError("SIM:Image does not answer: start the IOC")

    b.play(frames([1, 2]), b.settles(), fail)
    with b.file() as file:
        assert file["/entry/run/state"][()] == b"FAILED"
        message = file["/entry/run/message"][()].decode()
    assert message == b.run.message
    assert message.startswith("SIM:Image does not answer: start the IOC; 2 of 4 frames stored in 2 rows")


def test_state_and_account_follow_an_ingest_that_follows(tmp_path: Path, watch: Watch) -> None:
    class Looking(Listener):
        def progress(self, done: int, total: int | None) -> None:
            watch.look()

    class Slow(MemoryRecording):
        def frames(self):
            for n, frame in enumerate(super().frames()):
                yield frame
                if n == 3:
                    for _ in watch.until(lambda look: look.stored == 4):
                        time.sleep(0.01)

    ingest(Slow(frames_of(6), attributes_of(6)), watch.path, IngestSettings(), live=True, listener=Looking())
    watch.close()
    assert watch.states[0] == "RECEIVING"
    assert watch.states[-1] == "COMPLETE"
    assert all(look.stored <= look.n_rows for look in watch.looks)
    assert watch.looks[-1].message.startswith("6 of 6 frames stored in 6 rows")


def test_cause_of_a_failure_is_in_the_file_of_an_ingest(tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        ingest(Breaking(frames_of(6), attributes_of(6)), tmp_path / "out.h5", IngestSettings(), live=True)
    with h5py.File(tmp_path / "out.h5") as file:
        assert file["/entry/run/message"][()].startswith(b"frames 3 to 5 cannot be read; 3 of 6 frames stored")


def test_state_and_account_follow_a_replay(tmp_path: Path, watch: Watch) -> None:
    class Slow(MemoryRecording):
        def frames(self):
            for n, frame in enumerate(super().frames()):
                yield frame
                if n == 30:
                    for _ in watch.until(lambda look: look.stored > 0):
                        time.sleep(0.01)

    replay(Slow(frames_of(60), attributes_of(60)), tmp_path, IngestSettings(), rate_hz=1000.0, on_progress=watch.see)
    watch.close()
    assert watch.states[0] == "RECEIVING"
    assert watch.states[-1] == "COMPLETE"
    assert any(0 < look.stored < 60 for look in watch.looks)
    assert all(look.stored <= look.n_rows for look in watch.looks)


def test_end_state_is_seen_last(tmp_path: Path) -> None:
    """Whoever sees the end has everything: rows, ledger, reason."""

    class Stepping(StandardFile):
        def flush(self) -> int:
            n_rows = super().flush()
            looks.append(reader.look())
            return n_rows

    looks: list[Look] = []
    path = tmp_path / "a_std.h5"
    file = Stepping.create(path, example_header(10))
    with LiveReader(path) as reader:
        append_example_rows(file, 0, 10)
        file.write_ledger(example_ledger(10))
        file.set_state("COMPLETE", "all expected frames were received", START_NS, "ten of ten")
        file.close()
        looks.append(reader.look())
    assert looks[0] == Look("ARMED", 10, 10, 0, "all expected frames were received", "ten of ten", 10)
    assert looks[-1].state == "COMPLETE"


def test_group_counts_only_when_its_row_is_there(tmp_path: Path, watch: Watch) -> None:
    recording = MemoryRecording(frames_of(9), attributes_of(9))
    settings = IngestSettings(preprocessing=Preprocessing(frames_per_position=3))
    replay(recording, tmp_path, settings, rate_hz=30.0, on_progress=watch.see)
    watch.close()
    assert all(look.stored <= 3 * look.n_rows for look in watch.looks)
    assert watch.looks[-1].stored == 9
