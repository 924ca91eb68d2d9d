"""A ledger that is made again of what was kept goes on as the one that was lost: the same places, the same account."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream_service.core.epoch import Epoch
from stream_service.core.frame import Frame, FrameId
from stream_service.core.frame_status import FrameStatus
from stream_service.core.intake import Intake
from stream_service.core.ledger import Ledger
from stream_service.core.lost_frames import LostFrames
from stream_service.core.receipt import Arrival

NO_PIXELS = np.zeros((1, 1), np.uint8)


@dataclass
class Counting:
    """A ledger, what goes into it, and what it said."""

    ledger: Ledger
    intake: Intake

    @classmethod
    def begin(cls, n_planned: int | None, first: int) -> Counting:
        ledger = Ledger(first, n_planned, last_before=(first - 1, 0))
        return cls(ledger, Intake(ledger))

    def play(self, frames: list[Frame]) -> dict[tuple[int, int], int]:
        """Places of new frames by id and stamp, which are all told apart by these."""
        entered = [one for came in frames for one in self.intake.admit(came)]
        new = [one for one in entered if one.receipt.arrival is Arrival.NEW]
        for one in new:
            self.ledger.mark([one.receipt.ordinal], FrameStatus.STORED)
        return {(one.frame.unique_id, one.frame.timestamp_ns): one.receipt.ordinal for one in new}

    def again(self, n_planned: int | None, first: int, places: dict[tuple[int, int], int]) -> Counting:
        """What is made of the epochs, of how far frames had come, and of rows with these frames."""
        other = Counting.begin(n_planned, first)
        ordinals = np.fromiter(places.values(), np.int64)
        epochs, _ = self.ledger.identities(ordinals)
        ids, stamps_ns = (np.array([key[n] for key in places], np.int64) for n in (0, 1))
        known = (
            self.ledger.epochs.since(),
            self.ledger.epochs.n_announced,
            (epochs, ids, stamps_ns),
            self.ledger.epochs.reached,
        )
        restored = other.ledger.restore(*known)
        assert restored.tolist() == ordinals.tolist()
        other.ledger.mark(ordinals, FrameStatus.STORED)
        other.intake = Intake(other.ledger)
        return other


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[int, list[Frame]]:
    """The first id, and frames of a detector that counts, some lost, some twice, with resets of its counter."""
    first = draw(st.sampled_from([0, 1, 1000]))
    frames: list[Frame] = []
    unique_id, stamp_ns = first, 10
    for _ in range(draw(st.integers(1, 30))):
        fate = draw(st.sampled_from(["comes"] * 8 + ["is lost", "comes twice", "follows a reset"]))
        if fate == "follows a reset":
            unique_id = 1
        if fate != "is lost":
            frames += [Frame(unique_id, stamp_ns, NO_PIXELS, {})] * (2 if fate == "comes twice" else 1)
        unique_id, stamp_ns = unique_id + 1, stamp_ns + 10
    return first, frames


@given(deliveries(), st.integers(0, 40), st.sampled_from([None, 20, 60]))
def test_what_is_restored_goes_on_as_the_whole(delivery, n_before, n_planned) -> None:
    first, frames = delivery
    whole = Counting.begin(n_planned, first)
    places = whole.play(frames[:n_before])
    while whole.intake.waiting is not None and n_before < len(frames):  # a frame that waits is not in a row yet
        places |= whole.play(frames[n_before : n_before + 1])
        n_before += 1
    if whole.intake.waiting is not None:
        return
    again = whole.again(n_planned, first, places)
    assert again.ledger.n_received == len(places)
    # the last frame comes once more, as PVA sends it to who subscribes
    rest = frames[max(0, n_before - 1) :]
    assert again.play(rest) == whole.play(rest)
    for counting in (whole, again):
        counting.intake.decide(None, is_last=True)
    accounts = [counting.ledger.close() for counting in (whole, again)]
    for name in ("expected", "stored", "lost", "not_exposed"):
        assert getattr(accounts[0], name) == getattr(accounts[1], name), name


@given(deliveries(), st.integers(0, 40), st.data())
def test_frames_that_came_and_are_in_no_row_move_none_that_come_after_them(delivery, n_before, data) -> None:
    first, frames = delivery
    whole = Counting.begin(60, first)
    places = whole.play(frames[:n_before])
    if whole.intake.waiting is not None:
        return
    in_rows = data.draw(st.sets(st.sampled_from(sorted(places)))) if places else set()
    again = whole.again(60, first, {key: places[key] for key in sorted(in_rows)})
    assert again.ledger.n_seen == whole.ledger.n_seen
    rest = frames[max(0, n_before - 1) :]
    went_on, expected = again.play(rest), whole.play(rest)
    assert went_on | places == expected | places, "what comes once more has its place of before"


def test_frames_that_were_displaced_stand_behind_all_others_again() -> None:
    """Two that were made just before a reset, of which one was found in the raw file, and is in two files now."""
    ledger = Ledger(1, 10)
    epochs = (*ledger.epochs.since(), Epoch(1, 3, 30, 1))
    of_epoch, ids = np.array([0, 0, 1, 1, 0, 0, 0], np.int32), np.array([1, 3, 1, 3, 4, 4, 9])
    stamps_ns = np.array([10, 30, 60, 80, 40, 40, 45])
    assert ledger.restore(epochs, 0, (of_epoch, ids, stamps_ns), None, 8).tolist() == [0, 2, 3, 5, 8, 8, 9]
    assert ledger.n_received == 6 and ledger.missing(8).tolist() == [1, 4, 6, 7]
    assert [column.tolist() for column in ledger.identities(np.array([8, 9]))] == [[0, 0], [4, 9]]
    (end,) = ledger.epochs.ends()
    assert ledger.displace(end, 4, 40, 8) is None, "it is there"
    ledger.reopen([8])  # its row cannot be read after all
    lost = LostFrames(ledger, ledger.missing(8), n_made=8)
    assert lost.find(4, 65) is None
    receipt = lost.find(4, 40)
    assert receipt is not None and (receipt.id, receipt.ordinal) == (FrameId(0, 4), 8)


def test_frames_without_a_place_are_left_out() -> None:
    ledger = Ledger(1, 10)
    frames = np.array([0, 1, 0, 0, -1], np.int32), np.array([3, 3, 11, 0, 3], np.int64), np.arange(5)
    assert ledger.restore(ledger.epochs.since(), 0, frames).tolist() == [2, -1, -1, -1, -1]
    assert ledger.n_received == 1 and ledger.n_seen == 3
