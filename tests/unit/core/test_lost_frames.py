"""Frames that are fetched, beside a stream that may bring them all the same."""

from __future__ import annotations

import numpy as np

from stream_service.core.ledger import Arrival, FrameStatus, Ledger
from stream_service.core.lost_frames import LostFrames


def lossy() -> tuple[Ledger, LostFrames]:
    """Of five frames, the second and the fourth did not come."""
    ledger = Ledger(1, 5)
    for unique_id in (1, 3, 5):
        ledger.mark([ledger.receive(unique_id, 10 * unique_id).ordinal], FrameStatus.STORED)
    missing = ledger.missing()
    ledger.reopen(missing)
    return ledger, LostFrames(ledger, missing)


def test_frame_that_comes_by_itself_while_it_is_fetched_is_taken_once() -> None:
    ledger, lost = lossy()
    assert ledger.receive(4, 40).arrival is Arrival.NEW
    assert lost.find(4, 40) is None
    found = lost.find(2, 20)
    assert found is not None and found.ordinal == 1
    assert (ledger.n_received, ledger.all_in) == (5, True)


def test_frame_that_comes_after_it_was_fetched_is_a_duplicate() -> None:
    ledger, lost = lossy()
    assert lost.find(4, 40) is not None
    assert ledger.receive(4, 40).arrival is Arrival.DUPLICATE
    assert ledger.n_received == 4


def test_frame_of_another_time_has_no_place() -> None:
    _, lost = lossy()
    assert lost.find(2, 5) is None and lost.find(2, 35) is None
    assert lost.unique_ids.tolist() == np.array([2, 4]).tolist()
