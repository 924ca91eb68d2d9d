"""A plan that fails before a part of it has begun says what failed, and nothing of the part."""

from __future__ import annotations

import warnings

import bluesky.plan_stubs as bps
import pytest
from memory_pvs import REQUEST, MemoryPVs

from ptychostream_devices.stream_service_device import StreamServiceDevice
from ptychostream_plans.stubs import expose_and_read, stream_service_wrapper


class FailedError(Exception):
    """What an IOC, or the user, does to a plan."""


class Detector:
    name = "detector"
    parent = None


def failed_at(plan, n_messages: int) -> None:
    """Run a plan up to a message, which fails."""
    plan = iter(plan)
    next(plan)
    for _ in range(n_messages - 1):
        plan.send(None)
    with pytest.raises(FailedError):
        plan.throw(FailedError())
        while True:  # what it does to end in order
            plan.send(None)


@pytest.mark.parametrize("n_messages", [1, 2])
def test_exposure_that_was_not_begun_warns_of_nothing(n_messages):
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        failed_at(expose_and_read(Detector(), []), n_messages)
    assert not warned


def test_plan_of_bluesky_within_an_arming_that_fails_warns_of_nothing():
    service = StreamServiceDevice(name="stream", pvs=MemoryPVs())
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        failed_at(stream_service_wrapper(bps.sleep(1.0), service, REQUEST), 1)
    assert not warned
