"""Whether a raw file is that of the run, by the ids and stamps of frames that came."""

from __future__ import annotations

import numpy as np
import pytest

from stream_service.sources.hdf5.raw_matching import Identities, compared, is_past, is_without_reset, wanted_rows

N = 20
IDS = np.arange(1, N + 1)
NS = 10**18 + 10_000_000 * IDS
FILE = Identities(IDS, NS)


def test_one_frame_that_agrees_is_enough():
    agreement = compared(FILE.at(np.s_[3:4]), FILE, 0)
    assert (agreement.n_compared, agreement.n_agree, agreement.is_same_scan) == (1, 1, True)


def test_nothing_agrees_with_a_file_that_is_empty_or_with_nothing():
    assert not compared(FILE, FILE.at(np.s_[:0]), 0).is_same_scan
    assert not compared(FILE.at(np.s_[:0]), FILE, 0).is_same_scan


def test_another_scan_with_the_same_ids_does_not_agree():
    assert not compared(Identities(IDS, NS + 1), FILE, 0).is_same_scan


@pytest.mark.parametrize(("n_wrong", "is_same"), [(1, True), (2, False)])
def test_one_odd_stamp_is_no_contradiction_but_two_of_a_few_are(n_wrong: int, is_same: bool):
    stamps = NS.copy()
    stamps[5 : 5 + n_wrong] += 3
    assert compared(Identities(IDS, stamps).at(np.s_[:12]), FILE, 0).is_same_scan is is_same


def test_frames_before_the_counter_was_reset_do_not_contradict_a_file_begun_after_it():
    before = Identities(IDS, NS - 10**12)
    held = Identities(np.concatenate([before.ids, IDS[:4]]), np.concatenate([before.ns, NS[:4]]))
    agreement = compared(held, FILE, 0)
    assert (agreement.n_compared, agreement.n_agree, agreement.is_same_scan) == (N + 4, 4, True)


def test_an_id_that_is_held_from_one_epoch_is_wanted_from_the_other():
    both = Identities(np.concatenate([IDS, IDS]), np.concatenate([NS, NS + 10**12]))
    assert wanted_rows(np.array([3, 4]), both.at(np.s_[:3]), both, 0).tolist() == [3, N + 2, N + 3]


def test_a_frame_that_is_in_the_file_twice_comes_once():
    twice = Identities(np.array([1, 2, 2, 3]), NS[[0, 1, 1, 2]])
    assert wanted_rows(np.array([2, 3]), twice.at(np.s_[:1]), twice, 0).tolist() == [1, 3]


def test_stamps_that_are_doubles_agree_within_their_resolution():
    held = Identities(IDS, NS + 238)
    assert not compared(held, FILE, 0).is_same_scan
    assert compared(held, FILE, 512).n_agree == N
    assert wanted_rows(IDS, held, FILE, 512).tolist() == []


@pytest.mark.parametrize("of_this", [(1, 20), (1, 8), (4, 20), (4, 8)], ids=str)
def test_what_lies_behind_a_reset_on_either_side_of_the_frames_that_came_is_of_another_scan(of_this: tuple[int, int]):
    first, last = of_this
    scans = [FILE, FILE.at(np.s_[first - 1 : last]), FILE]
    ns = [scan.ns + n * 10**12 for n, scan in enumerate(scans)]
    file = Identities(np.concatenate([scan.ids for scan in scans]), np.concatenate(ns))
    came = Identities(np.arange(5, 8), NS[4:7] + 10**12)
    rows = np.arange(len(file))
    is_of_run = is_without_reset(rows, file, came, 0)
    is_of_run &= file.ids >= first  # lower ids come no second time, and are told by their stamps (`LostFrames`)
    np.testing.assert_array_equal(rows[is_of_run], np.arange(N, N + last - first + 1))


def test_stamps_that_were_swapped_and_frames_that_were_stored_twice_are_no_reset():
    stamps = NS.copy()
    stamps[[14, 15]] = stamps[[15, 14]]
    file = Identities(np.append(IDS, IDS[-3:]), np.append(stamps, stamps[-3:]))
    assert is_without_reset(np.arange(len(file)), file, FILE.at(np.s_[:10]), 0).all()


def test_resets_between_the_frames_that_came_are_those_of_the_run():
    file = Identities(np.tile(IDS, 3), np.concatenate([NS + n * 10**12 for n in range(3)]))
    came = file.at(np.array([3, N * 3 - 4]))
    assert is_without_reset(np.arange(len(file)), file, came, 0).all()


def test_file_that_is_written_to_since_the_last_frame_came_will_get_none_of_those():
    assert is_past(FILE, FILE.at(np.s_[:-1]))
    assert not is_past(FILE, FILE) and not is_past(FILE.at(np.s_[:0]), FILE) and not is_past(FILE, FILE.at(np.s_[:0]))
