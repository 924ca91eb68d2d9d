"""Wrong clocks: whatever the clock of the frames or of the stage does, a position is true or it is flagged.

A simulated stage posts as a motor record does (polls, stamps, DMOV or MOVN), frames and updates come as they would over
the network, and the truth is known. One of the two clocks is then offset, steps, or stands still, by more than the
limit.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pytest

from stream_service.core.clock import DEFAULT_LIMIT_S
from stream_service.core.frame import NS_PER_S, Frame, FrameId, FrameTime
from stream_service.core.pairing.pairer import Pairer
from stream_service.core.pairing.readback import Readback
from stream_service.core.pairing.rule import ChannelRule, How

T0_S = 1_795_218_868.0
TOLERANCE_UM = 0.003
EXPOSURE_S = 0.01
RULE = ChannelRule("x", How.TIMESTAMP, scale=1e-6, moving="x_moving", tolerance=TOLERANCE_UM * 1e-6)
PIXELS = np.zeros((1, 1), np.uint16)

Motion = Literal["DMOV", "MOVN"]


@dataclass
class ClockFault:
    """Error of a clock, from a moment on."""

    kind: Literal["none", "offset", "step", "freeze"] = "none"
    at_s: float = 0.0
    by_s: float = 0.0
    """Offset or step; how long it stands still."""
    shown_s: float = field(default=0.0, init=False)

    def show(self, true_s: float) -> float:
        match self.kind:
            case "offset":
                return true_s + self.by_s
            case "step":
                return true_s + (self.by_s if true_s >= self.at_s else 0.0)
            case "freeze":
                return self.at_s if self.at_s <= true_s < self.at_s + self.by_s else true_s
        return true_s

    def stamp_ns(self, true_s: float) -> int:
        return round((T0_S + self.show(true_s)) * NS_PER_S)


@dataclass
class Stage:
    """Moves with constant acceleration at both ends, and what its record posts, polled every `poll_s`."""

    poll_s: float
    phase_s: float
    ramp_s: float
    moves: list[tuple[float, float, float, float]] = field(default_factory=list)
    """Start, end, from, to."""
    posts: list[tuple[float, str, float, float | None]] = field(default_factory=list)
    """True time of the post, field, value; the true time that its stamp tells (None: the record's last)."""

    def at(self, time_s: float) -> float:
        begun = bisect_right([move[0] for move in self.moves], time_s) - 1
        if begun < 0:
            return 0.0
        start_s, end_s, from_um, to_um = self.moves[begun]
        if time_s >= end_s:
            return to_um
        length_s, passed_s = end_s - start_s, time_s - start_s
        ramp_s = min(self.ramp_s, length_s / 2)
        speed = (to_um - from_um) / (length_s - ramp_s)
        if passed_s < ramp_s:
            return from_um + speed * passed_s**2 / (2 * ramp_s)
        if passed_s > length_s - ramp_s:
            return to_um - speed * (length_s - passed_s) ** 2 / (2 * ramp_s)
        return from_um + speed * (passed_s - ramp_s / 2)

    def move(self, start_s: float, to_um: float, length_s: float) -> float:
        """Go somewhere; the moment at which the record says that it is done."""
        from_um = self.at(start_s)
        self.moves.append((start_s, start_s + length_s, from_um, to_um))
        self.posts += [(start_s, "DMOV", 1.0, None), (start_s, "MOVN", 1.0, start_s)]
        shown_um = from_um
        poll_s = start_s + (self.phase_s - start_s) % self.poll_s
        while True:
            poll_s += self.poll_s
            if (now_um := self.at(poll_s)) != shown_um:
                self.posts.append((poll_s, "RBV", now_um, poll_s))
                shown_um = now_um
            if poll_s >= start_s + length_s:
                break
        self.posts += [(poll_s, "MOVN", 0.0, poll_s), (poll_s, "DMOV", 0.0, poll_s)]
        return poll_s


@dataclass
class Scan:
    """A stage that has moved, and the true times at which exposures ended."""

    stage: Stage
    frame_ends_s: list[float]
    duration_s: float


def step_scan(dice: random.Random, n_points: int) -> Scan:
    stage = Stage(dice.choice([0.05, 0.1]), dice.random(), dice.choice([0.005, 0.05]))
    now_s, ends_s = 0.2, []
    for _ in range(n_points):
        now_s = stage.move(now_s, dice.uniform(-1, 1), dice.uniform(0.01, 0.15)) + dice.uniform(0.002, 0.01)
        for _ in range(dice.choice([1, 1, 2])):
            now_s += EXPOSURE_S + dice.uniform(0.0, 0.003)
            ends_s.append(now_s)
        now_s += dice.uniform(0.0, 0.1)
    return Scan(stage, ends_s, now_s + 1.0)


def fly_scan(dice: random.Random, n_frames: int) -> Scan:
    stage = Stage(dice.choice([0.05, 0.1]), dice.random(), dice.choice([0.005, 0.1]))
    period_s = dice.choice([0.012, 0.02])
    now_s, ends_s = 0.2, []
    for line in range(2):
        length_s = n_frames / 2 * period_s + 0.8
        stage.move(now_s, dice.uniform(1, 4) * (1 - 2 * line), length_s)
        ends_s += [now_s + 0.45 + n * period_s for n in range(n_frames // 2)]
        now_s += length_s + 0.3
    return Scan(stage, ends_s, now_s + 1.0)


def pair(
    scan: Scan,
    motion: Motion,
    dice: random.Random,
    frame_clock: ClockFault,
    stage_clock: ClockFault,
    batch_s: float = 0.0,
) -> list[tuple[bool, float]]:
    """Let everything come in true time: per frame, whether it is flagged, and how far off it is in micrometres.

    Frames are taken as they come, or every `batch_s`: then it is known of the first one alone when it came, and of the
    others that it was before they were taken. A frame that turns out to have no time after it has left is flagged; the
    last ones are left out where nobody can know it.
    """
    pairer = Pairer([RULE])
    origin_ns = round((T0_S - 86400) * NS_PER_S)
    for name in ("x", "x_moving"):
        pairer.add_readback(Readback(name, 0.0, origin_ns))
    messages: list[tuple[float, int, object]] = []
    last_ns, last_received_s = origin_ns, 0.0
    for post_s, name, value, stamped_s in scan.stage.posts:
        stamp_ns = last_ns if stamped_s is None else stage_clock.stamp_ns(stamped_s)
        last_ns = stamp_ns
        if name in ("RBV", motion):
            last_received_s = max(last_received_s, post_s + dice.uniform(0.0005, 0.004))
            messages.append((last_received_s, len(messages), ("x" if name == "RBV" else "x_moving", value, stamp_ns)))
    begun_s = last_taken_s = -1.0
    for number, end_s in enumerate(scan.frame_ends_s):
        received_s, end_ns = end_s + dice.uniform(0.003, 0.015), frame_clock.stamp_ns(end_s)
        taken_s = -(-received_s // batch_s) * batch_s if batch_s else received_s
        has_waited = batch_s > 0 and taken_s == last_taken_s
        begun_s = begun_s if has_waited else received_s
        last_taken_s = taken_s
        came_s, waited_s = (taken_s, taken_s - begun_s) if has_waited else (received_s, 0.0)
        messages.append((taken_s, len(messages), (number, end_ns, came_s, waited_s)))
        if dice.random() < 0.8:  # the answer to a get that was sent then: after all updates that were posted before
            messages.append((taken_s + dice.uniform(0.0045, 0.006), len(messages), end_ns))
    exposures = []
    for received_s, _, message in sorted(messages):
        received_ns = round(received_s * NS_PER_S)
        match message:
            case (int(number), int(end_ns), float(came_s), float(waited_s)):
                frame, window = (
                    Frame(number, end_ns, PIXELS, {}, waited_s=waited_s),
                    FrameTime().window(end_ns, EXPOSURE_S),
                )
                pairer.add_frame(frame, FrameId(0, number), number, EXPOSURE_S, window, round(came_s * NS_PER_S))
            case (str(name), float(value), int(stamp_ns)):
                pairer.add_readback(Readback(name, value, stamp_ns, received_ns=received_ns))
            case int(end_ns):
                for name in ("x", "x_moving"):
                    pairer.confirm(name, end_ns)
        exposures += pairer.take()
    exposures += pairer.give_up()
    results = []
    for exposure in sorted(exposures, key=lambda exposure: exposure.ordinal)[: len(exposures) - pairer.n_unproven]:
        true_um = scan.stage.at(scan.frame_ends_s[exposure.ordinal] - EXPOSURE_S / 2)
        is_flagged = bool(exposure.position_flags) or exposure.ordinal in pairer.refuted
        results.append((is_flagged, abs(exposure.values["x"] * 1e6 - true_um)))
    return results


def fault_of(dice: random.Random, scan: Scan, *, of_frames: bool) -> ClockFault:
    """A clock that is wrong by more than the limit; that of the frames stands still at the stamp of one of them."""
    kind = dice.choice(["offset", "step", "freeze"])
    by_s = DEFAULT_LIMIT_S + 0.05 + dice.choice([0.1, 0.5, 2.0, 30.0, 3600.0]) * dice.random()
    at_s = dice.uniform(0.0, scan.duration_s)
    if kind == "freeze":
        return ClockFault(kind, dice.choice(scan.frame_ends_s) if of_frames else at_s, by_s)
    return ClockFault(kind, at_s, by_s * dice.choice([1, -1]))


def count_wrong(n_frames: int, seed: str, batch_s: float = 0.0) -> tuple[int, int, int]:
    """Frames looked at, flagged ones, wrong ones without a flag; over many scans with one wrong clock each."""
    dice = random.Random(seed)
    n_done = n_flagged = n_wrong = 0
    while n_done < n_frames:
        scan = step_scan(dice, 60) if dice.random() < 0.5 else fly_scan(dice, 120)
        of_frames = dice.random() < 0.5
        fault = fault_of(dice, scan, of_frames=of_frames)
        clocks = (fault, ClockFault()) if of_frames else (ClockFault(), fault)
        results = pair(scan, dice.choice(["DMOV", "MOVN"]), dice, *clocks, batch_s)
        assert len(results) == len(scan.frame_ends_s) or batch_s > DEFAULT_LIMIT_S
        n_done += len(results)
        n_flagged += sum(is_flagged for is_flagged, _ in results)
        wrong = [off_um for is_flagged, off_um in results if not is_flagged and off_um > TOLERANCE_UM]
        n_wrong += len(wrong)
    return n_done, n_flagged, n_wrong


@pytest.mark.parametrize("motion", ["DMOV", "MOVN"])
@pytest.mark.parametrize("kind", ["step", "fly"])
def test_with_good_clocks_positions_are_true_and_rows_are_used(kind: str, motion: Motion) -> None:
    """A DMOV tells no start of a motion, so that what is resolved after the next move has begun is flagged."""
    dice = random.Random(f"{kind} {motion}")
    for _ in range(20):
        scan = step_scan(dice, 60) if kind == "step" else fly_scan(dice, 120)
        results = pair(scan, motion, dice, ClockFault(), ClockFault())
        assert max((off_um for is_flagged, off_um in results if not is_flagged), default=0.0) <= TOLERANCE_UM
        n_flagged = sum(is_flagged for is_flagged, _ in results)
        assert n_flagged <= len(results) * (0.02 if motion == "MOVN" else 0.5)


@pytest.mark.parametrize(
    "seed", ["one", *(pytest.param(seed, marks=pytest.mark.long) for seed in ("two", "three", "four", "five"))]
)
def test_wrong_clock_gives_flags_and_no_wrong_position(seed: str) -> None:
    """A hundred thousand frames in all, of which 20,000 every time."""
    n_done, n_flagged, n_wrong = count_wrong(20_000, seed)
    print(f"{n_done} frames, {n_flagged} flagged, {n_wrong} wrong without a flag")
    assert n_wrong == 0
    assert n_flagged > 0


@pytest.mark.parametrize("batch_s", [0.05, 2.0, pytest.param(0.09, marks=pytest.mark.long)])
def test_wrong_clock_gives_flags_where_frames_are_taken_in_batches(batch_s: float) -> None:
    _, n_flagged, n_wrong = count_wrong(20_000, f"batches of {batch_s}", batch_s)
    assert n_wrong == 0
    assert n_flagged > 0
