"""The suspender on rejected rows: it waits, tries again, and does not wait for rows that only a scan can bring."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import bluesky.plan_stubs as bps
import pytest
from bluesky import RunEngine
from limits import HANG_S
from ophyd import Signal

from ptychostream_plans import QualitySuspender

BRIEF_S = 0.2
LONG_S = 2 * HANG_S


@pytest.fixture
def share() -> Signal:
    return Signal(name="rejected_share", value=0.0)


@pytest.fixture
def engine() -> Iterator[RunEngine]:
    yield RunEngine({}, context_managers=[])


def states_during(engine: RunEngine, share: Signal, shares: list[float], suspender: QualitySuspender) -> list[bool]:
    """Run a plan that sees one share after the other at its points; whether it was suspended after each."""
    suspended: list[bool] = []
    suspender.install(engine)

    def plan() -> Any:
        for value in shares:
            share.put(value)
            suspended.append(suspender.tripped)
            yield from bps.checkpoint()
            yield from bps.sleep(0.02)

    engine(plan())
    suspender.remove()
    return suspended


def test_a_few_rejected_rows_suspend_nothing(engine: RunEngine, share: Signal) -> None:
    assert states_during(engine, share, [0.05, 0.19, 0.1], QualitySuspender(share, retry_s=LONG_S)) == [False] * 3


def test_it_tries_again_by_itself_and_trips_again_only_when_it_gets_worse(engine: RunEngine, share: Signal) -> None:
    shares = [0.25, 0.25, 0.24, 0.25, 0.1, 0.2]
    suspended = states_during(engine, share, shares, QualitySuspender(share, retry_s=BRIEF_S))
    assert suspended == [True, False, False, True, False, True]


def test_it_goes_on_at_once_when_rows_are_good_again(engine: RunEngine, share: Signal) -> None:
    suspender = QualitySuspender(share, retry_s=LONG_S)
    better = threading.Timer(BRIEF_S, share.put, (0.0,))
    better.start()
    assert states_during(engine, share, [0.5], suspender) == [True]
    assert not suspender.tripped


@pytest.mark.parametrize("most", [0.0, -0.1, 20])
def test_a_share_that_is_none_is_refused(share: Signal, most: float) -> None:
    with pytest.raises(ValueError, match="a share of the latest rows"):
        QualitySuspender(share, most=most)
