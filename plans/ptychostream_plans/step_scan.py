"""Software step scans over given positions, streamed: move, expose, read, at one position after the other.

The order is fixed by what the streaming service needs: detector and stage are staged first (their settings settle,
the raw file's capture starts), then the service is armed (it reads the camera's ArrayCounter), then the run opens
and the first frame is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.protocols import Readable
from bluesky.utils import CustomPlanMetadata, MsgGenerator

from ptychostream_devices.detector import DetectorSetup, PtychoDetector
from ptychostream_devices.stage import ScanStage
from ptychostream_devices.stream_service_device import StreamServiceDevice
from ptychostream_plans.queueable import queueable
from ptychostream_plans.references import check_references
from ptychostream_plans.stubs import (
    check_raw_file,
    check_stream,
    collect_stream,
    expose_and_read,
    stream_service_wrapper,
)
from ptychostream_plans.trajectory import Trajectory, from_positions
from stream_service.request import RequestedReferences, ScanRequest


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
    exposure_s: float,
    frames_per_position: int,
    energy: Readable | None,
    scan_id: str | None,
    path: str,
    probe_diameter_m: float | None,
    references: Mapping[str, str] | None,
    plan_name: str,
    plan_args: Mapping[str, Any],
    facts: Mapping[str, str | int | float] | None = None,
    md: Mapping[str, Any] | None,
) -> MsgGenerator[str]:
    """What every plan over a list of positions has in common; `plan_args` are those that only the caller knows.

    `facts` are recorded in the start document (`ptychostream`) and in the standardized file. Raises before anything
    moves: `ValueError` for positions out of a motor's limits or without overlap, and for references that do not fit.
    """
    n_frames = len(trajectory) * frames_per_position
    if references is not None:
        check_references(detector, exposure_s, references)
    overlap = None if probe_diameter_m is None else _enough_overlap(trajectory, probe_diameter_m)
    motors_um = stage.motor_positions_um(trajectory.positions_m)
    scan_id = scan_id or datetime.now().strftime("ptycho_%Y%m%d_%H%M%S")
    setup = DetectorSetup(exposure_s, frames_per_position, f"{scan_id}_raw", path)
    stream_uid = str(uuid4())  # the same in the file and in the run's start document: each finds the other
    request = ScanRequest(
        scan_id=scan_id,
        path=path,
        n_positions=len(trajectory),
        frames_per_position=frames_per_position,
        planned_x_m=tuple(trajectory.x_m.tolist()),
        planned_y_m=tuple(trajectory.y_m.tolist()),
        exposure_s=exposure_s,
        raw_file=detector.raw_file(setup),
        sample=str((md or {}).get("sample", "")),
        references=None if references is None else RequestedReferences(**references),
        metadata={
            "plan_name": plan_name,
            "trajectory": trajectory.name,
            "stream_uid": stream_uid,
            **(facts or {}),
        },
    )
    start_md = {
        "plan_name": plan_name,
        "plan_args": {
            "detector": detector.name,
            "stage": stage.name,
            "service": service.name if service else None,
            **plan_args,
            "exposure_s": exposure_s,
            "frames_per_position": frames_per_position,
            "energy": energy.name if energy else None,
            "scan_id": scan_id,
            "path": path,
            "probe_diameter_m": probe_diameter_m,
            "references": None if references is None else dict(references),
        },
        "detectors": [detector.name],
        "motors": [stage.x.name, stage.y.name],
        "num_points": len(trajectory),
        "num_intervals": len(trajectory) - 1,
        "plan_pattern": trajectory.name,
        "plan_pattern_args": dict(trajectory.parameters),
        "ptychostream": {
            "scan_id": scan_id,
            "stream_uid": stream_uid,
            "raw_file": request.raw_file,
            "overlap": overlap,
            **(facts or {}),
        },
        "hints": {"dimensions": [([stage.x.name, stage.y.name], "primary")]},
        **(md or {}),
    }

    exposed: Any = detector  # ophyd's annotations are looser than bluesky's protocols

    def exposures() -> MsgGenerator[None]:
        for x_um, y_um in motors_um.tolist():
            yield from bps.checkpoint()
            yield from bps.mv(stage.x, x_um, stage.y, y_um)
            if service is not None:
                yield from check_stream(service)
            yield from expose_and_read(detector, [stage])

    def documented() -> MsgGenerator[None]:
        if service is not None:
            yield from bps.kickoff(service, group="kickoff", wait=True)
        yield from exposures()
        yield from check_raw_file(detector, n_frames)
        if service is not None:
            yield from collect_stream(service)

    def streamed() -> MsgGenerator[str]:
        recorded = bpp.baseline_wrapper(bpp.run_wrapper(documented(), md=start_md), [energy] if energy else [])
        return (yield from stream_service_wrapper(recorded, service, request))

    yield from bps.prepare(exposed, setup, group="detector", wait=True)
    staged = [detector, stage] if service is None else [detector, stage, service]
    return (yield from bpp.stage_wrapper(streamed(), staged))


def _enough_overlap(trajectory: Trajectory, probe_diameter_m: float) -> float:
    overlap = trajectory.overlap(probe_diameter_m)
    if overlap == 0:
        raise ValueError(
            f"neighbouring positions are {trajectory.nearest_neighbour_m() * 1e6:.3g} µm apart, the probe is "
            f"{probe_diameter_m * 1e6:.3g} µm wide: without overlap there is no ptychography; make the step smaller"
        )
    return overlap
