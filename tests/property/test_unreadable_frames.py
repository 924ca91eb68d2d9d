"""Frames of a recording whose pixels cannot be read: they are lost, and change nothing for the others."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream_service.core.frame import Frame, FrameId, UnreadableFrame
from stream_service.core.frame_status import FrameStatus
from stream_service.core.stream import Begin
from stream_service.run.frame_intake import FrameIntake, RunNotes

PIXELS = np.zeros((1, 1), np.uint16)
SOURCES: Any = SimpleNamespace(frames=SimpleNamespace(decode=lambda frame: frame))
steps = st.sampled_from([1, 1, 1, 1, 2, 150, -3, 0, -(10**6)])
"""From one id to the next: gaps, some longer than what one frame proves, late frames, resets."""


def enter(frames: list[Frame], notes: RunNotes) -> tuple[FrameIntake, dict[int, tuple[FrameId, int]]]:
    """The identity and place of each frame that is stored, by its place in the recording."""
    intake = FrameIntake(SOURCES, Begin(1), notes, None)
    entered = [one for frame in frames for one in intake.take(frame, lambda _: "")] + intake.settle()
    places = {id(frame): place for place, frame in enumerate(frames)}
    return intake, {places[id(one.frame)]: (one.receipt.id, one.receipt.ordinal) for one in entered}


@given(st.lists(st.tuples(steps, st.sampled_from([1, 1, 1, 0, -2]), st.booleans()), max_size=30))
def test_frames_that_cannot_be_read_are_lost_and_move_no_others(steps: list[tuple[int, int, bool]]) -> None:
    frames: list[Frame] = []
    unique_id, stamp_ns = 0, 1000
    for step, later_ns, _ in steps:
        unique_id, stamp_ns = max(0, unique_id + step), stamp_ns + later_ns
        frames.append(Frame(unique_id, stamp_ns, PIXELS, {}))
    is_bad = [bad for *_, bad in steps]
    some_bad = [
        UnreadableFrame(frame.unique_id, frame.timestamp_ns, PIXELS, {}, reason="damaged") if bad else frame
        for frame, bad in zip(frames, is_bad, strict=True)
    ]
    _, all_stored = enter(frames, RunNotes())
    notes = RunNotes()
    intake, stored = enter(some_bad, notes)
    kept = {place: found for place, found in all_stored.items() if not is_bad[place]}
    assert kept.items() <= stored.items()
    copies = {stored[place] for place in stored.keys() - kept.keys()}  # of frames that cannot be read
    lost = {all_stored[place] for place in all_stored.keys() - kept.keys()} - copies
    assert copies <= {all_stored[place] for place in all_stored.keys() - kept.keys()}
    ledger = intake.ledger
    assert ledger.n_received == len(stored)
    assert notes.n_refused >= len(lost)
    ledger.mark([ordinal for _, ordinal in stored.values()], FrameStatus.STORED)
    account = ledger.close()
    assert account.stored == len(stored) and account.stored + account.lost == account.expected
    epochs, ids, status, n_received = ledger.columns()
    for frame_id, ordinal in lost:
        assert (epochs[ordinal], ids[ordinal]) == frame_id
        assert status[ordinal] == FrameStatus.LOST and n_received[ordinal] == 0
