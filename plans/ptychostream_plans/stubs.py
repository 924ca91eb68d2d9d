"""Parts of plans that have to do with the streaming service, and with what a scan must not lose.

A plan within `stream_service_wrapper` leaves the service in an end state, however the plan ends: completed when it
succeeds, aborted when it raises or is aborted, stopped with every frame so far when it is stopped (`RE.stop`). An abort
that fails is logged; what made the plan fail stays its error.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import wraps
from typing import Any, ParamSpec

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.utils import FailedStatus, Msg, MsgGenerator, RequestStop

from ptychostream_devices.detector import DetectorError, PtychoDetector
from ptychostream_devices.status import JobStatus
from ptychostream_devices.stream_service_device import StreamServiceDevice
from ptychostream_plans.watched_waits import silence_cancelled_watches
from stream_service.settings.request import ScanRequest

logger = logging.getLogger(__name__)

ROWS_STREAM = "stream_rows"
ACCOUNT_STREAM = "stream_account"

CAPTURE_TIMEOUT_S = 5.0  # for NDFileHDF5 to write what is in its queue after the last frame
CAPTURE_POLL_S = 0.1

P = ParamSpec("P")


def arm_stream(service: StreamServiceDevice, request: ScanRequest) -> MsgGenerator[None]:
    """Arm the service and wait until it is ready; nothing may reset the camera's ArrayCounter from here on."""
    yield from bps.prepare(service, request, group="arm", wait=True)


def complete_stream(service: StreamServiceDevice) -> MsgGenerator[None]:
    """Wait until the service's run has ended, stopping it when nothing more comes."""
    yield from bps.complete(service, group="complete", wait=True)


def abort_stream(service: StreamServiceDevice) -> MsgGenerator[None]:
    """End the service's run now, keeping its rows so far; nothing happens if it has ended or never began."""

    async def outcome() -> BaseException | None:
        return await asyncio.to_thread(service.abort().exception, None)

    # an interruption while it waits leaves no answer; the abort itself has been sent all the same
    for abortion in (yield from bps.wait_for([outcome])) or ():
        if (error := abortion.result()) is not None:
            logger.error("the streaming service could not be aborted: %s", error)


def stream_service_wrapper(
    plan: MsgGenerator, service: StreamServiceDevice | None, request: ScanRequest
) -> MsgGenerator:
    """Arm the service, run the plan, complete the run; abort it if the plan raises. Returns what the plan returns.

    With no service it is the plan alone. The service must be staged: when the plan is stopped, unstaging it waits for
    the frames that are on their way.
    """
    if service is None:
        return (yield from plan)

    def armed() -> MsgGenerator:
        with closing(plan):  # a plan of bluesky's that is never begun, since arming failed, would warn of it
            yield from arm_stream(service, request)
            result = yield from guarded_wrapper(plan, service)
        yield from complete_stream(service)
        return result

    def end(error: Exception) -> MsgGenerator:
        yield from bps.null() if isinstance(error, RequestStop) else abort_stream(service)

    return (yield from bpp.contingency_wrapper(armed(), except_plan=end))


class RunGuard:
    """Device that a RunEngine triggers to hear of the end of a run that nobody asked for."""

    parent = None

    def __init__(self, service: StreamServiceDevice) -> None:
        self.name = f"{service.name}_guard"
        self._service = service
        self.status: JobStatus | None = None

    def trigger(self) -> JobStatus:
        """Done, or failed, when the run has ended (`StreamServiceDevice.guard`)."""
        self.status = self._service.guard()
        return self.status

    def dismiss(self) -> None:
        """Fail nothing from now on: what a plan does after it has ended, such as aborting, is not to be interrupted."""
        if self.status is not None:
            self.status.pardon()

    @property
    def failure(self) -> BaseException | None:
        """Reason why the run ended unasked; None if it did not."""
        return self.status.exception() if self.status is not None and self.status.done else None


def guarded_wrapper(plan: MsgGenerator, service: StreamServiceDevice) -> MsgGenerator:
    """The plan, which fails as soon as the service's run has ended unasked, even while it waits for a dead device."""
    silence_cancelled_watches()
    guard = RunGuard(service)

    def watching(message: Msg) -> Msg:
        if message.command != "wait":
            return message
        return message._replace(kwargs={**message.kwargs, "watch": (*message.kwargs.get("watch", ()), guard.name)})

    yield from bps.trigger(guard, group=guard.name)
    try:
        return (yield from bpp.msg_mutator(plan, watching))
    except (FailedStatus, asyncio.CancelledError) as error:
        if (failure := guard.failure) is not None:
            raise failure from error
        raise
    finally:
        guard.dismiss()


def stream_service_decorator(
    service: StreamServiceDevice | None, request: ScanRequest
) -> Callable[[Callable[P, MsgGenerator]], Callable[P, MsgGenerator]]:
    """`stream_service_wrapper` around every plan that the decorated function makes."""

    def decorate(make_plan: Callable[P, MsgGenerator]) -> Callable[P, MsgGenerator]:
        @wraps(make_plan)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> MsgGenerator:
            return (yield from stream_service_wrapper(make_plan(*args, **kwargs), service, request))

        return wrapped

    return decorate


def expose_and_read(detector: PtychoDetector, others: Sequence[Any]) -> MsgGenerator[None]:
    """Take the frames of one position and record one event of the detector and the others.

    After a pause or a suspension the exposure is not repeated, because its frames are in the files already; only
    its reading is.
    """
    exposed: Any = detector  # ophyd's annotations are looser than bluesky's protocols

    def exposure() -> MsgGenerator:  # of bluesky's own plans, one that is not begun warns; this may end before it
        yield from bps.trigger(exposed, group="exposure", wait=True)

    yield from bpp.rewindable_wrapper(exposure(), False)
    yield from bps.checkpoint()
    yield from bps.create("primary")
    for device in (exposed, *others):
        yield from bps.read(device)
    yield from bps.save()


def collect_stream(service: StreamServiceDevice) -> MsgGenerator[None]:
    """Within an open run, complete the service's run and document it: its rows, and the account of its frames."""
    yield from complete_stream(service)
    yield from bps.declare_stream(service, name=ROWS_STREAM, collect=True)
    yield from bps.collect(service, name=ROWS_STREAM, return_payload=False)
    yield from bps.create(ACCOUNT_STREAM)
    yield from bps.read(service)
    yield from bps.save()


def check_stream(service: StreamServiceDevice) -> MsgGenerator[None]:
    """Fail the plan if the service's run takes no frames: what would be exposed now could not be stored.

    A service that is being started again is waited for.
    """
    status = service.check()

    async def checked() -> None:
        await asyncio.to_thread(status.exception, None)

    yield from bps.null()
    while not status.done:  # an interruption ends a wait
        yield from bps.wait_for([checked])
    status.wait()


def check_raw_file(detector: PtychoDetector, n_frames: int) -> MsgGenerator[None]:
    """Fail the plan with `DetectorError` if the raw file did not get all frames; to be used before unstaging."""
    counter: Any = detector.hdf.num_captured
    waited_s = 0.0
    while (captured := (yield from bps.rd(counter))) < n_frames and not detector.failure():
        if waited_s >= CAPTURE_TIMEOUT_S:
            raise DetectorError(
                f"{detector.hdf.prefix} wrote {captured} of {n_frames} frames to the raw file and gave no error"
            )
        yield from bps.sleep(CAPTURE_POLL_S)
        waited_s += CAPTURE_POLL_S
    if sentence := detector.failure():
        raise DetectorError(sentence)
