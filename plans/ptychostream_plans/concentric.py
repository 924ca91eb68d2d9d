"""`ptycho_concentric`: concentric rings, streamed."""

from __future__ import annotations

from collections.abc import Mapping

from bluesky.protocols import Readable
from bluesky.utils import CustomPlanMetadata, MsgGenerator

from ptychostream_devices.detector import PtychoDetector
from ptychostream_devices.stage import ScanStage
from ptychostream_devices.stream_service_device import StreamServiceDevice
from ptychostream_plans.queueable import queueable
from ptychostream_plans.step_scan import step_scan
from ptychostream_plans.trajectories import concentric


@queueable
def ptycho_concentric(
    detector: PtychoDetector,
    stage: ScanStage,
    service: StreamServiceDevice | None = None,
    *,
    nrings: int,
    points_per_ring: int = 5,
    step_m: float,
    exposure_s: float,
    frames_per_position: int = 1,
    energy: Readable | None = None,
    center_m: tuple[float, float] = (0.0, 0.0),
    scan_id: str | None = None,
    path: str = "",
    probe_diameter_m: float | None = None,
    references: Mapping[str, str] | None = None,
    md: CustomPlanMetadata | None = None,
) -> MsgGenerator[str]:
    """Expose on concentric rings around `center_m`, from the middle outwards.

    Parameters
    ----------
    nrings : int
        Rings around the position in the middle.
    points_per_ring : int
        Ring i has i · points_per_ring positions: 5 or 6 keep neighbours as far apart as the rings.
    step_m : float
        From one ring to the next.
    <the parameters of every scan>
    """
    return (
        yield from step_scan(
            detector,
            stage,
            service,
            trajectory=concentric(nrings, points_per_ring, step_m, center_m),
            exposure_s=exposure_s,
            frames_per_position=frames_per_position,
            energy=energy,
            scan_id=scan_id,
            path=path,
            probe_diameter_m=probe_diameter_m,
            references=references,
            plan_name="ptycho_concentric",
            plan_args={
                "nrings": nrings,
                "points_per_ring": points_per_ring,
                "step_m": step_m,
                "center_m": list(center_m),
            },
            md=md,
        )
    )
