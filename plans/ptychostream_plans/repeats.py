"""Acting on the verdicts of a running scan: waiting for them, and exposing again what no good row covers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import bluesky.plan_stubs as bps
from bluesky.utils import MsgGenerator

from ptychostream_devices.run_verdicts import RunVerdicts
from ptychostream_devices.status import JobStatus
from ptychostream_devices.stream_service_device import StreamServiceDevice
from stream_service.text.counted import counted

logger = logging.getLogger(__name__)

VERDICTS_TIMEOUT_S = 20.0
"""For the verdicts on the last rows: some tenths of a second on a service that keeps up."""


class _Job:
    """What a RunEngine triggers to wait for a job of the service."""

    parent = None

    def __init__(self, name: str, job: Callable[[], JobStatus]) -> None:
        self.name = name
        self._job = job

    def trigger(self) -> JobStatus:
        """Begin it."""
        return self._job()


def _wait_for(name: str, job: Callable[[], JobStatus]) -> MsgGenerator[None]:
    triggered: Any = _Job(name, job)
    yield from bps.trigger(triggered, group=name, wait=True)


def wait_for_verdicts(
    service: StreamServiceDevice, n_positions: int, timeout_s: float = VERDICTS_TIMEOUT_S
) -> MsgGenerator[RunVerdicts]:
    """Wait until the rows of so many positions, repeats included, have been judged with all others; how they stand.

    After `timeout_s` it is given back as it is: a row whose frame was lost does not come.
    """
    yield from _wait_for(f"{service.name}_verdicts", lambda: service.wait_for_verdicts(n_positions, timeout_s))
    return service.verdicts


def announce_repeats(service: StreamServiceDevice, positions: Sequence[int]) -> MsgGenerator[None]:
    """Tell the service which planned positions are exposed again: all of the run, in order, before they are."""
    yield from _wait_for(f"{service.name}_repeats", lambda: service.announce_repeats(positions))


def repeat_rejected(
    service: StreamServiceDevice,
    expose: Callable[[int], MsgGenerator[None]],
    n_positions: int,
    most: int,
    timeout_s: float = VERDICTS_TIMEOUT_S,
) -> MsgGenerator[int]:
    """Expose again the planned positions of which no row can be used, at most `most` times, until there are none.

    To be used within a run whose request reserves the frames (`extra_frames`), after its planned positions. `expose`
    moves to a planned position and takes its frames. Gives the number of repeats.
    """
    done: list[int] = []
    n_rounds = 0
    while True:
        verdicts = yield from wait_for_verdicts(service, n_positions + len(done), timeout_s)
        todo = verdicts.to_repeat[: most - len(done)]
        if not todo:
            break
        n_rounds += 1
        yield from announce_repeats(service, [*done, *todo])
        for position in todo:
            yield from expose(position)
        done += todo
    (logger.warning if verdicts.n_lacking else logger.info)("%s", _account(done, n_rounds, verdicts.n_lacking))
    return len(done)


def _account(done: list[int], n_rounds: int, n_lacking: int) -> str:
    """What was done, in a sentence."""
    if not done and not n_lacking:
        return "no position had to be exposed again"
    repeated = f"{counted(len(set(done)), 'position')} exposed again, in {counted(n_rounds, 'round')}"
    if not n_lacking:
        return f"{repeated}: every planned position has a row that can be used"
    return f"{repeated}; {counted(n_lacking, 'position')} still without a row that can be used, and no frames are left"
