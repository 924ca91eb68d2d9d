"""Faults of single exposures: which frames have them, how large they are, and that no chance but the seed decides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from iocsim.physics.drifts import TOP_UP_FRAMES, Drifts
from iocsim.physics.frame_faults import (
    ALL_KINDS,
    MAGNITUDES,
    FaultKind,
    FrameFaults,
    fault_ids_text,
    faults_among,
    parse_fault_ids,
    parse_kinds,
)
from iocsim.unique_ids import FaultError


def test_without_faults_every_frame_is_sound():
    assert FrameFaults().are_none
    assert {FrameFaults().of(unique_id) for unique_id in range(500)} == {None}


def test_share_is_kept_and_every_kind_comes_as_often():
    faults = FrameFaults(seed=3, share=0.1)
    found = [fault for unique_id in range(20_000) if (fault := faults.of(unique_id)) is not None]
    assert len(found) == pytest.approx(2000, rel=0.1)
    counts = [sum(fault.kind is kind for fault in found) for kind in ALL_KINDS]
    assert min(counts) > 0.7 * 2000 / len(ALL_KINDS)
    for fault in found:
        low, high = MAGNITUDES[fault.kind]
        assert low <= fault.magnitude <= high


def test_same_seed_gives_the_same_faults_whatever_was_asked_before():
    once, again, other = FrameFaults(7, 0.1), FrameFaults(7, 0.1), FrameFaults(8, 0.1)
    backwards = [again.of(unique_id) for unique_id in reversed(range(300))][::-1]
    assert [once.of(unique_id) for unique_id in range(300)] == backwards
    assert [other.of(unique_id) for unique_id in range(300)] != backwards


def test_listed_ids_have_the_fault_that_is_listed_and_others_none():
    faults = FrameFaults(ids={FaultKind.BEAM_DUMP: frozenset({3, 4}), FaultKind.REPEATED: frozenset({9})})
    assert not faults.are_none
    hit = {unique_id: fault.kind for unique_id in range(20) if (fault := faults.of(unique_id))}
    assert hit == {3: "beam_dump", 4: "beam_dump", 9: "repeated"}


def test_only_kinds_that_are_asked_for_come():
    faults = FrameFaults(share=0.5, kinds=(FaultKind.VIBRATION,))
    assert {fault.kind for unique_id in range(200) if (fault := faults.of(unique_id))} == {FaultKind.VIBRATION}
    assert FrameFaults(share=0.5, kinds=()).are_none


@pytest.mark.parametrize(("n_frames", "share"), [(600, 0.02), (200, 0.05), (50, 0.0), (3, 1.0)])
def test_faults_among_frames_are_as_many_as_the_share_says_and_never_the_first(n_frames, share):
    among = faults_among(n_frames, share, ALL_KINDS, seed=2)
    ids = [unique_id for kind in among.values() for unique_id in kind]
    assert len(ids) == len(set(ids)) == min(round(share * n_frames), n_frames - 1)
    assert not ids or (min(ids) >= 2 and max(ids) <= n_frames)
    sizes = [len(kind) for kind in among.values()]
    assert max(sizes) - min(sizes) <= 1


def test_ids_of_kinds_are_read_as_they_are_written():
    listed = parse_fault_ids("beam_dump:100-102, 130,vibration:7,beam_dump:9")
    assert listed == {FaultKind.BEAM_DUMP: {9, 100, 101, 102, 130}, FaultKind.VIBRATION: {7}}
    assert parse_fault_ids(fault_ids_text(listed)) == listed
    assert parse_fault_ids("") == {}
    assert fault_ids_text({}) == ""


def test_kinds_are_read_from_names_and_none_is_all():
    assert parse_kinds("beam_dump, vibration") == (FaultKind.BEAM_DUMP, FaultKind.VIBRATION)
    assert parse_kinds("") == ALL_KINDS


@pytest.mark.parametrize(
    ("text", "named"), [("100-102", "KIND:IDS"), ("dump:3", "'dump' is no kind"), ("beam_dump:x", "'x' is no uniqueId")]
)
def test_ids_that_cannot_be_read_are_named(text, named):
    with pytest.raises(FaultError, match=named):
        parse_fault_ids(text)


def test_a_kind_that_does_not_exist_is_named_with_those_that_do():
    with pytest.raises(FaultError, match="'earthquake' is no kind of fault: use beam_dump"):
        parse_kinds("earthquake")


def test_healthy_drifts_are_slow_and_within_their_amplitudes():
    drifts = Drifts.healthy(seed=4)
    deviations = [drifts.at(unique_id) for unique_id in range(3000)]
    flux = np.array([deviation.flux for deviation in deviations])
    pointing = np.array([deviation.pointing_yx_px for deviation in deviations])
    dark = np.array([deviation.dark_ADU for deviation in deviations])
    assert np.ptp(flux) > 0.01 and flux.min() > 0.96 * 0.99 and flux.max() < 1.031
    assert np.ptp(pointing) > 0.5 and np.abs(pointing).max() <= 1.0
    assert np.ptp(dark) > 0.5 and np.abs(dark).max() <= 2.0
    assert np.abs(np.diff(pointing, axis=0)).max() < 0.02
    assert {deviation.blocked + deviation.vibration_px + deviation.overexposure for deviation in deviations} == {0.0}
    assert deviations == [Drifts.healthy(seed=4).at(unique_id) for unique_id in range(3000)]


def test_the_ring_is_topped_up_in_steps_of_one_percent():
    flux = np.array([Drifts(top_up=0.01).at(unique_id).flux for unique_id in range(1000)])
    steps = np.flatnonzero(np.diff(flux) > 0.005)
    assert np.diff(flux)[steps] == pytest.approx(0.01, rel=0.02)
    assert set(np.diff(steps)) == {TOP_UP_FRAMES}
    assert (np.delete(np.diff(flux), steps) < 0).all()


def test_magnitudes_are_those_of_the_documentation():
    lines = (Path(__file__).parents[3] / "docs" / "reference" / "iocsim.md").read_text(encoding="utf-8").splitlines()
    documented = {line.split("`")[1]: line.split("|")[2].replace("−", "-") for line in lines if line.startswith("| `")}
    for kind, (low, high) in MAGNITUDES.items():
        assert f"{low:g}" in documented[kind] and f"{high:g}" in documented[kind], kind
