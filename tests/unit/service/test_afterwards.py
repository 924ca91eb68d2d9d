"""A plan that takes more frames than it announced is told, although its run is complete."""

from __future__ import annotations

from dataclasses import replace

from stream_service.core.account import Account
from stream_service.service.afterwards import Afterwards
from stream_service.settings.service_status import NO_RUN

ENDED = replace(NO_RUN, run_number=1, message="9 of 9 frames stored in 9 rows", account=Account(9, 9, 0, 0, 0, 0, 0, 0))


class Counter:
    def __init__(self) -> None:
        self.latest: int | None = None
        self.is_gone = False
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


def test_frames_after_the_run_are_counted_and_told() -> None:
    counter = Counter()
    afterwards = Afterwards(lambda: counter, 60.0)
    assert afterwards.told(ENDED, 9, 0.0) is ENDED
    counter.latest = 9
    assert afterwards.told(ENDED, 9, 1.0) is ENDED
    counter.latest = 12
    told = afterwards.told(ENDED, 9, 2.0)
    assert told.account.unexpected == 3
    assert told.message == (
        "9 of 9 frames stored in 9 rows; the detector has exposed 3 frames since the run had all announced: "
        "they are in no file"
    )


def test_the_word_stays_when_the_watch_is_over_or_the_counter_was_reset() -> None:
    counter = Counter()
    afterwards = Afterwards(lambda: counter, 60.0)
    counter.latest = 12
    assert afterwards.told(ENDED, 9, 0.0).account.unexpected == 3
    counter.latest = 0
    assert afterwards.told(ENDED, 9, 59.0).account.unexpected == 3
    assert not counter.is_closed
    assert afterwards.told(ENDED, 9, 61.0).account.unexpected == 3
    assert counter.is_closed


def test_counter_of_an_ioc_that_went_away_is_let_go_so_that_the_next_arming_searches_anew() -> None:
    counter = Counter()
    afterwards = Afterwards(lambda: counter, 60.0)
    counter.latest = 12
    assert afterwards.told(ENDED, 9, 0.0).account.unexpected == 3
    counter.latest, counter.is_gone = None, True
    assert afterwards.told(ENDED, 9, 1.0).account.unexpected == 3
    assert counter.is_closed


def test_next_run_begins_anew_and_other_ends_are_not_watched() -> None:
    counters = [Counter(), Counter()]
    made = iter(counters)
    afterwards = Afterwards(lambda: next(made), 60.0)
    counters[0].latest = 12
    afterwards.told(ENDED, 9, 0.0)
    second = replace(ENDED, run_number=2)
    assert afterwards.told(second, None, 1.0) is second
    assert counters[0].is_closed
    assert afterwards.told(second, 21, 2.0) is second
    assert not counters[1].is_closed
