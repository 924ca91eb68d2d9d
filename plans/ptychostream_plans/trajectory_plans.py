"""Step scans along the usual trajectories, and along positions of one's own, streamed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from bluesky.utils import MsgGenerator

from ptychostream_devices.detector import PtychoDetector
from ptychostream_devices.stage import ScanStage
from ptychostream_devices.stream_service_device import StreamServiceDevice
from ptychostream_plans.queueable import queueable
from ptychostream_plans.scan_options import ScanOptions
from ptychostream_plans.step_scan import step_scan
from ptychostream_plans.trajectories import concentric, fermat, jittered, raster
from ptychostream_plans.trajectories.trajectory import from_positions


@queueable
def ptycho_fermat(
    detector: PtychoDetector,
    stage: ScanStage,
    service: StreamServiceDevice | None = None,
    *,
    n_points: int,
    step_m: float,
    center_m: tuple[float, float] = (0.0, 0.0),
    **scan: Unpack[ScanOptions],
) -> MsgGenerator[str]:
    """Expose along a Fermat spiral around `center_m`: even coverage of a disk, without a raster's period.

    Parameters
    ----------
    n_points : int
        Number of positions.
    step_m : float
        Radius of position i is step_m · √i: neighbours are about 1.7 step_m apart.
    <the parameters of every scan>

    Returns
    -------
    uid : str
        Of the bluesky run.
    """
    trajectory = fermat(n_points, step_m, center_m)
    return (yield from step_scan(detector, stage, service, "ptycho_fermat", trajectory, **scan))


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
    center_m: tuple[float, float] = (0.0, 0.0),
    **scan: Unpack[ScanOptions],
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

    Returns
    -------
    uid : str
        Of the bluesky run.
    """
    trajectory = raster(n_x, n_y, step_m, center_m, snake=snake)
    return (yield from step_scan(detector, stage, service, "ptycho_raster", trajectory, **scan))


@queueable
def ptycho_concentric(
    detector: PtychoDetector,
    stage: ScanStage,
    service: StreamServiceDevice | None = None,
    *,
    nrings: int,
    points_per_ring: int = 5,
    step_m: float,
    center_m: tuple[float, float] = (0.0, 0.0),
    **scan: Unpack[ScanOptions],
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

    Returns
    -------
    uid : str
        Of the bluesky run.
    """
    trajectory = concentric(nrings, points_per_ring, step_m, center_m)
    return (yield from step_scan(detector, stage, service, "ptycho_concentric", trajectory, **scan))


@queueable
def ptycho_jittered(
    detector: PtychoDetector,
    stage: ScanStage,
    service: StreamServiceDevice | None = None,
    *,
    n_x: int,
    n_y: int,
    step_m: float,
    jitter_m: float,
    seed: int = 0,
    center_m: tuple[float, float] = (0.0, 0.0),
    **scan: Unpack[ScanOptions],
) -> MsgGenerator[str]:
    """Expose on a grid around `center_m`, each position moved at random: a raster without its period.

    Parameters
    ----------
    n_x : int
        Positions along x.
    n_y : int
        Lines along y.
    step_m : float
        Between neighbours of the grid, along x and y.
    jitter_m : float
        The largest random move, along x and along y; about a third of the step.
    seed : int
        The same seed gives the same positions.
    <the parameters of every scan>

    Returns
    -------
    uid : str
        Of the bluesky run.
    """
    trajectory = jittered(n_x, n_y, step_m, jitter_m, center_m, seed=seed)
    return (yield from step_scan(detector, stage, service, "ptycho_jittered", trajectory, **scan))


@queueable
def ptycho_positions(
    detector: PtychoDetector,
    stage: ScanStage,
    service: StreamServiceDevice | None = None,
    *,
    positions_m: Sequence[Sequence[float]],
    **scan: Unpack[ScanOptions],
) -> MsgGenerator[str]:
    """Expose at given positions of the beam on the sample, in the given order.

    Parameters
    ----------
    positions_m : sequence of (x, y)
        Beam on the sample, in metres.
    <the parameters of every scan>

    Returns
    -------
    uid : str
        Of the bluesky run.
    """
    positions = from_positions(positions_m)
    trajectory = from_positions(positions_m, parameters={"positions_m": positions.positions_m.tolist()})
    return (yield from step_scan(detector, stage, service, "ptycho_positions", trajectory, **scan))
