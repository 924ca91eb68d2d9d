"""One streamed scan, from arming the service to the account of its frames; how the frames are taken is the plan's.

The order is fixed by what the streaming service needs: detector and stage are staged first (their settings settle,
the raw file's capture starts), then the service is armed (it reads the camera's ArrayCounter), then the run opens
and the first frame is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Unpack
from uuid import uuid4

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.utils import MsgGenerator

from ptychostream_devices.detector import DetectorSetup, PtychoDetector
from ptychostream_devices.stage import ScanStage
from ptychostream_devices.stream_service_device import StreamServiceDevice
from ptychostream_plans.references import check_references
from ptychostream_plans.scan_options import DEFAULTS, ScanOptions
from ptychostream_plans.stubs import check_raw_file, collect_stream, stream_service_wrapper
from ptychostream_plans.trajectories.trajectory import Trajectory
from stream_service.settings.request import RequestedReferences, ScanRequest
from stream_service.text.names_of_now import name_of_now

Fact = str | int | float


def streamed_run(
    detector: PtychoDetector,
    stage: ScanStage,
    service: StreamServiceDevice | None,
    plan_name: str,
    trajectory: Trajectory,
    *,
    exposures: Callable[[], MsgGenerator[int]],
    n_events: int,
    frames_per_trigger: int,
    facts: Mapping[str, Fact] | None = None,
    **scan: Unpack[ScanOptions],
) -> MsgGenerator[str]:
    """One scan from arming to its account: what all plans have in common.

    `exposures` takes the frames and emits `n_events` events of stream `primary`, within the open run; it gives the
    number of positions that it exposed once more, an event each, of those that option `repeats` reserves. `facts` are
    recorded in the start document (`ptychostream`) and in the standardized file. Raises before anything moves:
    `ValueError` for positions without overlap and references that do not fit.
    """
    options: dict[str, Any] = {**DEFAULTS, **scan}
    exposure_s, frames_per_position, path = options["exposure_s"], options["frames_per_position"], options["path"]
    energy, references, md = options["energy"], options["references"], options["md"]
    probe_diameter_m = options["probe_diameter_m"]
    scan_id = options["scan_id"] = options["scan_id"] or name_of_now("ptycho")
    n_frames = len(trajectory) * frames_per_position
    if references is not None:
        check_references(detector, exposure_s, references)
    overlap = None if probe_diameter_m is None else _enough_overlap(trajectory, probe_diameter_m)
    setup = DetectorSetup(exposure_s, frames_per_trigger, f"{scan_id}_raw", path)
    stream_uid = str(uuid4())  # the same in the file and in the run's start document: each finds the other
    request = ScanRequest(
        scan_id=scan_id,
        path=path,
        n_positions=len(trajectory),
        frames_per_position=frames_per_position,
        extra_frames=options["repeats"] * frames_per_position,
        planned_x_m=tuple(trajectory.x_m.tolist()),
        planned_y_m=tuple(trajectory.y_m.tolist()),
        exposure_s=exposure_s,
        energy_eV=energy_eV if isinstance(energy_eV := (facts or {}).get("energy_eV"), int | float) else None,
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
            **trajectory.parameters,
            **{name: value for name, value in options.items() if name != "md"},
            "energy": energy.name if energy else None,
        },
        "detectors": [detector.name],
        "motors": [stage.x.name, stage.y.name],
        "num_points": n_events,
        "num_intervals": n_events - 1,
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

    def documented() -> MsgGenerator[None]:
        if service is not None:
            yield from bps.kickoff(service, group="kickoff", wait=True)
        n_repeats = yield from exposures()
        yield from check_raw_file(detector, n_frames + n_repeats * frames_per_position)
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
