"""Bluesky plans of ptychostream, the stubs and wrappers they are made of, and their trajectories."""

from ptychostream_plans.fermat import ptycho_fermat
from ptychostream_plans.step_scan import ptycho_positions
from ptychostream_plans.stubs import (
    abort_stream,
    arm_stream,
    collect_stream,
    complete_stream,
    stream_service_decorator,
    stream_service_wrapper,
)
from ptychostream_plans.trajectories import Trajectory, fermat_spiral, from_positions

__all__ = [
    "Trajectory",
    "abort_stream",
    "arm_stream",
    "collect_stream",
    "complete_stream",
    "fermat_spiral",
    "from_positions",
    "ptycho_fermat",
    "ptycho_positions",
    "stream_service_decorator",
    "stream_service_wrapper",
]
