"""`ptycho_fly`: the stage moves through each line at constant speed while the detector takes its frames.

There is no hardware trigger here: the detector is started by software while the stage runs up to the line. Where each
frame was exposed is not taken from the plan but from the stage's own history at mid-exposure, so that a late start
shifts the frames along the line, and no position away from its frame. Profiles for it pair x and y by `timestamp`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import numpy as np
from bluesky.utils import FailedStatus, MsgGenerator
from numpy.typing import NDArray

from ptychostream_devices.detector import PtychoDetector
from ptychostream_devices.stage import ScanStage
from ptychostream_devices.stream_service_device import StreamServiceDevice
from ptychostream_plans.queueable import queueable
from ptychostream_plans.scan_options import RunOptions
from ptychostream_plans.streamed_run import streamed_run
from ptychostream_plans.stubs import check_stream
from ptychostream_plans.trajectories.trajectory import Trajectory, from_positions

if TYPE_CHECKING:
    from scanspec.specs import Spec

AXES = {"x", "y"}
RUN_UP_S = 0.3
"""At full speed before the line. Between two readbacks of which one lies in the ramp a position is not known: at the
10 Hz of a motor record the first stretch that is begins up to 0.2 s after the ramp."""
RUN_OUT_S = 0.4
"""At full speed after the line, for a detector that started late."""
SPEED_S = 2.0
"""For a motor to take a speed; a motor record brings it within its VBAS and VMAX instead, and says nothing."""
STRAIGHT = 1e-3
"""Of a step: a position further off the line, or unevenly on it, cannot be flown."""


@dataclass(frozen=True, slots=True, eq=False)
class FlyLine:
    """One straight line at constant speed: the beam on the sample at its frames, and at both ends."""

    midpoints_m: NDArray[np.float64]
    """(n, 2) x and y in the middle of each frame."""
    start_m: NDArray[np.float64]
    """(2,) where the first exposure begins."""
    end_m: NDArray[np.float64]
    """(2,) where the last one ends."""


@queueable
def ptycho_fly(
    detector: PtychoDetector,
    stage: ScanStage,
    service: StreamServiceDevice | None = None,
    *,
    spec: dict[str, Any],
    **scan: Unpack[RunOptions],
) -> MsgGenerator[str]:
    """Fly along the lines of a scanspec, one run of the service for all of them; each line is one event.

    A hard pause within a line aborts the scan, since half a line cannot be taken again; a deferred pause (Ctrl-C once)
    waits for the end of the line. Speeds of the stage are put back at the end, also after an abort.

    Parameters
    ----------
    spec : scanspec Spec, or what its serialize() gives
        Axes "x" and "y", the beam on the sample in metres, made of straight lines:
        `Linspace("y", 0, 4e-6, 5) * ~Linspace("x", 0, 4e-6, 20)`.
    <the parameters of every scan>

    Returns
    -------
    uid : str
        Of the bluesky run.
    """
    lines = fly_lines(spec)
    trajectory = fly_trajectory(lines, spec)
    motors: tuple[Any, Any] = (stage.x, stage.y)  # ophyd's annotations are looser than bluesky's protocols
    speeds: dict[Any, float] = {}

    def exposures() -> MsgGenerator[int]:
        for motor in motors:
            speeds[motor] = yield from bps.rd(motor.velocity)
        yield from bpp.finalize_wrapper(fly_all(), put_back)
        return 0

    def put_back() -> MsgGenerator[None]:
        for motor, speed in speeds.items():
            yield from bps.abs_set(motor.velocity, speed, wait=True)

    def fly_all() -> MsgGenerator[None]:
        for line in lines:
            yield from bps.checkpoint()
            if service is not None:
                yield from check_stream(service)
            yield from put_back()
            yield from _fly(detector, stage, line, scan["exposure_s"])
            yield from bps.checkpoint()

    for line in lines:  # before anything moves
        stage.motor_positions(np.stack([line.start_m, line.end_m]))
    return (
        yield from streamed_run(
            detector,
            stage,
            service,
            "ptycho_fly",
            trajectory,
            exposures=exposures,
            n_events=len(lines),
            frames_per_trigger=len(lines[0].midpoints_m),
            **scan,
        )
    )


def fly_lines(spec: Spec[str] | Mapping[str, Any]) -> list[FlyLine]:
    """The lines of a spec; raises `ValueError` if it has other axes than x and y, or lines that are not straight."""
    from scanspec.core import Path  # takes half a second, which plans that do not fly are spared
    from scanspec.specs import Fly, Spec

    parsed: Spec[str] = Spec.deserialize(dict(spec)) if isinstance(spec, Mapping) else spec
    if set(parsed.axes()) != AXES:
        raise ValueError(f"the spec has the axes {', '.join(map(str, parsed.axes()))}; a fly scan has x and y")
    points = Path((parsed if isinstance(parsed, Fly) else Fly(parsed)).calculate()).consume()
    middle, lower, upper = (
        np.column_stack([values["x"], values["y"]]) for values in (points.midpoints, points.lower, points.upper)
    )
    begins = np.flatnonzero(points.gap)
    ends = [*begins[1:], len(middle)]
    lines = [FlyLine(middle[begin:end], lower[begin], upper[end - 1]) for begin, end in zip(begins, ends, strict=True)]
    for number, line in enumerate(lines):
        n = len(line.midpoints_m)
        if n != len(lines[0].midpoints_m):
            raise ValueError(f"line {number} of the spec has {n} frames, line 0 has {len(lines[0].midpoints_m)}")
        even = line.start_m + (line.end_m - line.start_m) * ((np.arange(n) + 0.5) / n)[:, None]
        step_m = np.hypot(*(line.end_m - line.start_m)) / n
        if step_m == 0:
            raise ValueError(f"line {number} of the spec stands still: its innermost axis must move")
        if np.hypot(*(line.midpoints_m - even).T).max() > STRAIGHT * step_m:
            raise ValueError(f"line {number} of the spec is not straight and even: only those can be flown")
    return lines


def fly_trajectory(lines: list[FlyLine], spec: Spec[str] | Mapping[str, Any]) -> Trajectory:
    """All frames of all lines, as planned."""
    serialized = dict(spec) if isinstance(spec, Mapping) else spec.serialize()
    positions_m = np.concatenate([line.midpoints_m for line in lines])
    return from_positions(positions_m, name="fly", parameters={"spec": serialized})


def _fly(detector: PtychoDetector, stage: ScanStage, line: FlyLine, exposure_s: float) -> MsgGenerator[None]:
    exposed: Any = detector  # as above
    moved: Any = stage
    n = len(line.midpoints_m)
    period_s = max(exposure_s, float((yield from bps.rd(exposed.cam.acquire_period)) or 0.0))
    speed_m_s = (line.end_m - line.start_m) / (n * period_s)
    ramp_s = yield from _ramp_s(stage)
    before_m = line.start_m - speed_m_s * (ramp_s / 2 + RUN_UP_S)
    after_m = line.end_m + speed_m_s * (ramp_s / 2 + RUN_OUT_S)
    (start, end) = stage.motor_positions(np.stack([before_m, after_m])).tolist()
    yield from bps.clear_checkpoint()
    yield from bps.mv(stage.x, start[0], stage.y, start[1])
    for motor, origin, goal in _moving(stage, start, end):
        seconds = n * period_s + ramp_s + RUN_UP_S + RUN_OUT_S
        yield from _set_speed(motor, abs(goal - origin) / seconds)
    for motor, _, goal in _moving(stage, start, end):
        yield from bps.abs_set(motor, goal, group="line")
    yield from bps.sleep(ramp_s + RUN_UP_S)
    yield from bps.trigger(exposed, group="exposure", wait=True)
    yield from bps.wait(group="line")
    yield from bps.create("primary")
    for device in (exposed, moved):
        yield from bps.read(device)
    yield from bps.save()


def _moving(stage: ScanStage, start: list[float], end: list[float]) -> Iterator[tuple[Any, float, float]]:
    """The motors that move along a line, with their two ends, each in its own unit."""
    for motor, origin, goal in zip((stage.x, stage.y), start, end, strict=True):
        if origin != goal:
            yield motor, origin, goal


def _set_speed(motor: Any, speed: float) -> MsgGenerator[None]:
    """In units of the motor in a second. Raises `ValueError` if the motor does not take it."""
    try:
        yield from bps.abs_set(motor.velocity, speed, wait=True, timeout=SPEED_S)
    except FailedStatus as error:
        taken = yield from bps.rd(motor.velocity)
        unit = yield from bps.rd(motor.motor_egu)
        raise ValueError(
            f"this line needs {motor.name} at {speed:.4g} {unit}/s, and it takes {taken:.4g} {unit}/s (its VBAS and "
            "VMAX are the limits): change the exposure time or the step"
        ) from error


def _ramp_s(stage: ScanStage) -> MsgGenerator[float]:
    """Time that the slower axis takes to reach its speed, s."""
    accelerations: tuple[Any, Any] = (stage.x.acceleration, stage.y.acceleration)
    x_s = yield from bps.rd(accelerations[0])
    y_s = yield from bps.rd(accelerations[1])
    return max(float(x_s), float(y_s))
