"""The account of a run, case by case; `tests/property/test_ledger.py` has the general claims."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest

from stream_service.core.account import Account
from stream_service.core.epochs import MAX_JUMP
from stream_service.core.frame import FrameId
from stream_service.core.frame_status import FrameStatus
from stream_service.core.ledger import Ledger
from stream_service.core.receipt import Arrival

MiB = 1 << 20


def receive(ledger: Ledger, *ids: int, at_ns: int = 1000) -> list[Arrival]:
    """Ids with stamps that grow from `at_ns`."""
    return [ledger.receive(unique_id, at_ns + n).arrival for n, unique_id in enumerate(ids)]


def stored(ledger: Ledger, *ids: int, at_ns: int = 1000) -> None:
    for n, unique_id in enumerate(ids):
        receipt = ledger.receive(unique_id, at_ns + n)
        assert receipt.arrival is Arrival.NEW
        ledger.mark([receipt.ordinal], FrameStatus.STORED)


def test_frame_that_is_marked_twice_at_once_is_counted_once() -> None:
    ledger = Ledger(1, 4)
    for unique_id in (1, 2, 3):
        ledger.receive(unique_id, unique_id)
    ledger.mark([0, 1, 0, 1], FrameStatus.INCOMPLETE)
    ledger.mark(iter([1, 2]), FrameStatus.STORED)
    ledger.mark([], FrameStatus.STORED)
    account = ledger.account()
    assert (account.stored, account.incomplete, account.pending) == (2, 1, 1)


@pytest.mark.parametrize("first", [0, 1, 100])
def test_ids_begin_where_the_detector_begins(first):
    ledger = Ledger(first, 3)
    stored(ledger, first, first + 1, first + 2)
    assert ledger.all_in
    assert ledger.close() == Account(3, 3, 0, 0, 0, 0, 0, 0)
    assert ledger.account().is_complete


def test_lost_head_counts_although_nothing_of_it_ever_came():
    ledger = Ledger(1, 5)
    stored(ledger, 3, 4, 5)
    account = ledger.close()
    assert (account.stored, account.lost) == (3, 2)
    assert ledger.ranges_with(FrameStatus.LOST) == [(FrameId(0, 1), FrameId(0, 2))]
    assert not account.is_complete


def test_lost_tail_is_told_from_frames_never_exposed_by_the_counter():
    ledger = Ledger(1, 5)
    stored(ledger, 1, 2)
    account = ledger.close(ledger.exposed_by_counter(3))
    assert (account.stored, account.lost, account.not_exposed) == (2, 1, 2)


def test_a_run_of_unknown_length_expects_what_was_exposed():
    ledger = Ledger(1, None)
    stored(ledger, 1, 3)
    assert ledger.close(ledger.exposed_by_counter(4)) == Account(4, 2, 0, 2, 0, 0, 0, 0, is_planned=False)


def test_counter_that_was_reset_does_not_tell_how_many_were_made():
    ledger = Ledger(1, 3)
    stored(ledger, 1, 2)
    assert ledger.exposed_by_counter(0) is None


def test_implausible_counter_changes_nothing():
    ledger = Ledger(1, None)
    stored(ledger, 1, 2)
    assert ledger.exposed_by_counter(2**31 - 1) == 2


def test_duplicates_are_counted_and_are_no_loss():
    ledger = Ledger(1, 2)
    ledger.receive(1, 1000)
    ledger.receive(2, 1001)
    assert ledger.receive(1, 1000) == (Arrival.DUPLICATE, FrameId(0, 1), 0)
    ledger.mark([0, 1], FrameStatus.STORED)
    account = ledger.close()
    assert account.is_complete and account.duplicates == 1
    np.testing.assert_array_equal(ledger.columns()[3], [2, 1])


def test_overtaken_frame_is_new():
    ledger = Ledger(1, 3)
    assert ledger.receive(3, 1003).ordinal == 2
    assert ledger.receive(1, 1001) == (Arrival.NEW, FrameId(0, 1), 0)


def test_last_frame_before_the_run_is_not_of_it():
    """A new subscriber is sent it first, and maybe twice."""
    ledger = Ledger(42, 2, last_before=(41, 1000))
    assert receive(ledger, 41, at_ns=1000) == [Arrival.BEFORE_RUN]
    stored(ledger, 42, 43, at_ns=1001)
    account = ledger.close()
    assert account.is_complete and account.before_run == 1


def test_restart_before_the_first_frame_is_the_beginning():
    """Armed at counter 57, then the plan sets ArrayCounter to 0."""
    ledger = Ledger(58, 3)
    stored(ledger, 1, 2, 3)
    assert ledger.close().is_complete
    np.testing.assert_array_equal(ledger.columns()[1], [1, 2, 3])


@pytest.mark.parametrize("restart_id", [0, 1])
def test_restart_within_the_run_begins_an_epoch(restart_id):
    ledger = Ledger(10, 5, restart_unique_id=restart_id)
    stored(ledger, 10, 11, 12)
    assert ledger.receive(restart_id, 2000) == (Arrival.NEW, FrameId(1, restart_id), 3)
    assert ledger.receive(restart_id + 1, 2001).ordinal == 4
    np.testing.assert_array_equal(ledger.columns()[0], [0, 0, 0, 1, 1])
    np.testing.assert_array_equal(ledger.columns()[1], [10, 11, 12, restart_id, restart_id + 1])


def test_frames_lost_at_the_start_of_an_epoch_are_named():
    ledger = Ledger(1, None)
    stored(ledger, 1, 2, 3)
    stored(ledger, 3, at_ns=2000)
    ledger.close()
    assert ledger.ranges_with(FrameStatus.LOST) == [(FrameId(1, 1), FrameId(1, 2))]


def test_a_detector_that_counts_to_one_at_every_point_makes_an_epoch_of_each():
    ledger = Ledger(1, 4)
    for n in range(4):
        assert ledger.receive(1, 1000 + n) == (Arrival.NEW, FrameId(n, 1), n)


def test_late_frame_of_the_epoch_before_goes_to_its_place():
    ledger = Ledger(1, None)
    receive(ledger, 1)
    ledger.receive(3, 1010)
    ledger.receive(1, 2000)
    assert ledger.receive(2, 1005) == (Arrival.NEW, FrameId(0, 2), 1)


def test_last_frame_of_the_epoch_before_is_a_duplicate_when_it_comes_again():
    ledger = Ledger(1, None)
    receive(ledger, 1, 2)
    ledger.receive(1, 2000)
    assert ledger.receive(2, 1001) == (Arrival.DUPLICATE, FrameId(0, 2), 1)


def test_frame_that_no_epoch_has_room_for_is_ignored():
    """Its stamp is of the old counting, its id would be the place of a frame of the new one."""
    ledger = Ledger(1, None)
    receive(ledger, 1, 2)
    ledger.receive(1, 2000)
    assert ledger.receive(3, 1000).arrival is Arrival.UNEXPECTED
    np.testing.assert_array_equal(ledger.columns()[3], [1, 1, 1])


def test_counter_that_runs_over_goes_on():
    """areaDetector counts in 32 bits: after 24 days at 1 kHz comes the smallest number."""
    ledger = Ledger(2**31 - 2, 4)
    stored(ledger, 2**31 - 2, 2**31 - 1, -(2**31), -(2**31) + 1)
    assert ledger.close().is_complete


def test_equal_stamps_restart_nothing():
    """A detector whose clock stands still, and which may count anew or be sent twice: that is not decided."""
    ledger = Ledger(1, 3)
    assert [ledger.receive(n, 0).arrival for n in (1, 2, 2, 3)] == [
        Arrival.NEW,
        Arrival.NEW,
        Arrival.UNDECIDED,
        Arrival.NEW,
    ]


def test_frames_beyond_those_expected_are_unexpected():
    ledger = Ledger(1, 2)
    assert receive(ledger, 1, 2, 3) == [Arrival.NEW, Arrival.NEW, Arrival.UNEXPECTED]
    ledger.mark([0, 1], FrameStatus.STORED)
    account = ledger.close(ledger.exposed_by_counter(3))
    assert account.is_complete and account.unexpected == 1


def test_extra_frames_are_taken_but_not_expected():
    ledger = Ledger(1, 2, n_extra=1)
    stored(ledger, 1, 2)
    assert not ledger.all_in, "a run with extra frames ends at stop"
    assert ledger.account().expected == 2
    stored(ledger, 3, at_ns=2000)
    assert ledger.all_in
    assert receive(ledger, 4, at_ns=3000) == [Arrival.UNEXPECTED]
    assert ledger.close() == Account(3, 3, 0, 0, 0, 0, 0, 1)


@pytest.mark.parametrize("n_expected", [None, 10])
def test_frame_that_is_refused_changes_nothing_for_the_next_ones(n_expected):
    ledger = Ledger(1, n_expected)
    stored(ledger, 1, 2)
    hostile = [2**31 - 1, -1, -(2**31), MAX_JUMP + 10]
    assert receive(ledger, *hostile, at_ns=2000) == [Arrival.UNEXPECTED] * 4
    stored(ledger, 3, 4, at_ns=3000)
    np.testing.assert_array_equal(ledger.columns()[0][:4], [0, 0, 0, 0])


def test_restart_that_leads_beyond_the_run_changes_nothing_for_the_next_ones():
    ledger = Ledger(1000, 10)
    stored(ledger, 1000, 1001)
    assert receive(ledger, 500, at_ns=2000) == [Arrival.UNEXPECTED]
    stored(ledger, 1002, at_ns=3000)


def test_impossible_ids_take_no_memory():
    tracemalloc.start()
    ledger = Ledger(1, None)
    receive(ledger, 1, 2**31 - 1, -(2**31), MAX_JUMP + 10)
    ledger.close(ledger.exposed_by_counter(2**31 - 1))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < MiB


def test_large_but_possible_jump_is_accounted_for():
    ledger = Ledger(1, None)
    receive(ledger, 1, 1_000_001)
    account = ledger.close()
    assert (account.expected, account.lost) == (1_000_001, 1_000_001)


def test_long_runs_go_on_beyond_the_largest_jump():
    ledger = Ledger(1, None)
    assert receive(ledger, 1, 3_000_000, 6_000_000) == [Arrival.NEW] * 3
    assert ledger.exposed_by_counter(9_000_000) == 9_000_000


def test_times_received_stop_counting_before_they_run_over():
    ledger = Ledger(1, 1)
    for _ in range(70_000):
        ledger.receive(1, 1000)
    assert ledger.columns()[3].tolist() == [65_535]
    assert ledger.account().duplicates == 69_999


def test_backfilled_frames_are_in_the_file():
    ledger = Ledger(1, 2)
    receive(ledger, 1, 2)
    ledger.mark([0], FrameStatus.STORED)
    ledger.mark([1], FrameStatus.BACKFILLED)
    assert ledger.close().is_complete


def test_closing_twice_changes_nothing():
    ledger = Ledger(1, 5)
    stored(ledger, 2, 3)
    assert ledger.close(4) == ledger.close(4) == ledger.close()


def test_frames_of_groups_that_never_filled_are_told_from_lost_ones():
    ledger = Ledger(1, 4)
    receive(ledger, 1, 2, 4)
    ledger.mark([0, 1], FrameStatus.STORED)
    ledger.mark([3], FrameStatus.INCOMPLETE)
    account = ledger.close()
    assert (account.stored, account.lost, account.incomplete) == (2, 1, 1)
    assert ledger.ranges_with(FrameStatus.LOST, FrameStatus.INCOMPLETE) == [(FrameId(0, 3), FrameId(0, 4))]


def test_account_of_a_long_run_is_as_quick_as_that_of_a_short_one():
    """It is asked ten times a second; counting 10 million frames took a quarter of a second each time."""
    ledger = Ledger(1, 10_000_000)
    stored(ledger, *range(1, 100))
    began_s = time.process_time()
    for _ in range(1000):
        assert ledger.account().stored == 99
    assert time.process_time() - began_s < 10.0


def test_frames_that_did_not_come_and_those_of_groups_that_never_filled_are_missing() -> None:
    ledger = Ledger(1, 10)
    stored(ledger, 2, 3)
    receive(ledger, 5, 6, at_ns=2000)
    ledger.mark([4], FrameStatus.INCOMPLETE)
    assert ledger.missing().tolist() == [0, 3, 4]
    assert ledger.missing(8).tolist() == [0, 3, 4, 6, 7]
    ledger.end_at(7)
    assert ledger.missing(8).tolist() == [0, 3, 4, 6]


def test_reopened_frame_may_come_once_more_and_counts_as_any_other() -> None:
    ledger = Ledger(1, 4)
    stored(ledger, 1, 2)
    stored(ledger, 4, at_ns=1020)
    ledger.mark([1], FrameStatus.INCOMPLETE)
    ledger.close()
    missing = ledger.missing()
    ids = ledger.identities(missing)
    assert (missing.tolist(), ids[0].tolist(), ids[1].tolist()) == ([1, 2], [0, 0], [2, 3])
    ledger.reopen(missing)
    assert (ledger.n_received, ledger.account().pending) == (2, 2)
    assert [*receive(ledger, 2, at_ns=1001), *receive(ledger, 3, at_ns=1010)] == [Arrival.NEW, Arrival.NEW]
    assert receive(ledger, 3, at_ns=1010) == [Arrival.DUPLICATE]
    ledger.mark([1, 2], FrameStatus.BACKFILLED)
    account = ledger.close()
    assert (account.stored, account.backfilled, account.is_complete, ledger.all_in) == (2, 2, True, True)


@pytest.mark.parametrize("n_expected", [None, 8])
def test_a_clock_that_stands_and_a_counter_that_was_reset_cannot_be_told_from_copies(n_expected: int | None) -> None:
    ledger = Ledger(1, n_expected)
    for unique_id in (1, 2, 3, 4, 1, 2):
        receipt = ledger.receive(unique_id, 1000)
        if receipt.arrival is Arrival.NEW:
            ledger.mark([receipt.ordinal], FrameStatus.STORED)
    account = ledger.close()
    assert (account.stored, account.duplicates, account.undecided, account.lost) == (4, 2, 2, 0)
    assert not account.is_complete


def test_copies_of_frames_are_copies_while_the_clock_goes() -> None:
    ledger = Ledger(1, None)
    stored(ledger, 1, 2, 3)
    assert receive(ledger, 2, at_ns=1001) == [Arrival.DUPLICATE]
    assert ledger.close().is_complete


def test_planned_frames_that_are_all_there_are_all_whatever_else_came() -> None:
    ledger = Ledger(1, 3)
    for unique_id in (1, 2, 3):
        ledger.mark([ledger.receive(unique_id, 1000).ordinal], FrameStatus.STORED)
    assert ledger.receive(2, 1000).arrival is Arrival.UNDECIDED
    assert ledger.close().is_complete
