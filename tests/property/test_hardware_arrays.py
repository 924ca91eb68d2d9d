"""Arrays that hardware captured: a frame has the entry of its number in the run, and never another one."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_service.core.exposure import Exposure, Flag
from stream_service.core.frame import Frame, FrameId, Window
from stream_service.core.ledger import Ledger
from stream_service.core.pairing.hardware_array import Held
from stream_service.core.pairing.pairer import Pairer
from stream_service.core.pairing.readback import Entries
from stream_service.core.pairing.rule import ChannelRule, Comes, How

PIXELS = np.zeros((1, 1), np.uint16)
MS = 1_000_000


def rules(skip_first: int = 0, *, comes: Comes = Comes.GROWING) -> tuple[ChannelRule, ...]:
    return tuple(
        ChannelRule(axis, How.INDEX, scale=1e-6, comes=comes, skip_first=skip_first, tolerance=3e-9) for axis in "xy"
    )


def entry(axis: str, n: int) -> float:
    return n + (0.5 if axis == "y" else 0.0)


def array(axis: str, n: int, **more: bool) -> Entries:
    return Entries(axis, np.array([entry(axis, k) for k in range(n)]), **more)


def frame(pairer: Pairer, ordinal: int, epoch: int = 0, unique_id: int | None = None) -> None:
    window = Window(ordinal * 10 * MS, ordinal * 10 * MS + 5 * MS)
    unique_id = ordinal if unique_id is None else unique_id
    made = Frame(unique_id, window.end_ns, PIXELS, {})
    pairer.add_frame(made, FrameId(epoch, unique_id), ordinal, 0.005, window)


def told(exposures: list[Exposure]) -> list[tuple[int, list[str], Flag]]:
    return sorted((e.ordinal, [repr(value) for value in e.values.values()], e.flags) for e in exposures)


@given(st.data(), st.integers(1, 12), st.integers(0, 15), st.integers(0, 2))
def test_any_interleaving_of_frames_and_growing_arrays_gives_the_same(data, n_frames, n_entries, skip_first):
    lost = data.draw(st.sets(st.integers(0, n_frames - 1)))
    ordinals = [n for n in range(n_frames) if n not in lost]
    grows = {axis: [*sorted(data.draw(st.sets(st.integers(0, n_entries)))), n_entries] for axis in "xy"}
    messages = [("frame", n) for n in ordinals] + [(axis, n) for axis in "xy" for n in grows[axis]]
    turns = [kind for kind, _ in messages]
    random.Random(data.draw(st.integers(0, 2**32))).shuffle(turns)
    left = {kind: iter([n for other, n in messages if other == kind]) for kind in ("frame", *"xy")}
    pairer = Pairer(rules(skip_first))
    found: list[Exposure] = []
    for kind in turns:
        n = next(left[kind])
        if kind == "frame":
            frame(pairer, n)
        else:
            pairer.arrays.update(array(kind, n))
        found += pairer.take()
    known = [n for n in ordinals if n + skip_first < n_entries]
    expected = [(n, [repr(entry(axis, n + skip_first) * 1e-6) for axis in "xy"], Flag.NONE) for n in known]
    assert told(found) == expected
    for axis in "xy":
        pairer.end(axis, 0)
    lacking = pairer.take()
    assert told(lacking) == [(n, ["nan", "nan"], Flag.MISSING) for n in ordinals if n not in known]
    assert len(pairer) == 0
    for exposure in lacking:
        assert exposure.position_flags & Flag.MISSING and math.isnan(exposure.uncertainty_m)


def test_row_is_the_frame_since_the_start_of_the_run_across_epochs():
    """The detector begins to count anew after 3 frames, of which one is lost: the array goes on."""
    ledger, pairer = Ledger(1, 6), Pairer(rules())
    for unique_id, stamp in ((1, 10), (3, 30), (1, 40), (2, 50), (3, 60)):
        receipt = ledger.receive(unique_id, stamp * MS)
        frame(pairer, receipt.ordinal, receipt.id.epoch, unique_id)
    for axis in "xy":
        pairer.arrays.update(array(axis, 6))
    assert [(e.id, e.values["x"]) for e in pairer.take()] == [
        (FrameId(0, 1), 0.0),
        (FrameId(0, 3), pytest.approx(2e-6)),
        (FrameId(1, 1), pytest.approx(3e-6)),
        (FrameId(1, 2), pytest.approx(4e-6)),
        (FrameId(1, 3), pytest.approx(5e-6)),
    ]


def test_entry_is_as_good_as_hardware_and_one_that_is_no_number_is_flagged():
    pairer = Pairer(rules())
    frame(pairer, 0)
    frame(pairer, 1)
    pairer.arrays.update(Entries("x", np.array([1.0, math.nan, 3.0])))
    pairer.arrays.update(array("y", 2))
    good, bad = pairer.take()
    assert (good.flags, good.uncertainty_m) == (Flag.NONE, 0.0) and math.isnan(good.bracket_s)
    assert bad.position_flags == Flag.INVALID and math.isnan(bad.uncertainty_m)


def test_what_the_array_held_before_the_run_is_of_no_frame():
    pairer = Pairer(rules())
    frame(pairer, 0)
    for axis in "xy":
        pairer.arrays.update(array(axis, 3, is_from_before=True))
        pairer.arrays.update(array(axis, 3))
    assert pairer.take() == []
    for axis in "xy":
        pairer.arrays.update(array(axis, 1))
    assert [e.values["x"] for e in pairer.take()] == [0.0]


def test_array_that_was_not_emptied_before_the_run_tells_nothing():
    pairer = Pairer(rules())
    for axis in "xy":
        pairer.arrays.update(array(axis, 3, is_from_before=True))
        pairer.arrays.update(array(axis, 5))
    frame(pairer, 0)
    assert pairer.take() == []
    assert pairer.give_up()[0].flags == Flag.MISSING
    assert all("not emptied" in note for note in pairer.arrays.notes()[::2])


def test_array_that_contradicts_what_it_told_flags_from_there_on():
    pairer = Pairer(rules())
    for n in range(4):
        frame(pairer, n)
    pairer.arrays.update(array("y", 4))
    pairer.arrays.update(array("x", 2))
    assert [e.flags for e in pairer.take()] == [Flag.NONE, Flag.NONE]
    pairer.arrays.update(Entries("x", np.array([0.0, 9.0, 8.0, 7.0])))
    assert [e.flags for e in pairer.take()] == [Flag.INVALID, Flag.INVALID]
    assert any("differs from entry 2 on" in note for note in pairer.arrays.notes())


def test_array_that_is_emptied_at_the_end_keeps_what_it_told():
    pairer = Pairer(rules())
    for axis in "xy":
        pairer.arrays.update(array(axis, 2))
        pairer.arrays.update(array(axis, 0))
    frame(pairer, 1)
    assert [e.values["y"] for e in pairer.take()] == [pytest.approx(1.5e-6)]
    assert not any("replaced" in note for note in pairer.arrays.notes())


def test_more_and_fewer_entries_than_frames_are_accounted():
    pairer = Pairer(rules(skip_first=1))
    for n in range(4):
        frame(pairer, n)
    pairer.arrays.update(array("x", 6))
    pairer.arrays.update(array("y", 4))
    assert len(pairer.take()) == 3 and len(pairer.give_up()) == 1
    x, y = pairer.arrays.notes()
    assert x == (
        "the array of x has 6 entries, of which the first 1 count for none: 4 belong to frames, 1 to none that came, "
        "and 0 frames have none"
    )
    assert y.endswith("3 belong to frames, 0 to none that came, and 1 frame has none (rows flagged)")


def test_array_with_as_many_entries_as_frames_is_not_spoken_of():
    pairer = Pairer(rules())
    frame(pairer, 0)
    for axis in "xy":
        pairer.arrays.update(array(axis, 1))
    assert len(pairer.take()) == 1 and pairer.arrays.notes() == []


def test_frames_whose_entries_came_late_are_known_once():
    pairer = Pairer(rules())
    for n in range(3):
        frame(pairer, n)
    assert len(pairer.give_up()) == 3 and pairer.n_given_up["x"] == 3 and pairer.arrays.n_awaited == 3
    pairer.arrays.update(array("x", 3))
    assert pairer.known_late() == []
    pairer.arrays.update(array("y", 2))
    late = pairer.known_late()
    assert [(e.ordinal, e.values, e.flags) for e in late] == [
        (n, {"x": pytest.approx(1e-6 * n), "y": pytest.approx(1e-6 * (n + 0.5))}, Flag.NONE) for n in (0, 1)
    ]
    assert pairer.known_late() == [] and pairer.arrays.n_awaited == 1
    (note,) = pairer.arrays.notes()
    assert note.endswith("2 belong to frames, 0 to none that came, and 1 frame has none (rows flagged)")


@pytest.mark.parametrize("n_at_restart", [2, 0, 5])
def test_run_that_goes_on_tells_its_entries_from_those_before_it(n_at_restart):
    before = Entries("x", np.array([7.0, 8.0]), is_from_before=True)
    first, second = Pairer(rules()), Pairer(rules())
    first.arrays.update(before)
    second.arrays.go_on(first.arrays.held_before)
    second.arrays.update(before if n_at_restart == 2 else array("x", n_at_restart, is_from_before=True))
    n_known = 0 if n_at_restart == 2 else n_at_restart
    assert second.arrays["x"].n_entries == n_known
    second.arrays.update(array("x", 6))
    assert second.arrays["x"].n_entries == 6 and second.arrays.held_before["x"] == Held.of(before.values)
    assert not any("not emptied" in note for note in second.arrays.notes())


def test_no_frame_waits_for_an_array_that_does_not_come_in_the_run():
    pairer = Pairer(rules(comes=Comes.NEVER))
    frame(pairer, 0)
    assert [e.flags for e in pairer.take()] == [Flag.MISSING]


def padded(axis: str, n: int, length: int) -> Entries:
    """An array of fixed length, with so many entries and room for more."""
    return Entries(axis, np.array([entry(axis, k) + 1.0 for k in range(n)] + [0.0] * (length - n)))


@given(st.data(), st.integers(1, 8), st.integers(0, 3))
def test_room_that_is_not_filled_yet_is_no_position(data, n_frames, n_more):
    length = n_frames + n_more
    grows = {axis: [0, *sorted(data.draw(st.sets(st.integers(1, n_frames)))), n_frames] for axis in "xy"}
    turns = [*"x" * len(grows["x"]), *"y" * len(grows["y"]), *["frame"] * n_frames]
    random.Random(data.draw(st.integers(0, 2**32))).shuffle(turns)
    left = {axis: iter(grows[axis]) for axis in "xy"} | {"frame": iter(range(n_frames))}
    pairer, found = Pairer(rules()), []
    for kind in turns:
        n = next(left[kind])
        if kind == "frame":
            frame(pairer, n)
        elif length > 1:
            pairer.arrays.update(padded(kind, n, length))
        found += pairer.take()
    pairer.arrays.end_all()
    found += pairer.take()
    expected = [(n, [repr((entry(axis, n) + 1.0) * 1e-6) for axis in "xy"], Flag.NONE) for n in range(n_frames)]
    assert told(found) == (expected if length > 1 else [(0, ["nan", "nan"], Flag.MISSING)])
    notes = " ".join(pairer.arrays.notes())
    assert ("its length does not change" in notes) == (n_more > 0 and length > 1)


def test_array_of_a_scan_of_another_length_before_does_not_tell_that_room_is_filled():
    pairer = Pairer(rules())
    frame(pairer, 2)
    for axis in "xy":
        for _ in range(2):
            pairer.arrays.update(array(axis, 5, is_from_before=True))
        pairer.arrays.update(array(axis, 5))
        pairer.arrays.update(padded(axis, 2, 8))
    assert pairer.take() == []
    for axis in "xy":
        pairer.arrays.update(padded(axis, 3, 8))
    assert [exposure.values["x"] for exposure in pairer.take()] == [pytest.approx(3e-6)]


@pytest.mark.parametrize("kind", ["grows", "is in a file", "beside another", "alone"])
def test_axis_that_rests_at_zero_has_its_positions(kind):
    pairer = Pairer(rules())
    for n in range(3):
        frame(pairer, n)
    if kind == "grows":
        pairer.arrays.update(Entries("x", np.zeros(2)))
    pairer.arrays.update(Entries("x", np.zeros(3), is_exact=kind == "is in a file"))
    pairer.arrays.update(Entries("y", np.zeros(3)) if kind == "alone" else array("y", 3))
    at_once = pairer.take()
    assert [exposure.values["x"] for exposure in at_once] == [0.0] * 3 * (kind in ("grows", "is in a file"))
    pairer.arrays.end_all()
    flag = Flag.MISSING if kind == "alone" else Flag.NONE
    assert [exposure.flags for exposure in at_once + pairer.take()] == [flag] * 3


def test_array_that_is_emptied_and_grows_again_is_that_of_another_scan():
    """Both scans repeat the same path: nothing but the length tells."""
    pairer = Pairer(rules())
    for axis in "xy":
        for n in (2, 0, 2, 4):
            pairer.arrays.update(array(axis, n))
    for n in range(4):
        frame(pairer, n)
    assert [e.flags for e in pairer.take()] == [Flag.NONE, Flag.NONE, Flag.INVALID, Flag.INVALID]
