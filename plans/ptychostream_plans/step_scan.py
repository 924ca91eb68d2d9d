"""Software step scans over given positions, streamed: move, expose, read, at one position after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import bluesky.plan_stubs as bps
from bluesky.protocols import Readable
from bluesky.utils import CustomPlanMetadata, MsgGenerator

from ptychostream_devices.detector import PtychoDetector
from ptychostream_devices.stage import ScanStage
from ptychostream_devices.stream_service_device import StreamServiceDevice
from ptychostream_plans.queueable import queueable
from ptychostream_plans.streamed_run import streamed_run
from ptychostream_plans.stubs import check_stream, expose_and_read
from ptychostream_plans.trajectory import Trajectory, from_positions


@queueable
def ptycho_positions(
    detector: PtychoDetector,
    stage: ScanStage,
    service: StreamServiceDevice | None = None,
    *,
    positions_m: Sequence[Sequence[float]],
    exposure_s: float,
    frames_per_position: int = 1,
    energy: Readable | None = None,
    scan_id: str | None = None,
    path: str = "",
    probe_diameter_m: float | None = None,
    references: Mapping[str, str] | None = None,
    md: CustomPlanMetadata | None = None,
) -> MsgGenerator[str]:
    """Expose at given positions of the beam on the sample, in the given order.

    Parameters
    ----------
    positions_m : sequence of (x, y)
        Beam on the sample, in metres.
    <the parameters of every scan>
    """
    trajectory = from_positions(positions_m)
    return (
        yield from step_scan(
            detector,
            stage,
            service,
            trajectory=trajectory,
            exposure_s=exposure_s,
            frames_per_position=frames_per_position,
            energy=energy,
            scan_id=scan_id,
            path=path,
            probe_diameter_m=probe_diameter_m,
            references=references,
            plan_name="ptycho_positions",
            plan_args={"positions_m": trajectory.positions_m.tolist()},
            md=md,
        )
    )


def step_scan(
    detector: PtychoDetector,
    stage: ScanStage,
    service: StreamServiceDevice | None,
    *,
    trajectory: Trajectory,
    frames_per_position: int,
    **options: Any,
) -> MsgGenerator[str]:
    """Move, expose, read, at one position after the other; `options` are those of `streamed_run`.

    Raises `ValueError` before anything moves for positions out of a motor's limits.
    """
    motors_um = stage.motor_positions_um(trajectory.positions_m)

    def exposures() -> MsgGenerator[None]:
        for x_um, y_um in motors_um.tolist():
            yield from bps.checkpoint()
            yield from bps.mv(stage.x, x_um, stage.y, y_um)
            if service is not None:
                yield from check_stream(service)
            yield from expose_and_read(detector, [stage])

    return (
        yield from streamed_run(
            detector,
            stage,
            service,
            trajectory=trajectory,
            exposures=exposures,
            n_events=len(trajectory),
            frames_per_trigger=frames_per_position,
            frames_per_position=frames_per_position,
            **options,
        )
    )
