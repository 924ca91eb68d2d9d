"""Bluesky plans of ptychostream, the stubs and wrappers they are made of, and their trajectories."""

from ptychostream_plans.dark_flat import dark_flat
from ptychostream_plans.energy_stack import EnergyStackError, ptycho_energy_stack
from ptychostream_plans.fly import ptycho_fly
from ptychostream_plans.repeats import announce_repeats, repeat_rejected, wait_for_verdicts
from ptychostream_plans.stubs import (
    abort_stream,
    arm_stream,
    collect_stream,
    complete_stream,
    stream_service_decorator,
    stream_service_wrapper,
)
from ptychostream_plans.suspenders import QualitySuspender, ring_current_suspender
from ptychostream_plans.trajectories import concentric_rings, fermat_spiral, random_jittered, raster_grid
from ptychostream_plans.trajectories.trajectory import Trajectory, from_positions
from ptychostream_plans.trajectory_plans import (
    ptycho_concentric,
    ptycho_fermat,
    ptycho_jittered,
    ptycho_positions,
    ptycho_raster,
)

__all__ = [
    "EnergyStackError",
    "QualitySuspender",
    "Trajectory",
    "abort_stream",
    "announce_repeats",
    "arm_stream",
    "collect_stream",
    "complete_stream",
    "concentric_rings",
    "dark_flat",
    "fermat_spiral",
    "from_positions",
    "ptycho_concentric",
    "ptycho_energy_stack",
    "ptycho_fermat",
    "ptycho_fly",
    "ptycho_jittered",
    "ptycho_positions",
    "ptycho_raster",
    "random_jittered",
    "raster_grid",
    "repeat_rejected",
    "ring_current_suspender",
    "stream_service_decorator",
    "stream_service_wrapper",
    "wait_for_verdicts",
]
