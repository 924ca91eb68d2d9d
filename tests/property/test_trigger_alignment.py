"""Frames and entries that hardware captured: whatever goes wrong on either side, no frame has the entry of another."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_triggers import Scan, scan_of

from stream_service.core.pairing.entry_matching import EntryMatching
from stream_service.core.pairing.hardware_array import HardwareArray
from stream_service.core.pairing.trigger_alignment import NONE, UNSURE, entries_of_run

N_SCANS, BLOCK = 1500, 250


def entries(scan: Scan) -> np.ndarray:
    return entries_of_run(scan.ordinals, scan.arrived_stamps_s, scan.entry_times_s, scan.n_exposed)


def scans(first: int) -> list[Scan]:
    made = (scan_of(seed) for seed in range(first, first + BLOCK))
    return [scan for scan in made if len(scan.ordinals) and scan.is_captured.any() and not scan.looks_whole]


@pytest.mark.parametrize("first", range(0, N_SCANS, BLOCK))
def test_frame_has_its_own_entry_or_none(first: int) -> None:
    n_told = n_frames = 0
    for scan in scans(first):
        found = entries(scan)
        assert ((found < 0) | (found == scan.true_entries)).all(), scan.faults
        assert ((found != NONE) | (scan.true_entries < 0) | bool(scan.faults)).all()
        n_told, n_frames = n_told + int((found >= 0).sum()), n_frames + len(found)
        if not scan.faults:
            assert (found == scan.true_entries).all()
    assert n_told > 0.7 * n_frames, "it tells nearly nothing"


@pytest.mark.parametrize("missed", [0, 30, 59])
@pytest.mark.parametrize("kind", ["uniform", "steps"])
def test_missed_trigger_is_found_where_the_intervals_tell(kind: str, missed: int) -> None:
    scan = scan_of(5, n_faults=0, kinds=(kind,), n=60)
    scan.is_captured[missed] = False
    found = entries(scan)
    if kind == "uniform" and missed in (0, 59):
        assert (found == UNSURE).all(), "the first or the last: nothing tells"
    else:
        assert (found == scan.true_entries).all()


@pytest.mark.parametrize("end", ["may_end_apart", "is_cut_off"])
def test_uneven_end_costs_hardly_a_position(end: str) -> None:
    """Up to three entries at the end are not told, and nobody looks for them; what else went wrong is still found."""
    random = np.random.default_rng(0)
    n_wrong = n_told = n_frames = 0
    found_of = [scan for first in range(0, 3 * BLOCK, BLOCK) for scan in scans(first) if scan.true_entries[0] == 0]
    for scan in found_of:
        times_s = scan.entry_times_s[: max(1, len(scan.entry_times_s) - int(random.integers(0, 4)))]
        found = entries_of_run(scan.ordinals, scan.arrived_stamps_s, times_s, scan.n_exposed, **{end: True})
        n_wrong += bool(((found >= 0) & (found != scan.true_entries)).any())
        n_told, n_frames = n_told + int((found >= 0).sum()), n_frames + len(found)
    assert n_wrong < 0.02 * len(found_of), "a trigger that was missed is taken for an uneven end"
    assert n_told > 0.5 * n_frames, "it tells nearly nothing"


@pytest.mark.parametrize(
    ("n_entries", "options", "is_told"),
    [
        (15, {"may_end_apart": True}, True),
        (25, {"may_end_apart": True}, True),
        (15, {"is_cut_off": True}, False),
        (20, {"is_cut_off": True}, True),
        (25, {"is_cut_off": True}, False),
    ],
)
def test_scan_at_a_constant_rate_that_was_cut_off_tells_only_if_all_is_there(
    n_entries: int, options: dict[str, bool], is_told: bool
) -> None:
    """The first trigger may have been missed; who says that only the end may be uneven says that it was not."""
    found = entries_of_run(np.arange(20), np.arange(0.0, 20.0), np.arange(float(n_entries)), 20, **options)
    told = np.where(np.arange(20) < n_entries, np.arange(20), NONE)
    assert (found == (told if is_told else UNSURE)).all()


@pytest.mark.parametrize("is_known", [True, False])
def test_last_frame_that_is_lost_and_that_nobody_tells_of_does_not_make_up_for_the_first_trigger(
    is_known: bool,
) -> None:
    """At a constant rate; two spurious triggers hide that the numbers differ."""
    times_s = np.sort(np.append(np.arange(1.0, 18.0), [2.4, 4.4]))
    stamps_s = np.arange(0.0, 18.0)
    n = 18 if is_known else 17
    found = entries_of_run(np.arange(17), stamps_s[:17], times_s, n, is_cut_off=not is_known)
    truth = np.searchsorted(times_s, stamps_s[:17])
    truth[0] = NONE
    assert ((found < 0) | (found == truth)).all()


@pytest.mark.parametrize("first", range(0, 300, 100))
def test_what_was_told_as_they_came_is_told_at_the_end_or_taken_back(first: int) -> None:
    """Entries and frames come in any order; a frame has an entry before the end, but for those that wait."""
    random = np.random.default_rng(first)
    n_told = n_frames = n_wrong = 0
    for scan in scans(first)[:100]:
        times = HardwareArray()
        matching = EntryMatching(times, 1.0)
        stamps_ns = np.round(scan.arrived_stamps_s * 1e9).astype(np.int64) + 10**18
        entry_times_s, n = scan.entry_times_s, 0
        for ordinal, stamp_ns in zip(scan.ordinals.tolist(), stamps_ns.tolist(), strict=True):
            matching.add_frame(ordinal, stamp_ns)
            n = min(len(entry_times_s), max(n, ordinal + int(random.integers(-3, 4))))
            times.update(entry_times_s[:n])
            matching.advance()
        times.update(entry_times_s)
        matching.advance()
        matching.has_all_frames()
        so_far = [matching.entry(ordinal) for ordinal in scan.ordinals.tolist()]
        times.end()
        matching.conclude(scan.n_exposed)
        found = [matching.entry(ordinal) for ordinal in scan.ordinals.tolist()]
        assert found == entries(scan).tolist()
        told = [entry is not None and entry >= 0 for entry in so_far]
        n_told, n_frames = n_told + sum(told), n_frames + len(told)
        n_wrong += sum(
            entry != true for entry, true, is_told in zip(so_far, scan.true_entries, told, strict=True) if is_told
        )
    assert n_told > 0.7 * n_frames
    assert n_wrong < 0.1 * n_frames, "what is told as they come is wrong where a trigger was missed at the start only"
