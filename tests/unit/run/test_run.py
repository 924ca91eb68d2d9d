"""A run takes in frames and readbacks, and makes rows of them, whatever is lost or spoilt on the way."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import corpus
import h5py
import numpy as np
import pytest
from limits import HANG_S
from scripted_run import Bench, Step, frame, frames

from stream_service.core.exposure import Flag
from stream_service.core.frame_status import FrameStatus
from stream_service.core.run import EndReason, RunState
from stream_service.core.stream import Gone
from stream_service.errors import ConfigError
from stream_service.run.frame_intake import RunNotes
from stream_service.run.live.raw_file import NOT_NAMED
from stream_service.run.pairing import Pairing
from stream_service.standard_file import validate_file


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
    assert [finding for finding in validate_file(run.setup.path) if finding.level == "error"] == []


def test_lost_frames_are_named_head_and_tail_too(bench):
    b = bench(n_positions=8)
    run = b.play(frames([2, 3, 5, 6]), b.exposed(7), b.stop)
    assert (run.state, run.status().end_reason) == (RunState.INCOMPLETE, EndReason.STOPPED)
    assert b.statuses() == {
        1: FrameStatus.LOST, 2: FrameStatus.STORED, 3: FrameStatus.STORED, 4: FrameStatus.LOST,
        5: FrameStatus.STORED, 6: FrameStatus.STORED, 7: FrameStatus.LOST, 8: FrameStatus.NOT_EXPOSED,
    }  # fmt: skip
    assert run.message == f"4 of 8 frames stored in 4 rows, 3 lost, 1 never exposed (missing ids: 1, 4, 7); {NOT_NAMED}"


def test_losing_the_first_frame_shifts_no_group(bench):
    b = bench(n_positions=3, frames_per_position=2)
    b.play(frames([2, 3, 4, 5, 6]), b.exposed(6), b.stop)
    with b.file() as file:
        np.testing.assert_array_equal(file["/entry/frames/unique_id"][:], [[3, 4], [5, 6]])
        np.testing.assert_array_equal(file["/entry/data"][:, 0, 0], [7, 11])
    assert b.statuses() == {
        1: FrameStatus.LOST, 2: FrameStatus.INCOMPLETE, 3: FrameStatus.STORED,
        4: FrameStatus.STORED, 5: FrameStatus.STORED, 6: FrameStatus.STORED,
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
    run = b.play(frames([1]), [frame(2, shape=(4, 4))], frames([3]), b.exposed(3), b.stop)
    assert run.status().bad_messages == 1
    assert b.rows() == [1, 3]
    assert b.statuses()[2] is FrameStatus.LOST


def test_good_frames_become_rows_after_any_bad_message(bench):
    b = bench(n_positions=len(corpus.BAD))
    not_read = "attributes without values"  # those that nobody asks for are not looked at
    bad = [corpus.single(change, unique_id=500) for name, change in corpus.BAD.items() if name != not_read]
    messages = itertools.chain.from_iterable((frame(n), message) for n, message in enumerate(bad, 1))
    run = b.play(iter([[message] for message in messages]), list(corpus.WRONG_TYPES.values()), [frame(len(bad) + 1)])
    assert run.state is RunState.COMPLETE
    assert run.status().bad_messages == len(bad) + len(corpus.WRONG_TYPES)
    assert len(b.rows()) == len(bad) + 1


def test_odd_messages_never_end_a_run(bench):
    b = bench(n_positions=None)
    odd = [corpus.single(change, unique_id=500) for change in corpus.ODD.values()]
    messages = itertools.chain.from_iterable((frame(n), message) for n, message in enumerate(odd, 1))
    run = b.play(iter([[message] for message in messages]), b.exposed(len(odd)), b.stop)
    assert run.state in (RunState.COMPLETE, RunState.INCOMPLETE)
    assert set(b.rows()) >= set(range(1, len(odd) + 1))


def test_dead_readback_flags_its_rows_and_holds_up_nothing_for_long(bench):
    b = bench(n_positions=2)
    b.sources.readbacks.dead = {"x"}
    run = b.play(frames([1, 2]))
    assert run.state is RunState.COMPLETE
    with b.file() as file:
        assert set(file["/entry/frames/flags"][:]) == {Flag.UNBRACKETED}
    assert b.clock.now_s == pytest.approx(1000 + b.profile.service.pairing_timeout_s, abs=0.5)


def test_lost_readback_flags_its_rows_at_once(bench):
    b = bench(n_positions=2)
    b.sources.readbacks.dead = {"x"}
    b.sources.readbacks.events.append(Gone("x"))
    b.play(frames([1, 2]))
    with b.file() as file:
        assert set(file["/entry/frames/flags"][:]) == {Flag.DISCONNECTED}
        assert set(file["/entry/keep"][:]) == {0}
    assert b.clock.now_s < 1001


def test_frames_that_wait_for_readbacks_are_bounded_in_memory(bench):
    """Beyond the budget the one that came first leaves, flagged, and the run goes on receiving."""
    b = bench(n_positions=50)
    b.set_budget(5 * 96)
    b.sources.readbacks.dead = {"x"}
    waiting = []

    def watched() -> Iterator[Step]:
        for step in frames(range(1, 51)):
            waiting.append(b.run._rows.pairing.waiting_bytes)
            yield step

    run = b.play(watched())
    assert max(waiting) <= b.sources.budget_bytes
    status = run.status()
    assert status.queue_bytes == 0 and max(waiting) <= status.most_queue_bytes <= b.sources.budget_bytes + 96
    high_water = status.high_water
    assert max(waiting) <= high_water.pairing <= b.sources.budget_bytes + 96
    assert max(high_water) <= status.most_queue_bytes <= sum(high_water)
    assert run.state is RunState.COMPLETE and b.rows() == list(range(1, 51))
    with b.file() as file:
        assert set(file["/entry/frames/flags"][:]) == {Flag.UNBRACKETED}


def test_frames_that_do_not_fit_the_settings_end_the_run_in_a_sentence(tmp_path):
    b = Bench(tmp_path, n_positions=3)
    roi = b.profile.preprocessing.model_copy(update={"roi": (100, 100)})
    b.prepare(b.profile.model_copy(update={"preprocessing": roi}))
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
    b.run.setup.path.write_text("last night's data")
    with pytest.raises(ConfigError, match="exists already"):
        b.run.arm()
    assert b.run.state is RunState.IDLE
    assert b.sources.queue.is_closed and b.sources.readbacks.is_closed
    assert b.run.setup.path.read_text() == "last night's data"


def reference(folder: Path, taken_s: float | None) -> dict[str, str]:
    """A dark of 1 ADU in the folder of the data, named as a plan may: relative to it."""
    with h5py.File(folder / "dark.h5", "w") as file:
        file["dark"] = np.ones((6, 8), np.float32)
        if taken_s is not None:
            file.attrs["exposure_s"] = taken_s
    return {"dark": "dark.h5"}


@pytest.mark.parametrize("taken_s", [0.01, None])
def test_references_of_a_scan_are_found_in_the_folder_of_the_data(bench, tmp_path, taken_s):
    b = bench(n_positions=3, exposure_s=0.01, references=reference(tmp_path, taken_s))
    b.play(frames([1, 2, 3]))
    with b.file() as file:
        np.testing.assert_array_equal(file["/entry/data"][:, 0, 0], [0, 1, 2])


def test_arming_refuses_a_dark_of_another_exposure_time(bench, tmp_path):
    b = bench(n_positions=3, exposure_s=0.01, references=reference(tmp_path, 0.02))
    with pytest.raises(ConfigError, match=r"the dark .*dark.h5 was taken with 0.02 s, the scan takes 0.01 s"):
        b.run.arm()
    assert b.sources.queue.is_closed and b.sources.readbacks.is_closed and not b.run.setup.path.exists()


def test_run_works_in_a_thread_of_its_own(bench):
    b = bench(n_positions=3)
    b.run.arm()
    b.frames.script = frames([1, 2, 3])
    b.run.start()
    assert b.run.join(HANG_S)
    assert b.run.state is RunState.COMPLETE


def test_row_for_screens_says_which_row_it_is(bench):
    b = bench(n_positions=5)
    shown = []

    def watched() -> Iterator[Step]:
        for step in frames(range(1, 6)):
            shown.append(b.run.shown_row)
            yield step

    b.play(watched())
    shown.append(b.run.shown_row)
    with b.file() as file:
        for row in filter(None, shown):
            assert np.array_equal(row.pixels, file["/entry/data"][row.row])
    assert shown[-1].row == 4


OUTSIDE = r"the dark .* is .*secret.h5, which is not below .*: a request may name files below the data root"


@pytest.mark.parametrize("how", ["absolute", "parent", "symbolic link"])
def test_arming_refuses_references_from_beyond_the_data_root(bench, tmp_path_factory, tmp_path, how):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    with h5py.File(elsewhere / "secret.h5", "w") as file:
        file["dark"] = np.ones((6, 8), np.float32)
    (tmp_path / "link.h5").symlink_to(elsewhere / "secret.h5")
    parent = os.path.relpath(elsewhere / "secret.h5", tmp_path)
    name = {"absolute": str(elsewhere / "secret.h5"), "parent": parent, "symbolic link": "link.h5"}[how]
    b = bench(n_positions=3, references={"dark": name})
    with pytest.raises(ConfigError, match=OUTSIDE):
        b.run.arm()
    assert b.sources.queue.is_closed and b.sources.readbacks.is_closed and not b.run.setup.path.exists()


def test_references_from_folders_of_the_profile_are_taken(bench, tmp_path_factory):
    shared = tmp_path_factory.mktemp("shared")
    b = bench(n_positions=3, references={"dark": str(shared / reference(shared, None)["dark"])})
    service = b.profile.service.model_copy(update={"reference_roots": (shared,)})
    profile = b.profile.model_copy(update={"service": service})
    b.prepare(profile)
    b.play(frames([1, 2, 3]))
    with b.file() as file:
        np.testing.assert_array_equal(file["/entry/data"][:, 0, 0], [0, 1, 2])


def test_a_reference_that_leads_elsewhere_is_refused_with_the_setting_that_allows_it(bench, tmp_path):
    with h5py.File(tmp_path / "dark.h5", "w") as file:
        file.create_dataset("dark", (6, 8), "u1", external=[("/etc/passwd", 0, 48)])
    b = bench(n_positions=3, references={"dark": "dark.h5"})
    with pytest.raises(ConfigError, match=r"/etc/passwd, outside of .* by service.reference_roots of the profile"):
        b.run.arm()


def test_status_walks_through_nothing_that_the_run_is_changing(bench, monkeypatch):
    """A collection that grows while another thread goes through it raises, and would end the service."""
    seen = set()

    def watched(method):
        def look(*arguments):
            seen.add(threading.current_thread())
            return method(*arguments)

        return look

    monkeypatch.setattr(Pairing, "problem", property(watched(Pairing.problem.fget)))
    monkeypatch.setattr(RunNotes, "sentences", watched(RunNotes.sentences))
    b = bench(n_positions=3)

    def looked_at_from_outside() -> None:
        screen = threading.Thread(target=b.run.status)
        screen.start()
        screen.join()

    b.play(frames([1, 2]), looked_at_from_outside, frames([3]))
    assert seen == {threading.current_thread()}
