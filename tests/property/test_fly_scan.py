"""A fly scan in simulated time: 500 Hz frames between readbacks at 20 Hz, which come 50 ms late.

What a position is worth is held against the truth: at constant speed, in the ramps, and beside pairing with the last
value. `pytest -s` prints the figures; those of the documentation are from 100,000 frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import merge

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_service.core.exposure import Exposure
from stream_service.core.frame import Frame, FrameId, FrameTime, Marks
from stream_service.core.pairing.pairer import Pairer
from stream_service.core.pairing.readback import Readback
from stream_service.core.pairing.rule import POSITION_TOLERANCE_M, ChannelRule, How, Over

US = 1000
T0_NS = 1_795_218_868_000_000_000
PERIOD_S, EXPOSURE_S = 0.002, 0.0018
READBACK_S, JITTER, LATE_S = 0.05, 0.2, 0.05
RAMP_S, EVEN_S, TURN_S = 0.3, 1.4, 0.3
LINE_S = 2 * RAMP_S + EVEN_S + TURN_S
ENCODER_M = 0.5e-9
PIXELS = np.zeros((1, 1), np.uint16)
AXES = ("x", "y")


@dataclass
class FlyScan:
    """Lines there and back along x, with a step of y in each turn, of which readbacks tell what was a moment ago."""

    n_frames: int
    seed: int = 0
    speed_m_s: float = 20e-6
    late_s: float = LATE_S
    y_step_m: float = 100e-9
    over: Over = Over.MID
    _rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)

    @property
    def step_m(self) -> float:
        """From one frame to the next at constant speed."""
        return self.speed_m_s * PERIOD_S

    def at(self, axis: str, t_s: np.ndarray) -> np.ndarray:
        """Where an axis was."""
        line, t = np.divmod(t_s, LINE_S)
        if axis == "y":
            return self.y_step_m * (line + np.clip((t - LINE_S + TURN_S - 0.1) / 0.1, 0, 1))
        acceleration = self.speed_m_s / RAMP_S
        length_m = self.speed_m_s * (EVEN_S + RAMP_S)
        up = 0.5 * acceleration * np.clip(t, 0, RAMP_S) ** 2
        even = self.speed_m_s * np.clip(t - RAMP_S, 0, EVEN_S)
        down_s = np.clip(t - RAMP_S - EVEN_S, 0, RAMP_S)
        gone_m = up + even + self.speed_m_s * down_s - 0.5 * acceleration * down_s**2
        return np.where(line % 2 == 0, gone_m, length_m - gone_m)

    def motion(self, axis: str) -> list[tuple[float, float]]:
        """When it began and ceased to move."""
        n_lines = int(self.n_frames * PERIOD_S / LINE_S) + 2
        begins, ends = (0.0, LINE_S - TURN_S) if axis == "x" else (LINE_S - 0.2, LINE_S - 0.1)
        edges = [(n * LINE_S + begins, n * LINE_S + ends) for n in range(n_lines)]
        return [(-1.0, 0.0), *((t_s, state) for edge in edges for t_s, state in zip(edge, (1.0, 0.0), strict=True))]

    def readbacks(self) -> Iterator[tuple[float, Readback]]:
        """Updates of all channels in the order in which they come, each with when."""
        updates = []
        for axis in AXES:
            motion = self.motion(axis)
            updates += [(t_s, f"{axis}_moving", state) for t_s, state in motion]
            stamps = [-1.0]
            for (begins_s, _), (ends_s, _) in zip(motion[1::2], motion[2::2], strict=True):
                stamps.append(begins_s + READBACK_S * self._rng.random())
                while (next_s := stamps[-1] + READBACK_S * (1 + self._rng.uniform(-JITTER, JITTER))) < ends_s:
                    stamps.append(next_s)
                stamps.append(ends_s)  # as a motor record does
            stamps = [t_s for t_s in stamps if t_s <= motion[-1][0]]
            values = np.round(self.at(axis, np.maximum(stamps, 0.0)) / ENCODER_M) * ENCODER_M
            updates += list(zip(stamps, [axis] * len(stamps), values * 1e6, strict=True))
        updates.sort(key=lambda update: (update[0], update[1].endswith("_moving")))
        came_s = -np.inf
        for t_s, channel, value in updates:
            came_s = max(came_s, t_s + self.late_s * (1 + self._rng.uniform(-JITTER, JITTER)))
            yield came_s, Readback(channel, float(value), stamp_ns(t_s))

    def frames(self) -> Iterator[tuple[float, Frame]]:
        """Stamped with the end of their exposures, and a moment on their way."""
        for n in range(self.n_frames):
            ends_s = n * PERIOD_S + EXPOSURE_S
            yield ends_s + 0.001, Frame(n, stamp_ns(ends_s), PIXELS, {})


def stamp_ns(t_s: float) -> int:
    return T0_NS + round(t_s * 1e6) * US


@dataclass
class Paired:
    """What a scan was paired with, and what it should have been; (n, 2) for x and y, in metres."""

    exposures: list[Exposure]
    error_m: np.ndarray
    last_value_error_m: np.ndarray
    is_flagged: np.ndarray
    uncertainty_m: np.ndarray
    bracket_s: np.ndarray
    is_even: np.ndarray
    """At constant speed throughout, also between the readbacks before and after."""
    is_ramp: np.ndarray

    @property
    def is_wrong(self) -> np.ndarray:
        """Not flagged, and off by more than is said of it."""
        off_m = np.abs(self.error_m).max(axis=1)
        return ~self.is_flagged & ~(off_m <= self.uncertainty_m + POSITION_TOLERANCE_M)


def paired(scan: FlyScan) -> Paired:
    rules = tuple(
        ChannelRule(
            axis, How.TIMESTAMP, scale=1e-6, over=scan.over, moving=f"{axis}_moving", tolerance=POSITION_TOLERANCE_M
        )
        for axis in AXES
    )
    pairer, frame_time = Pairer(rules), FrameTime(Marks.END)
    exposures: list[Exposure] = []
    last = dict.fromkeys(AXES, 0.0)
    last_m = np.zeros((scan.n_frames, 2))
    for _, event in merge(scan.readbacks(), scan.frames(), key=lambda arrival: arrival[0]):
        if isinstance(event, Frame):
            n = event.unique_id
            last_m[n] = [last[axis] * 1e-6 for axis in AXES]
            window = frame_time.window(event.timestamp_ns, EXPOSURE_S)
            pairer.add_frame(event, FrameId(0, n), n, EXPOSURE_S, window)
            continue
        if event.channel in last:
            last[event.channel] = event.value
        pairer.add_readback(event)
        for channel in ("x", "x_moving", "y", "y_moving"):
            pairer.confirm(channel, event.timestamp_ns - 1)
        exposures += pairer.take()
    exposures.sort(key=lambda exposure: exposure.ordinal)
    assert [exposure.ordinal for exposure in exposures] == list(range(scan.n_frames)), "none is left, none comes twice"
    mid_s = np.arange(scan.n_frames) * PERIOD_S + EXPOSURE_S / 2
    truth_m = np.column_stack([scan.at(axis, mid_s) for axis in AXES])
    found_m = np.array([[exposure.values[axis] for axis in AXES] for exposure in exposures])
    t_s = mid_s % LINE_S
    apart_s = 2 * READBACK_S * (1 + JITTER)
    return Paired(
        exposures,
        found_m - truth_m,
        last_m - truth_m,
        np.array([bool(exposure.position_flags) for exposure in exposures]),
        np.array([exposure.uncertainty_m for exposure in exposures]),
        np.array([exposure.bracket_s for exposure in exposures]),
        is_even=(t_s > RAMP_S + apart_s) & (t_s < RAMP_S + EVEN_S - apart_s),
        is_ramp=(t_s < RAMP_S) | ((t_s > RAMP_S + EVEN_S) & (t_s < LINE_S - TURN_S)),
    )


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


@pytest.mark.parametrize(("n_frames", "over"), [(10_000, Over.WINDOW), (100_000, Over.MID)])
def test_positions_of_a_fly_scan_are_as_good_as_they_are_said_to_be(n_frames: int, over: Over) -> None:
    scan = FlyScan(n_frames, over=over)
    of = paired(scan)
    even, ramp = of.is_even, of.is_ramp
    error, last = rms(of.error_m[even, 0]) / scan.step_m, rms(of.last_value_error_m[even, 0]) / scan.step_m
    off_m = np.abs(of.error_m).max(axis=1)
    within = float(np.mean(off_m[ramp] <= of.uncertainty_m[ramp] + ENCODER_M))
    used, used_ramp = (100 * np.mean(~of.is_flagged[part]) for part in (even, ramp))
    ramp_nm, last_ramp_nm = (1e9 * rms(errors[ramp, 0]) for errors in (of.error_m, of.last_value_error_m))
    print(f"\n{n_frames} frames, {over}, {scan.step_m * 1e9:.0f} nm from one to the next; {of.is_wrong.sum()} wrong")
    print(
        f"constant speed: RMS error {100 * error:.2f} % of the step (last value: {100 * last:.0f} %), {used:.1f} % used"
    )
    print(f"ramps: RMS error {ramp_nm:.1f} nm (last value: {last_ramp_nm:.0f} nm), {used_ramp:.1f} % used")
    print(f"{100 * within:.2f} % within their uncertainty, median {1e9 * np.median(of.uncertainty_m[ramp]):.1f} nm")
    assert error <= 0.02
    assert last > 20 * error
    assert within >= 0.95
    assert np.mean(~of.is_flagged[even]) > 0.99
    assert np.nanmax(of.bracket_s) <= 2 * READBACK_S * (1 + JITTER)
    assert not of.is_wrong.any()


@settings(max_examples=settings.default.max_examples // 10)  # each is a scan
@given(
    st.integers(0, 2**32),
    st.floats(1e-6, 50e-6),
    st.floats(0.05, 2.0),
    st.floats(-1e-6, 1e-6),
    st.sampled_from(list(Over)),
)
def test_no_frame_is_paired_wrongly_whatever_the_speed_and_however_late(seed, speed_m_s, late_s, y_step_m, over):
    assert not paired(FlyScan(2000, seed, speed_m_s, late_s, y_step_m, over)).is_wrong.any()


def test_late_readbacks_change_nothing():
    """They come 50 ms or 2 s late: the frames wait as long, and their positions are the same bits."""
    soon, late = (paired(FlyScan(2000, late_s=late_s)).exposures for late_s in (0.05, 2.0))
    assert [exposure.values for exposure in late] == [exposure.values for exposure in soon]
    assert [exposure.flags for exposure in late] == [exposure.flags for exposure in soon]
