"""Series of a detector that is armed in vain, or whose end is told twice: the run is that of the frames."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from stream_service.core.frame import Frame
from stream_service.core.stream import Begin, Series, SeriesEnd, StreamEvent
from stream_service.run.frame_intake import FrameIntake, RunNotes

BEFORE = 100
"""What the detector's counter showed when the run was armed."""


class Beamline:
    """A source whose messages are events, and a counter of the detector."""

    def __init__(self, n_planned: int) -> None:
        self.n_made = 0
        sources: Any = SimpleNamespace(
            frames=SimpleNamespace(decode=lambda event: event),
            detector=SimpleNamespace(counter=lambda: BEFORE + self.n_made),
        )
        begin = Begin(first_unique_id=1, epoch=1, counter_before=BEFORE)
        self.intake = FrameIntake(sources, begin, RunNotes(), n_planned)

    def take(self, *events: StreamEvent) -> list[int]:
        """The places of the frames among them."""
        return [one.receipt.ordinal for event in events for one in self.intake.take(event, lambda _: "")]


def frames(epoch: int, n: int) -> list[Frame]:
    return [
        Frame(unique_id, 10 * epoch + unique_id, np.zeros((2, 2)), {}, epoch=epoch) for unique_id in range(1, n + 1)
    ]


@pytest.mark.parametrize("end", [[SeriesEnd(1)], []], ids=["ended", "end lost"])
def test_series_given_up_before_its_first_frame_takes_no_places_of_the_next(end: list[StreamEvent]) -> None:
    beamline = Beamline(4)
    beamline.take(Series(1, 4), *end)
    assert not beamline.intake.is_past_plan
    beamline.take(Series(2, 4))
    beamline.n_made = 4
    assert beamline.take(*frames(2, 4), SeriesEnd(2)) == [0, 1, 2, 3]
    assert beamline.intake.is_past_plan and beamline.intake.ledger.close().expected == 4


def test_series_of_which_all_frames_were_made_and_lost_is_that_of_the_run() -> None:
    beamline = Beamline(4)
    beamline.n_made = 4
    assert beamline.take(Series(1, 4), SeriesEnd(1), Series(2, 4), *frames(2, 4)) == []
    assert beamline.intake.is_past_plan and beamline.intake.ledger.close(4).lost == 4


def test_end_of_an_earlier_series_that_is_told_twice_ends_nothing() -> None:
    """By a second endpoint, after the last series was announced."""
    beamline = Beamline(2)
    assert beamline.take(Series(1, 1), *frames(1, 1), SeriesEnd(1), Series(2, 1), SeriesEnd(1)) == [0]
    assert not beamline.intake.is_past_plan
    assert beamline.take(*frames(2, 1), SeriesEnd(2)) == [1] and beamline.intake.is_past_plan
