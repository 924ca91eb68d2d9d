"""`ptycho_fermat`: a Fermat spiral, streamed."""

from __future__ import annotations

from bluesky.protocols import Readable
from bluesky.utils import CustomPlanMetadata, MsgGenerator

from ptychostream_devices.detector import PtychoDetector
from ptychostream_devices.stage import ScanStage
from ptychostream_devices.stream_service_device import StreamServiceDevice
from ptychostream_plans.step_scan import step_scan
from ptychostream_plans.trajectories import fermat


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
    md: CustomPlanMetadata | None = None,
) -> MsgGenerator[str]:
    """Expose along a Fermat spiral around `center_m`: even coverage of a disk, without a raster's period.

    Parameters
    ----------
    detector : PtychoDetector
        Takes `frames_per_position` frames at each position.
    stage : ScanStage
        Moves the sample (or the beam); it knows how the beam follows.
    service : StreamServiceDevice, optional
        The streaming service that writes the standardized file; without it only the raw file is written.
    n_points : int
        Number of positions.
    step_m : float
        Radius of position i is step_m · √i: neighbours are about 1.7 step_m apart.
    exposure_s : float
        Exposure time of one frame.
    frames_per_position : int
        Frames at each position; the service reduces them to one row.
    energy : Readable, optional
        Monochromator, read before and after the scan.
    center_m : (x, y)
        Centre of the spiral: beam on the sample, in metres.
    scan_id : str, optional
        Names the files: `<scan_id>_std.h5` and `<scan_id>_raw.h5`. The time, if not given.
    path : str
        Folder of both files, below the roots of the service and of the detector.
    probe_diameter_m : float, optional
        Diameter of the probe on the sample; a spiral without overlap is then refused.
    md : dict, optional
        More metadata for the run.

    Returns
    -------
    uid : str
        Of the bluesky run.
    """
    trajectory = fermat(n_points, step_m, center_m)
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
            plan_name="ptycho_fermat",
            plan_args={"n_points": n_points, "step_m": step_m, "center_m": list(center_m)},
            md=md,
        )
    )
