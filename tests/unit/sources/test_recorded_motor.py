"""A step scan with a real motor record: its recorded histories, in every order of arrival, give the planned positions.

The recording (tests/data/ADCORE.md) has DMOV as its motion, whose start carries the stamp of the previous move.
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from stream_service.core.exposure import Exposure, Flag
from stream_service.core.frame import Frame, FrameId, FrameTime
from stream_service.core.pairing.pairer import Pairer
from stream_service.core.pairing.readback import Readback
from stream_service.core.pairing.rule import ChannelRule, How

RECORDED = np.load(Path(__file__).parents[2] / "data" / "real_motor_step_dmov.npz")
PIXELS = np.zeros((1, 1), np.uint16)
TOLERANCE_M = 3e-9
RULES = [
    ChannelRule(name, How.TIMESTAMP, scale=1e-6, moving=f"{name}_moving", tolerance=TOLERANCE_M) for name in ("x", "y")
]
CHANNELS = ("x", "x_moving", "y", "y_moving")
N_FRAMES = len(RECORDED["frame_unique_id"])


def updates_of(channel: str) -> list[Readback]:
    stamps_ns, values = RECORDED[f"{channel}_timestamp_ns"], RECORDED[f"{channel}_value"]
    return [Readback(channel, float(v), int(t)) for t, v in zip(stamps_ns, values, strict=True)]


def frame_of(number: int) -> tuple[Frame, float]:
    frame = Frame(int(RECORDED["frame_unique_id"][number]), int(RECORDED["frame_timestamp_ns"][number]), PIXELS, {})
    return frame, float(RECORDED["exposure_s"][number])


def pair(order: list[str], *, confirms: random.Random | None) -> list[Exposure]:
    """Deliver the messages of every sender in its own order, the senders as `order` says."""
    pairer = Pairer(RULES)
    updates = {name: updates_of(name) for name in CHANNELS}
    n_given = dict.fromkeys((*CHANNELS, "frames"), 0)
    exposures = []
    for sender in order:
        n = n_given[sender]
        n_given[sender] += 1
        if sender == "frames":
            frame, exposure_s = frame_of(n)
            window = FrameTime().window(frame.timestamp_ns, exposure_s)
            pairer.add_frame(frame, FrameId(0, frame.unique_id), n, exposure_s, window)
        else:
            pairer.add_readback(updates[sender][n])
            later = [update for update in updates[sender][n:] if update.timestamp_ns > updates[sender][n].timestamp_ns]
            if confirms is not None and later and confirms.random() < 0.5:
                pairer.confirm(sender, later[0].timestamp_ns - 1)
        exposures += pairer.take()
    for name in CHANNELS:
        pairer.confirm(name, 2**63 - 1)
    return exposures + pairer.take()


def wrong_without_a_flag(exposures: list[Exposure]) -> list[int]:
    """The stage moves the sample: it is at minus the planned position of the beam. Planned places are not rounded to
    the motor's step of 1 nm."""
    assert len(exposures) == N_FRAMES
    return [
        exposure.ordinal
        for exposure in exposures
        if not exposure.flags
        and max(abs(exposure.values[name] + RECORDED[f"planned_{name}_m"][exposure.ordinal]) for name in ("x", "y"))
        > TOLERANCE_M
    ]


def in_time() -> list[str]:
    """The order in which it must have come: a start of motion comes just before what it moves."""
    arrivals: list[tuple[float, int, str]] = []
    for channel in CHANNELS:
        updates = updates_of(channel)
        for n, update in enumerate(updates):
            at_ns = update.timestamp_ns
            if channel.endswith("_moving") and update.value:
                end_ns = updates[n + 1].timestamp_ns
                axis_ns = RECORDED[f"{channel.removesuffix('_moving')}_timestamp_ns"]
                at_ns = int(min(axis_ns[axis_ns > at_ns].min(), end_ns)) - 90_000_000
            arrivals.append((max(at_ns, update.timestamp_ns), len(arrivals), channel))
    for number in range(N_FRAMES):
        arrivals.append((frame_of(number)[0].timestamp_ns, len(arrivals), "frames"))
    return [sender for _, _, sender in sorted(arrivals)]


@pytest.mark.parametrize("seed", range(50))
def test_in_any_order_positions_are_those_planned_or_flagged(seed: int) -> None:
    dice = random.Random(seed)
    order = in_time()
    if seed:
        dice.shuffle(order)
    assert wrong_without_a_flag(pair(order, confirms=dice if seed % 2 else None)) == []


@pytest.mark.parametrize("order", ["frames first", "frames last"])
def test_frames_all_before_or_all_after_the_readbacks(order: str) -> None:
    """As `--readbacks` does it, too, where 59 of 60 rows were wrong without a flag."""
    readbacks = [sender for sender in in_time() if sender != "frames"]
    frames = ["frames"] * N_FRAMES
    exposures = pair(frames + readbacks if order == "frames first" else readbacks + frames, confirms=None)
    assert wrong_without_a_flag(exposures) == []
    assert {exposure.flags for exposure in exposures} <= {Flag.NONE, Flag.UNCERTAIN}
