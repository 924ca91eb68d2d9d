"""The harness for messages over ZMQ finds what it is there to find; the dialects' own tests give it theirs."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from zmq_mutations import mutations
from zmq_survival import assert_survives

from stream_service.core.frame import Frame
from stream_service.core.stream import Begin, StreamEvent
from stream_service.errors import SourceError
from stream_service.sources.live.zmq.dialect import Received

GOOD = [[json.dumps({"id": n, "scale": 1.5}).encode(), bytes(range(n, n + 12))] for n in (1, 2)]


class Toy:
    """A dialect of which a test breaks one promise."""

    name = "Toy"

    def __init__(self, harm: Callable[[Toy, int], object] = lambda toy, number: None) -> None:
        self.harm = harm
        self.n_bytes = 12

    def decode(self, message: Received) -> StreamEvent | None:
        try:
            header, pixels = message.parts
            number = json.loads(bytes(header[:1000]))["id"]
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            raise SourceError("no frame") from error
        if type(number) is not int or not 0 <= number < 2**31 or pixels.nbytes != 12:
            raise SourceError("no frame")
        if number not in (1, 2):
            self.harm(self, number)
        return Frame(number, 0, np.frombuffer(pixels, np.uint8)[: self.n_bytes].reshape(-1, 2), {})

    def begin(self) -> Begin:
        return Begin()


def test_a_sound_dialect_survives_and_is_told_of_events_and_refusals():
    told = []
    counts = assert_survives(Toy, GOOD, 1, 300, tell=lambda counts: told.append(sum(counts.values())))
    assert counts["events"] > 30 and counts["refused"] > 30 and counts["nothing"] == 0
    assert told == list(range(1, 301))


def _raise(toy: Toy, number: int) -> None:
    raise KeyError(number)


def _allocate(toy: Toy, number: int) -> None:
    np.zeros(1 << 20)


def _forget(toy: Toy, number: int) -> None:
    toy.n_bytes = 10


def _say_nothing(toy: Toy, number: int) -> None:
    raise SourceError("")


@pytest.mark.parametrize("harm", [_raise, _allocate, _forget, _say_nothing])
def test_a_dialect_that_breaks_its_promise_does_not(harm):
    with pytest.raises((AssertionError, KeyError)) as failure:
        assert_survives(lambda: Toy(harm), GOOD, 1, 300)
    assert "of seed 1: 2 parts" in failure.value.__notes__[0]


def test_messages_with_defects_are_the_same_every_time_and_nearly_all_differ():
    first, second = (list(mutations(GOOD, 5, 300)) for _ in range(2))
    assert first == second
    assert len({tuple(message) for message in first}) > 200
