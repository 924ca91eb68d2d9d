"""Software step scans over given positions, streamed: move, expose, read, at one position after the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Unpack

import bluesky.plan_stubs as bps
from bluesky.utils import MsgGenerator

from ptychostream_devices.detector import PtychoDetector
from ptychostream_devices.stage import ScanStage
from ptychostream_devices.stream_service_device import StreamServiceDevice
from ptychostream_plans.repeats import repeat_rejected
from ptychostream_plans.scan_options import ScanOptions
from ptychostream_plans.streamed_run import Fact, streamed_run
from ptychostream_plans.stubs import check_stream, expose_and_read
from ptychostream_plans.trajectories.trajectory import Trajectory


def step_scan(
    detector: PtychoDetector,
    stage: ScanStage,
    service: StreamServiceDevice | None,
    plan_name: str,
    trajectory: Trajectory,
    facts: Mapping[str, Fact] | None = None,
    **scan: Unpack[ScanOptions],
) -> MsgGenerator[str]:
    """Common part of every plan over a list of positions; `facts` are those of `streamed_run`.

    Raises `ValueError` before anything moves for positions out of a motor's limits.
    """
    motors = stage.motor_positions(trajectory.positions_m).tolist()
    n_positions, most_repeats = len(motors), scan.get("repeats", 0)
    if most_repeats and service is None:
        raise ValueError("repeats are for positions that the streaming service rejects: give the plan the service, too")

    def expose(position: int) -> MsgGenerator[None]:
        x, y = motors[position]
        yield from bps.checkpoint()
        yield from bps.mv(stage.x, x, stage.y, y)
        if service is not None:
            yield from check_stream(service)
        yield from expose_and_read(detector, [stage])

    def exposures() -> MsgGenerator[int]:
        for position in range(n_positions):
            yield from expose(position)
        if service is None or not most_repeats:
            return 0
        return (yield from repeat_rejected(service, expose, n_positions, most_repeats))

    return (
        yield from streamed_run(
            detector,
            stage,
            service,
            plan_name,
            trajectory,
            exposures=exposures,
            n_events=n_positions,
            frames_per_trigger=scan.get("frames_per_position", 1),
            facts=facts,
            **scan,
        )
    )
