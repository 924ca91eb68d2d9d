"""`ptycho_raster`: a regular grid, streamed."""

from __future__ import annotations

from collections.abc import Mapping

from bluesky.protocols import Readable
from bluesky.utils import CustomPlanMetadata, MsgGenerator

from ptychostream_devices.detector import PtychoDetector
from ptychostream_devices.stage import ScanStage
from ptychostream_devices.stream_service_device import StreamServiceDevice
from ptychostream_plans.queueable import queueable
from ptychostream_plans.step_scan import step_scan
from ptychostream_plans.trajectories import raster


@queueable
def ptycho_raster(
    detector: PtychoDetector,
    stage: ScanStage,
    service: StreamServiceDevice | None = None,
    *,
    n_x: int,
    n_y: int,
    step_m: float,
    snake: bool = True,
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
    """Expose on a regular grid around `center_m`, line after line along x. Its period can show in the reconstruction.

    Parameters
    ----------
    n_x : int
        Positions along x.
    n_y : int
        Lines along y.
    step_m : float
        Between neighbours, along x and y.
    snake : bool
        Every other line runs back, so that the stage does not return for each.
    <the parameters of every scan>
    """
    return (
        yield from step_scan(
            detector,
            stage,
            service,
            trajectory=raster(n_x, n_y, step_m, center_m, snake=snake),
            exposure_s=exposure_s,
            frames_per_position=frames_per_position,
            energy=energy,
            scan_id=scan_id,
            path=path,
            probe_diameter_m=probe_diameter_m,
            references=references,
            plan_name="ptycho_raster",
            plan_args={"n_x": n_x, "n_y": n_y, "step_m": step_m, "snake": snake, "center_m": list(center_m)},
            md=md,
        )
    )
