"""A run tells the truth about its frames: its end reason, its message, and its counts, whatever came."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import corpus
import numpy as np
import pytest
from scripted_run import Bench, frame, frames

from stream_service.core.account import Account
from stream_service.core.ending import true_reason
from stream_service.core.frame_status import FrameStatus
from stream_service.core.run import EndReason, RunState
from stream_service.run.live.raw_file import NOT_NAMED
from stream_service.run.run import Run
from stream_service.settings.service_status import Severity
from stream_service.standard_file import validate_file
from stream_service.standard_file.schema.contents import text_in
from stream_service.standard_file.schema.paths import END_REASON, MESSAGE


@pytest.fixture
def bench(tmp_path: Path) -> Callable[..., Bench]:
    return lambda **request: Bench(tmp_path, **request)


def miscounted(right: int, wrong: int) -> Any:
    """The frame `right`, at its time, with a wrong id."""
    return frame(wrong, seconds=corpus.STAMP_S + (right - wrong) / 1000)


COMPLETE = Account(12, 12, 0, 0, 0, 0, 0, 0)
BEYOND = Account(12, 12, 0, 0, 0, 0, 0, 3)
WRONG_ID = Account(12, 12, 0, 0, 0, 0, 0, 1, implausible=1)
LOST = Account(12, 9, 0, 3, 0, 0, 0, 0)
EARLY = Account(12, 9, 0, 0, 0, 3, 0, 0)
LOST_EARLY = Account(12, 8, 0, 1, 0, 3, 0, 0)
PLANNED, OPEN = True, False


@pytest.mark.parametrize(
    ("asked", "account", "is_planned", "reason"),
    [
        (EndReason.ALL_IN, COMPLETE, PLANNED, EndReason.ALL_IN),
        (EndReason.ALL_IN, BEYOND, PLANNED, EndReason.BEYOND_PLAN),
        (EndReason.ALL_IN, WRONG_ID, PLANNED, EndReason.ALL_IN),
        (EndReason.STOPPED, COMPLETE, PLANNED, EndReason.ALL_IN),
        (EndReason.STOPPED, BEYOND, PLANNED, EndReason.BEYOND_PLAN),
        (EndReason.STOPPED, LOST, PLANNED, EndReason.FRAMES_LOST),
        (EndReason.STOPPED, EARLY, PLANNED, EndReason.STOPPED),
        (EndReason.STOPPED, LOST_EARLY, PLANNED, EndReason.STOPPED),
        (EndReason.STOPPED, COMPLETE, OPEN, EndReason.STOPPED),
        (EndReason.STOPPED, LOST, OPEN, EndReason.STOPPED),
        (EndReason.DETECTOR_STOPPED, COMPLETE, PLANNED, EndReason.ALL_IN),
        (EndReason.DETECTOR_STOPPED, LOST, PLANNED, EndReason.FRAMES_LOST),
        (EndReason.DETECTOR_STOPPED, EARLY, PLANNED, EndReason.DETECTOR_STOPPED),
        (EndReason.DETECTOR_STOPPED, COMPLETE, OPEN, EndReason.DETECTOR_IDLE),  # auto mode
        (EndReason.DETECTOR_STOPPED, LOST, OPEN, EndReason.DETECTOR_IDLE),
        (EndReason.DETECTOR_GONE, EARLY, PLANNED, EndReason.DETECTOR_GONE),
        (EndReason.DETECTOR_GONE, COMPLETE, OPEN, EndReason.DETECTOR_GONE),
        (EndReason.RECORDING_READ, COMPLETE, OPEN, EndReason.ALL_IN),  # ingest, follow and replay
        (EndReason.RECORDING_READ, LOST, OPEN, EndReason.RECORDING_READ),
        (EndReason.RECORDING_READ, EARLY, PLANNED, EndReason.RECORDING_READ),
        (EndReason.SERVICE_ENDED, LOST, PLANNED, EndReason.SERVICE_ENDED),
        (EndReason.ABORTED, EARLY, PLANNED, EndReason.ABORTED),
        (EndReason.ABORTED, COMPLETE, OPEN, EndReason.ABORTED),
        (EndReason.FAILED, COMPLETE, PLANNED, EndReason.FAILED),
    ],
)
def test_end_reason_is_true(asked, account, is_planned, reason):
    assert true_reason(asked, account, is_planned=is_planned) is reason


def test_plan_that_ran_to_its_end_with_losses_was_not_stopped(bench):
    b = bench(n_positions=12)
    run = b.play(frames([1, 2, 3, 5, 6, 8, 9, 10, 12]), b.exposed(12), b.stop)
    assert (run.state, run.status().end_reason) == (RunState.INCOMPLETE, EndReason.FRAMES_LOST)
    assert run.message == f"9 of 12 frames stored in 9 rows, 3 lost (missing ids: 4, 7, 11); {NOT_NAMED}"


@pytest.mark.parametrize("lost", [(), (5,)])
def test_frames_beyond_those_announced_are_counted_and_told(bench, lost):
    """A plan announces 9 positions and takes 12."""
    b = bench(n_positions=9)
    run = b.play(
        frames(n for n in range(1, 10) if n not in lost), b.exposed(11), frames([10, 11, 12]), b.exposed(12), b.stop
    )
    account = run.status().account
    assert (account.expected, account.stored, account.unexpected) == (9, 9 - len(lost), 3)
    assert "3 beyond the number expected, ignored" in run.message
    if not lost:
        assert (run.state, run.status().end_reason) == (RunState.COMPLETE, EndReason.BEYOND_PLAN)


def test_detector_that_stops_with_the_plan_ends_it_without_delay(bench):
    b = bench(n_positions=3)
    run = b.play(frames([1, 2]), b.exposed(3), b.detector_stops, frames([3]))
    assert (run.state, run.status().end_reason) == (RunState.COMPLETE, EndReason.ALL_IN)
    assert b.clock.now_s < 1000.2


def test_reason_of_the_first_refused_frames_is_in_message_reason_and_file(bench):
    b = bench(n_positions=6)
    run = b.play(
        frames([1, 2, 3]),
        [frame(4, shape=(4, 4)), frame(5, shape=(4, 4)), frame(6, shape=(4, 4))],
        b.exposed(6),
        b.stop,
    )
    why = "frame 4 is (4, 4) uint16, but the run began with (6, 8) uint16: the readout must not change during a run"
    assert run.message == (
        f"3 of 6 frames stored in 3 rows, 3 lost (missing ids: 4-6); {NOT_NAMED}; "
        f"3 frames could not be used, the first because {why}"
    )
    assert run.status().end_reason.startswith(
        f"{EndReason.FRAMES_LOST}: 3 frames could not be used, the first because {why}"
    )
    with b.file() as file:
        assert text_in(file[MESSAGE]) == run.message
        assert text_in(file[END_REASON]) == run.status().end_reason
    assert [finding for finding in validate_file(run.setup.path) if finding.level == "error"] == []


@pytest.mark.parametrize(
    ("shown", "state"), [(0, RunState.INCOMPLETE), (None, RunState.INCOMPLETE), (2, RunState.COMPLETE)]
)
def test_run_without_plan_or_counter_is_not_complete_if_frames_could_not_be_used(tmp_path, shown, state):
    """A message that is no frame of the run, behind all others: only a counter that goes on tells that it was none."""
    bench = Bench(tmp_path)
    bench.play(frames([1, 2]), iter([[frame(3, shape=(5, 5))]]), bench.exposed(shown), bench.settles(), bench.stop)
    assert bench.run.state is state, bench.run.message
    assert ("counter does not tell how many" in bench.run.message) is (state is RunState.INCOMPLETE)


def test_refused_frames_are_told_at_once(bench):
    b = bench(n_positions=6)
    said = []

    def listen() -> None:
        said.append((b.run.message, b.run.status().severity))

    b.play(frames([1]), [frame(2, shape=(4, 4))], b.settles(), listen, b.stop)
    assert said[0][0].startswith("receiving scan; frame 2 is (4, 4) uint16, but the run began with")
    assert said[0][1] is Severity.MINOR


OLD = frame(41, seconds=corpus.STAMP_S + 100)


@pytest.mark.parametrize("back_s", [2.0, 1e6, -50.0])
def test_clock_that_was_set_back_before_the_run_drops_no_frame(tmp_path, back_s):
    """What is old is told by identity, not by a stamp."""
    b = Bench(tmp_path, latest_before=OLD, n_positions=3)
    b.detector.shown = 41
    new = [frame(n, seconds=corpus.STAMP_S + 100 - back_s + n / 100) for n in (42, 43, 44)]
    run = b.play([OLD], *([one] for one in new))
    assert run.state is RunState.COMPLETE
    assert b.rows() == [42, 43, 44]
    assert run.status().account.before_run == 1


def test_run_that_drops_frames_says_so_at_once(tmp_path):
    b = Bench(tmp_path, latest_before=OLD, n_positions=3)
    b.detector.shown = 41
    said = []

    def listen() -> None:
        said.append((b.run.message, b.run.status().account.before_run))

    b.play([OLD], b.settles(), listen, b.stop)
    assert said == [
        ("armed for scan: waiting for the first frame; 1 frame from before the run is not stored (id 41)", 1)
    ]


@pytest.mark.further(but=5)
@pytest.mark.parametrize("n_positions", [None, 20])
@pytest.mark.parametrize("wrong", [4_000_000, 2**31 - 1, -7, 0, 1, 15])
def test_one_wrong_id_moves_no_account(bench, n_positions, wrong):
    b = bench(n_positions=n_positions)
    began_s = time.process_time()
    run = b.play(frames(range(1, 11)), [miscounted(11, wrong)], frames(range(12, 21)), b.exposed(20), b.stop)
    assert time.process_time() - began_s < 10
    assert b.rows() == [n for n in range(1, 21) if n != 11]
    assert b.statuses() == {n: FrameStatus.LOST if n == 11 else FrameStatus.STORED for n in range(1, 21)}
    assert "1 lost, 1 with an implausible id, ignored (missing ids: 11)" in run.message


def test_last_frame_after_a_loss_is_confirmed_by_the_counter_alone(bench):
    b = bench(n_positions=None)
    run = b.play(frames([1, 2]), b.exposed(9), frames([9]), b.settles(), b.stop)
    assert b.rows() == [1, 2, 9]
    assert run.status().account.lost == 6


SWITCHED_OFF = "EnableCallbacks of SIM:Pva1 is 0, so the plugin sends no frame: put 1"


def silent(b: Bench) -> Iterator[list[object]]:
    """Nothing comes for 5 s."""
    for _ in range(10):
        b.clock.now_s += 0.5
        yield []


@pytest.mark.parametrize("received", [[], [1, 2]])
def test_frames_that_do_not_come_over_pva_are_told_with_the_reason(bench, received):
    b = bench(n_positions=12)
    b.beamline.switches.problem = SWITCHED_OFF
    said = []

    def listen() -> None:
        said.append((b.run.message, b.run.status().severity))

    b.play(frames(received), b.exposed(12), silent(b), listen, b.stop)
    taken = "10 frames more, which did not come" if received else "12 frames, none came"
    assert said[0][0].endswith(f"; the detector has taken {taken} over PVA: {SWITCHED_OFF}")
    assert said[0][1] is Severity.MAJOR


@pytest.mark.parametrize(
    ("waiting_bytes", "cause"),
    [(0, ""), (20 << 20, ", and 20 MiB of frames wait: the detector sends more than the service can store")],
)
def test_losses_are_told_with_an_alarm_while_the_run_goes_on(bench, waiting_bytes, cause):
    b = bench(n_positions=6)
    said = []

    def listen() -> None:
        b.sources.frames.queue.held_bytes = waiting_bytes
        said.append((b.run.message, b.run.status().severity))

    run = b.play(
        frames([1, 2]), b.waits(0.2), listen, b.waits(0.2), frames([5, 6]), b.waits(0.2), listen, b.exposed(6), b.stop
    )
    assert said[0] == ("receiving scan", Severity.NONE)
    assert said[1] == (f"receiving scan; 2 frames lost so far (gaps in uniqueId){cause}", Severity.MINOR)
    assert run.message == f"4 of 6 frames stored in 4 rows, 2 lost (missing ids: 3-4); {NOT_NAMED}"


def test_disk_that_the_run_waits_for_is_told_with_an_alarm(bench):
    b = bench(n_positions=2)
    said = []

    def listen() -> None:
        b.run.out.file.problem = "scan_std.h5: the run has waited 5 s for the disk: is it slow, or away?"
        said.append((b.run.status().message, b.run.status().severity))
        b.run.out.file.problem = ""

    run = b.play(frames([1]), listen, frames([2]))
    assert said[0][0].endswith("; scan_std.h5: the run has waited 5 s for the disk: is it slow, or away?")
    assert said[0][1] is Severity.MAJOR
    assert (run.status().message, run.status().severity) == ("2 of 2 frames stored in 2 rows", Severity.NONE)


@pytest.mark.parametrize("is_abort", [False, True])
def test_run_that_is_asked_to_end_shows_it_before_its_thread_hears_of_it(bench, is_abort):
    b = bench(n_positions=2)
    shown = []

    def ask() -> None:
        (b.run.abort if is_abort else b.run.stop)()  # in the run's own thread, which can hear nothing meanwhile
        shown.append((b.run.state, b.run.status().state))

    run = b.play(frames([1]), ask)
    assert shown == [(RunState.RECEIVING, RunState.DRAINING)]
    assert run.status().state is (RunState.ABORTED if is_abort else RunState.INCOMPLETE)


def test_switched_off_plugin_is_told_when_the_run_is_armed_and_forgotten_when_frames_come(bench):
    b = bench(n_positions=2)
    b.beamline.switches.problem = SWITCHED_OFF
    said = []

    def switched_on() -> None:
        said.append(b.run.message)
        b.beamline.switches.problem = ""

    run = b.play(b.waits(0), switched_on, frames([1, 2]))
    assert "EnableCallbacks of SIM:Pva1 is 0" in said[0]
    assert run.message == "2 of 2 frames stored in 2 rows"


@pytest.mark.parametrize("received", [[], [1, 2]])
def test_detector_that_is_gone_is_told_at_once_and_ends_the_run(bench, received):
    b = bench(n_positions=12)
    said = []

    def dies() -> None:
        b.detector.answers = b.sources.frames.is_connected = b.detector.is_acquiring = False
        b.clock.now_s += 1

    def listen() -> None:
        said.append((b.run.message, b.run.status().severity, b.run.state))

    run = b.play(frames(received), b.settles(), dies, b.waits(0.1), listen)
    assert "no answer from SIM:Image (PVA), SIM:Acquire, SIM:Counter: is the IOC running?" in said[0][0]
    assert "The run ends unless the detector is back within 30 s" in said[0][0]
    assert said[0][1] is Severity.MAJOR and not said[0][2].has_ended
    assert (run.state, run.status().end_reason) == (RunState.INCOMPLETE, EndReason.DETECTOR_GONE)
    assert run.status().account.not_exposed == 12 - len(received)
    assert "counter does not tell how many" in run.message
    assert 1030 < b.clock.now_s < 1036


def test_detector_that_comes_back_in_time_ends_nothing(bench):
    b = bench(n_positions=3)

    def dies() -> None:
        b.detector.answers = False

    def comes_back() -> None:
        b.detector.answers = True

    run = b.play(frames([1]), dies, b.waits(1), b.waits(20), comes_back, b.waits(1), b.waits(20), frames([2, 3]))
    assert (run.state, run.message) == (RunState.COMPLETE, "3 of 3 frames stored in 3 rows")


def test_dead_readback_is_named_and_ends_nothing(bench):
    b = bench(n_positions=2)
    said = []

    def dies() -> None:
        b.sources.readbacks.dead = b.sources.readbacks.gone = {"x"}
        b.clock.now_s += 1

    run = b.play(frames([1]), dies, b.waits(0), lambda: said.append(b.run.message), frames([2]))
    assert "no answer from SIM:x: is the IOC running?" in said[0]
    assert run.state is RunState.COMPLETE


def test_counts_add_up_for_every_kind_at_once(bench):
    b = bench(n_positions=12)
    run = b.play(
        frames([1, 2, 2]), [frame(3, shape=(4, 4))], frames([4]), [miscounted(5, -3)],
        frames([6, 7]), b.exposed(8), b.stop,
    )  # fmt: skip
    account = run.status().account
    assert (account.stored, account.lost, account.not_exposed) == (5, 3, 4)
    assert (account.duplicates, account.unexpected, account.implausible) == (1, 1, 1)
    assert (
        account.expected
        == account.stored + account.backfilled + account.lost + account.incomplete + account.not_exposed
    )
    assert run.status().received == 5


def test_auto_mode_says_that_the_detector_stopped(tmp_path):
    b = Bench(tmp_path)
    assert type(b.run) is Run
    run = b.play(frames([1, 2]), b.exposed(2), b.detector_stops)
    assert (run.state, run.status().end_reason) == (RunState.COMPLETE, EndReason.DETECTOR_IDLE)


@pytest.mark.parametrize("shape", [(5, 5), (5,)])
def test_last_frames_that_cannot_be_used_were_exposed_though_no_counter_tells(bench, shape):
    b = bench(n_positions=8)
    run = b.play(
        frames([1, 2, 3, 4]), iter([[corpus.good(6, pixels=np.ones(shape, np.uint16))]]), b.exposed(None), b.stop
    )
    assert run.message.startswith("4 of 8 frames stored in 4 rows, 2 lost, 2 never exposed (missing ids: 5-6)")
    assert "does not tell how many frames were made" in run.message
