"""`ptycho_fermat`: a Fermat spiral, streamed."""

from __future__ import annotations

from collections.abc import Mapping

from bluesky.protocols import Readable
from bluesky.utils import CustomPlanMetadata, MsgGenerator

from ptychostream_devices.detector import PtychoDetector
from ptychostream_devices.stage import ScanStage
from ptychostream_devices.stream_service_device import StreamServiceDevice
from ptychostream_plans.queueable import queueable
from ptychostream_plans.step_scan import step_scan
from ptychostream_plans.trajectories import fermat


@queueable
def ptycho_fermat(
    detector: PtychoDetector,
    stage: ScanStage,
    service: StreamServiceDevice | None = None,
    *,
    n_points: int,
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
    """Expose along a Fermat spiral around `center_m`: even coverage of a disk, without a raster's period.

    Parameters
    ----------
    n_points : int
        Number of positions.
    step_m : float
        Radius of position i is step_m · √i: neighbours are about 1.7 step_m apart.
    <the parameters of every scan>
    """
    return (
        yield from step_scan(
            detector,
            stage,
            service,
            trajectory=fermat(n_points, step_m, center_m),
            exposure_s=exposure_s,
            frames_per_position=frames_per_position,
            energy=energy,
            scan_id=scan_id,
            path=path,
            probe_diameter_m=probe_diameter_m,
            references=references,
            plan_name="ptycho_fermat",
            plan_args={"n_points": n_points, "step_m": step_m, "center_m": list(center_m)},
            md=md,
        )
    )
