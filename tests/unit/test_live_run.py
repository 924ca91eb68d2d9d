"""A run from arming to its end, with scripted sources and a clock that only the script moves."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import corpus
import h5py
import numpy as np
import pytest

from stream_service.config import Profile
from stream_service.core.exposure import Flag
from stream_service.core.ledger import Fate
from stream_service.core.readback import Readback
from stream_service.core.run import EndReason, RunState
from stream_service.errors import ConfigError, SourceError
from stream_service.request import ScanRequest
from stream_service.service.live_run import LiveRun
from stream_service.service.run_sources import RunSources
from stream_service.sources.ca_readbacks import Confirmation, Disconnection
from stream_service.writer import validate_file
from stream_service.writer.columns import GrowingColumn

BEFORE_NS = (corpus.STAMP_S - 10) * 1_000_000_000
MOST_IDLE_LOOPS = 10_000

Step = list[Any] | Callable[[], None]
"""Messages that arrive together, or something that happens."""


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class ScriptedQueue:
    """The frame queue: each `take` plays the next step; when the script is at its end, time passes."""

    def __init__(self, clock: Clock, script: Iterator[Step]) -> None:
        self.held_bytes = 0
        self.is_closed = False
        self._clock = clock
        self._script = script
        self._n_idle = 0

    def __len__(self) -> int:
        return 0

    def take(self, timeout_s: float) -> list[Any]:
        step = None if self.is_closed else next(self._script, None)
        if isinstance(step, list):
            return step
        if step is not None:
            step()
            return []
        self.wait(timeout_s)
        return []

    def wait(self, timeout_s: float) -> None:
        self._n_idle += 1
        assert self._n_idle < MOST_IDLE_LOOPS, "the run does not end"
        self._clock.now_s += timeout_s

    def wake(self) -> None:
        pass

    def close(self) -> None:
        self.is_closed = True


class Frames:
    """A subscription; `latest_before` is the last frame of an earlier run."""

    def __init__(self, queue: ScriptedQueue, latest_before: Any) -> None:
        self.queue = queue
        self.latest_before = latest_before

    def close(self) -> None:
        self.queue.close()


class Readbacks:
    """Channels at rest; every question is answered at once, but for the channels that are dead."""

    def __init__(self) -> None:
        self.events: list[Any] = [
            Readback("x", 3.0, BEFORE_NS),
            Readback("y", -4.0, BEFORE_NS),
            Readback("x_moving", 0.0, BEFORE_NS),
            Readback("y_moving", 0.0, BEFORE_NS),
            Readback("ring_current", 200.0, BEFORE_NS),
        ]
        self.dead: set[str] = set()
        self.is_closed = False

    def take(self) -> list[Any]:
        taken, self.events = self.events, []
        return taken

    def ask(self, frame_end_ns: int, arrived_at: float) -> None:
        for channel in {"x", "y", "x_moving", "y_moving"} - self.dead:
            self.events.append(Confirmation(channel, frame_end_ns))

    def latest(self, channel: str) -> float:
        return 700.0

    def close(self) -> None:
        self.is_closed = True


class Detector:
    def __init__(self) -> None:
        self.is_acquiring = True
        self.exposure_s = 0.001
        self.shown: int | None = 0
        """What its counter shows; None: it does not answer."""
        self.is_closed = False

    def counter(self) -> int:
        if self.shown is None:
            raise SourceError("the counter does not answer")
        return self.shown

    def close(self) -> None:
        self.is_closed = True


class ScriptedSources(RunSources):
    """The sources of a run, without any network."""

    def __init__(self, profile: Profile, clock: Clock, latest_before: Any = None) -> None:
        self.script: Iterable[Step] = ()
        self.budget_bytes = 1 << 27
        self.queue = ScriptedQueue(clock, iter(self._steps()))
        self.frames: Any = Frames(self.queue, latest_before)
        self.readbacks: Any = Readbacks()
        self.detector: Any = Detector()
        self._settings = profile.detector

    def _steps(self) -> Iterator[Step]:
        yield from self.script

    def connect(self) -> None:
        pass

    def attach_thread(self) -> None:
        pass


class Bench:
    """One run with everything around it."""

    def __init__(self, folder: Path, latest_before: Any = None, **request: Any) -> None:
        self.clock = Clock()
        self.profile = profile_for(folder)
        self.sources = ScriptedSources(self.profile, self.clock, latest_before)
        self.detector = self.sources.detector
        self.run = LiveRun(1, self.profile, ScanRequest(scan_id="scan", **request), self.sources, clock=self.clock)

    def play(self, *script: Step | Iterable[Step]) -> LiveRun:
        """Arm, and run the script to the end of the run, in this thread. Frames count up the detector's counter."""
        self.run.arm()
        assert self.run.state is RunState.ARMED
        self.sources.script = itertools.chain.from_iterable(
            step if isinstance(step, Iterator) else [step] for step in script
        )
        self.run.work()
        assert self.run.state.has_ended
        assert self.sources.queue.is_closed and self.sources.readbacks.is_closed and self.detector.is_closed
        return self.run

    def exposed(self, n: int) -> Callable[[], None]:
        def happen() -> None:
            self.detector.shown = n

        return happen

    def waits(self, seconds: float) -> Callable[[], None]:
        def happen() -> None:
            self.clock.now_s += seconds

        return happen

    def detector_stops(self) -> None:
        self.detector.is_acquiring = False

    def file(self) -> h5py.File:
        """The finished file; a file that was not closed cannot be opened like this."""
        return h5py.File(self.run.path, "r")

    def rows(self) -> list[int]:
        with self.file() as file:
            return file["/entry/frames/unique_id"][:, 0].tolist()

    def fates(self) -> dict[int, Fate]:
        with self.file() as file:
            ids, status = file["/entry/ledger/unique_id"][:], file["/entry/ledger/status"][:]
            return {int(unique_id): Fate(int(code)) for unique_id, code in zip(ids, status, strict=True)}


def profile_for(folder: Path) -> Profile:
    return Profile.model_validate(
        {
            "beamline": "test",
            "service": {"data_root": folder, "grace_s": 30.0, "drain_s": 2.0, "pairing_patience_s": 5.0},
            "detector": {
                "frames_pva": "SIM:Image",
                "acquire_pv": "SIM:Acquire",
                "counter_pv": "SIM:Counter",
                "exposure_pv": "SIM:Exposure",
                "distance_m": 0.1,
                "pixel_m": 75e-6,
            },
            "channels": {
                "x": {"how": "timestamp", "pv": "SIM:X", "unit": "um", "moving": {"pv": "SIM:X.DMOV"}},
                "y": {"how": "timestamp", "pv": "SIM:Y", "unit": "um", "moving": {"pv": "SIM:Y.DMOV"}},
                "energy": {"how": "attribute", "attribute": "energy", "unit": "eV"},
                "ring_current": {"how": "timestamp", "pv": "SIM:Ring", "unit": "mA", "continuous": False},
            },
        }
    )


def frames(ids: Iterable[int]) -> Iterator[Step]:
    """One frame after another; pixel values tell them apart."""
    return iter([[frame(n)] for n in ids])


def frame(n: int, shape: tuple[int, int] = (6, 8), seconds: float | None = None) -> Any:
    return corpus.good(n, pixels=np.full(shape, n, np.uint16), seconds=seconds)


@pytest.fixture
def bench(tmp_path: Path) -> Callable[..., Bench]:
    return lambda **request: Bench(tmp_path, **request)


def test_all_frames_in_makes_a_complete_valid_file(bench):
    b = bench(n_positions=6)
    run = b.play(frames(range(1, 7)))
    assert (run.state, run.status().end_reason) == (RunState.COMPLETE, EndReason.ALL_IN)
    assert run.message == "6 of 6 frames stored in 6 rows"
    assert b.rows() == [1, 2, 3, 4, 5, 6]
    with b.file() as file:
        np.testing.assert_array_equal(file["/entry/data"][:, 0, 0], [1, 2, 3, 4, 5, 6])
        np.testing.assert_allclose(file["/entry/pos"][:], [[-3e-6, 4e-6]] * 6, rtol=1e-12)
        assert set(file["/entry/frames/flags"][:]) == {0}
        assert file["/entry/energy_eV"][()] == 700.0
        np.testing.assert_array_equal(file["/entry/readbacks/ring_current/value"][:], [200.0])
    assert [finding for finding in validate_file(run.path) if finding.level == "error"] == []


def test_lost_frames_are_named_head_and_tail_too(bench):
    b = bench(n_positions=8)
    run = b.play(frames([2, 3, 5, 6]), b.exposed(7), run_stop(b))
    assert (run.state, run.status().end_reason) == (RunState.INCOMPLETE, EndReason.STOPPED)
    assert b.fates() == {
        1: Fate.LOST, 2: Fate.STORED, 3: Fate.STORED, 4: Fate.LOST,
        5: Fate.STORED, 6: Fate.STORED, 7: Fate.LOST, 8: Fate.NOT_EXPOSED,
    }  # fmt: skip
    assert run.message == "4 of 8 frames stored in 4 rows, 3 lost, 1 never exposed (missing ids: 1, 4, 7)"


def run_stop(b: Bench) -> Step:
    return lambda: b.run.stop()


def test_losing_the_first_frame_shifts_no_group(bench):
    b = bench(n_positions=3, frames_per_position=2)
    b.play(frames([2, 3, 4, 5, 6]), b.exposed(6), run_stop(b))
    with b.file() as file:
        np.testing.assert_array_equal(file["/entry/frames/unique_id"][:], [[3, 4], [5, 6]])
        np.testing.assert_array_equal(file["/entry/data"][:, 0, 0], [7, 11])
    assert b.fates() == {
        1: Fate.LOST, 2: Fate.INCOMPLETE, 3: Fate.STORED, 4: Fate.STORED, 5: Fate.STORED, 6: Fate.STORED,
    }  # fmt: skip


def test_duplicates_make_no_row(bench):
    b = bench(n_positions=3)
    run = b.play(frames([1, 2, 2, 1, 3]))
    assert run.state is RunState.COMPLETE
    assert b.rows() == [1, 2, 3]
    assert run.status().account.duplicates == 2


def test_restarted_counter_begins_an_epoch(bench):
    b = bench(n_positions=4)
    run = b.play([frame(1)], [frame(2)], [frame(1, seconds=corpus.STAMP_S + 1)], [frame(2, seconds=corpus.STAMP_S + 1)])
    assert run.state is RunState.COMPLETE
    with b.file() as file:
        np.testing.assert_array_equal(file["/entry/frames/epoch"][:, 0], [0, 0, 1, 1])


def test_frame_of_another_shape_is_counted_and_skipped(bench):
    b = bench(n_positions=3)
    run = b.play(frames([1]), [frame(2, shape=(4, 4))], frames([3]), b.exposed(3), run_stop(b))
    assert run.status().bad_messages == 1
    assert b.rows() == [1, 3]
    assert b.fates()[2] is Fate.LOST


def test_good_frames_become_rows_after_any_bad_message(bench):
    b = bench(n_positions=len(corpus.BAD) + 1)
    bad = [corpus.single(change, unique_id=500) for change in corpus.BAD.values()]
    messages = itertools.chain.from_iterable((frame(n), message) for n, message in enumerate(bad, 1))
    run = b.play(iter([[message] for message in messages]), list(corpus.WRONG_TYPES.values()), [frame(len(bad) + 1)])
    assert run.state is RunState.COMPLETE
    assert run.status().bad_messages == len(bad) + len(corpus.WRONG_TYPES)
    assert len(b.rows()) == len(bad) + 1


def test_odd_messages_never_end_a_run(bench):
    b = bench(n_positions=None)
    odd = [corpus.single(change, unique_id=500) for change in corpus.ODD.values()]
    messages = itertools.chain.from_iterable((frame(n), message) for n, message in enumerate(odd, 1))
    run = b.play(iter([[message] for message in messages]), b.exposed(len(odd)), run_stop(b))
    assert run.state in (RunState.COMPLETE, RunState.INCOMPLETE)
    assert set(b.rows()) >= set(range(1, len(odd) + 1))


def test_stop_waits_for_frames_in_flight(bench):
    b = bench(n_positions=None)
    run = b.play(frames([1, 2]), b.exposed(4), run_stop(b), b.waits(1.5), [frame(3)], b.waits(1.5), [frame(4)])
    assert (run.state, run.status().end_reason) == (RunState.COMPLETE, EndReason.STOPPED)
    assert b.rows() == [1, 2, 3, 4]
    assert b.clock.now_s == pytest.approx(1003, abs=0.5)


def test_stop_gives_up_frames_that_do_not_come(bench):
    b = bench(n_positions=None)
    run = b.play(frames([1, 2]), b.exposed(4), run_stop(b))
    assert run.state is RunState.INCOMPLETE
    assert b.fates() == {1: Fate.STORED, 2: Fate.STORED, 3: Fate.LOST, 4: Fate.LOST}
    assert b.clock.now_s == pytest.approx(1000 + b.profile.service.drain_s, abs=0.5)


def test_stop_ends_even_if_the_detector_never_does(bench):
    b = bench(n_positions=None)
    n = itertools.count(3)

    def endless() -> Iterator[Step]:
        for unique_id in n:
            b.clock.now_s += 0.05
            b.detector.shown = unique_id + 5
            yield [frame(unique_id)]

    b.sources.queue.__class__ = EndlessQueue
    run = b.play(frames([1, 2]), run_stop(b), endless())
    assert run.status().end_reason == EndReason.STOPPED
    assert b.clock.now_s < 1000 + 5 * b.profile.service.drain_s + 1
    assert len(b.rows()) == next(n) - 1


class EndlessQueue(ScriptedQueue):
    """There is always one more frame, until the subscription is closed."""

    def __len__(self) -> int:
        return int(not self.is_closed)


def test_run_ends_when_the_detector_stopped(bench):
    b = bench(n_positions=4)
    run = b.play(frames([1, 2]), b.exposed(3), b.detector_stops)
    assert (run.state, run.status().end_reason) == (RunState.INCOMPLETE, EndReason.DETECTOR_STOPPED)
    assert b.fates() == {1: Fate.STORED, 2: Fate.STORED, 3: Fate.LOST, 4: Fate.NOT_EXPOSED}
    assert b.clock.now_s > 1000 + b.profile.service.grace_s


def test_slow_scan_goes_on_while_the_detector_acquires(bench):
    b = bench(n_positions=3)
    run = b.play(frames([1]), b.waits(500), frames([2]), b.waits(500), frames([3]))
    assert run.state is RunState.COMPLETE


def test_a_detector_that_goes_on_does_not_hold_up_a_full_run(bench):
    b = bench(n_positions=2)
    run = b.play(frames([1]), b.exposed(50), frames([2]))
    assert (run.state, run.status().end_reason) == (RunState.COMPLETE, EndReason.ALL_IN)
    assert b.clock.now_s < 1000 + b.profile.service.drain_s


def test_counter_that_does_not_answer_does_not_hold_up_the_end(bench):
    b = bench(n_positions=5)

    def lost() -> None:
        b.detector.shown = None

    run = b.play(frames([1, 3]), lost, run_stop(b))
    assert run.state is RunState.INCOMPLETE
    assert b.fates() == {1: Fate.STORED, 2: Fate.LOST, 3: Fate.STORED, 4: Fate.NOT_EXPOSED, 5: Fate.NOT_EXPOSED}


def test_abort_keeps_the_rows_so_far(bench):
    b = bench(n_positions=5)
    run = b.play(frames([1, 2]), b.waits(1), b.run.abort, frames([3]))
    assert (run.state, run.status().end_reason) == (RunState.ABORTED, EndReason.ABORTED)
    assert b.rows() == [1, 2]
    with b.file() as file:
        assert file["/entry/state"][()].decode() == "ABORTED"


def test_abort_before_the_first_frame_leaves_no_file(bench):
    b = bench(n_positions=5)
    run = b.play(b.run.abort)
    assert run.state is RunState.ABORTED
    assert not run.path.exists() and run.status().file == ""


def test_stop_before_the_first_frame_leaves_no_file(bench):
    b = bench(n_positions=5)
    run = b.play(run_stop(b))
    assert run.state is RunState.INCOMPLETE
    assert "no frame came" in run.message
    assert not run.path.exists()


def test_dead_readback_flags_its_rows_and_holds_up_nothing_for_long(bench):
    b = bench(n_positions=2)
    b.sources.readbacks.dead = {"x"}
    run = b.play(frames([1, 2]))
    assert run.state is RunState.COMPLETE
    with b.file() as file:
        assert set(file["/entry/frames/flags"][:]) == {Flag.UNBRACKETED}
    assert b.clock.now_s == pytest.approx(1000 + b.profile.service.pairing_patience_s, abs=0.5)


def test_lost_readback_flags_its_rows_at_once(bench):
    b = bench(n_positions=2)
    b.sources.readbacks.dead = {"x"}
    b.sources.readbacks.events.append(Disconnection("x"))
    b.play(frames([1, 2]))
    with b.file() as file:
        assert set(file["/entry/frames/flags"][:]) == {Flag.DISCONNECTED}
        assert set(file["/entry/keep"][:]) == {0}
    assert b.clock.now_s < 1001


def test_frames_that_wait_for_readbacks_are_bounded_in_memory(bench):
    """Beyond the budget no frame is taken from the queue: the loss is the transport's, and the ledger sees it."""
    b = bench(n_positions=50)
    b.sources.budget_bytes = 5 * 96
    b.sources.readbacks.dead = {"x"}
    waiting = []

    def watched() -> Iterator[Step]:
        for step in frames(range(1, 51)):
            waiting.append(b.run._pairing.waiting_bytes)
            yield step

    b.play(watched())
    assert max(waiting) <= b.sources.budget_bytes


def test_failed_write_ends_the_run_with_its_file_closed(bench, monkeypatch):
    b = bench(n_positions=20)
    write = GrowingColumn.write_chunks

    def full_disk(column: GrowingColumn, start: int, block: Any) -> None:
        if start >= 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(column, start, block)

    monkeypatch.setattr(GrowingColumn, "write_chunks", full_disk)
    run = b.play(frames([1, 2]), b.waits(1), frames([3, 4]), b.waits(1), frames([5]))
    assert (run.state, run.status().end_reason) == (RunState.FAILED, EndReason.FAILED)
    assert "the disk is full" in run.message
    assert b.rows() == [1, 2]
    account = run.status().account
    assert account.stored == 2, "what never reached the disk is not stored"
    assert account.stored + account.lost + account.not_exposed == account.expected
    with b.file() as file:
        assert file["/entry/state"][()].decode() == "FAILED"


def test_defect_ends_the_run_as_failed_and_says_so(bench):
    b = bench(n_positions=5)

    def defect() -> None:
        raise ZeroDivisionError("a defect")

    run = b.play(frames([1, 2]), b.waits(1), defect)
    assert run.state is RunState.FAILED
    assert "ZeroDivisionError: a defect" in run.message
    assert b.rows() == [1, 2]


def test_source_that_gives_up_ends_the_run_as_failed(bench):
    b = bench(n_positions=5)

    def gone() -> list[Any]:
        raise SourceError("the thread that confirms readbacks has died")

    def dies() -> None:
        b.sources.readbacks.take = gone

    run = b.play(frames([1, 2]), dies, frames([3]))
    assert run.state is RunState.FAILED
    assert "has died" in run.message


def test_frames_that_do_not_fit_the_settings_end_the_run_in_a_sentence(tmp_path):
    b = Bench(tmp_path, n_positions=3)
    roi = b.profile.preprocessing.model_copy(update={"roi": (100, 100)})
    b.run = LiveRun(1, b.profile.model_copy(update={"preprocessing": roi}), b.run.request, b.sources, clock=b.clock)
    run = b.play(frames([1]))
    assert run.state is RunState.FAILED
    assert "frames of 6 rows and 8 columns" in run.message


def test_last_frame_before_the_run_is_no_frame_of_it(tmp_path):
    old = frame(41)
    b = Bench(tmp_path, latest_before=old, n_positions=2)
    b.detector.shown = 41
    run = b.play([old], frames([42, 43]))
    assert run.state is RunState.COMPLETE
    assert b.rows() == [42, 43]


def test_strange_last_frame_does_not_hinder_arming(tmp_path):
    for n, name in enumerate(("compressed", "stamped after the end of time", "no dimension field")):
        b = Bench(tmp_path / str(n), latest_before=corpus.single(corpus.BAD[name]), n_positions=1)
        b.profile.service.data_root.mkdir()
        assert b.play(frames([1])).state is RunState.COMPLETE


def test_arming_refuses_to_overwrite_and_lets_go_of_everything(bench):
    b = bench(n_positions=2)
    b.run.path.write_text("last night's data")
    with pytest.raises(ConfigError, match="exists already"):
        b.run.arm()
    assert b.run.state is RunState.IDLE
    assert b.sources.queue.is_closed and b.detector.is_closed
    assert b.run.path.read_text() == "last night's data"


def test_run_works_in_a_thread_of_its_own(bench):
    b = bench(n_positions=3)
    b.run.arm()
    b.sources.script = frames([1, 2, 3])
    b.run.start()
    assert b.run.join(30)
    assert b.run.state is RunState.COMPLETE
