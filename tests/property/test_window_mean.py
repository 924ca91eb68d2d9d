"""The mean over an exposure is that of the path as it is drawn at every moment, and it is known when that is."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from stream_service.core.exposure import Flag
from stream_service.core.frame import Frame, FrameId, FrameTime, Window
from stream_service.core.pairing.history import History
from stream_service.core.pairing.interpolation import Reading, reading_by_gap, reading_with_motion
from stream_service.core.pairing.pairer import Pairer
from stream_service.core.pairing.readback import Readback
from stream_service.core.pairing.rule import ChannelRule, How, Over
from stream_service.core.pairing.window_mean import mean_over

MS = 1_000_000
END_NS = 1000 * MS
PIXELS = np.zeros((1, 1), np.uint16)
N_DENSE = 500
RULES = (
    ChannelRule("x", How.TIMESTAMP, moving="x_moving", over=Over.WINDOW, tolerance=0.1),
    ChannelRule("y", How.TIMESTAMP, gap_s=0.07, over=Over.WINDOW, tolerance=0.1),
)

times_ms = st.lists(st.integers(1, 400), max_size=10, unique=True).map(sorted)
windows = st.tuples(st.integers(1, 400), st.integers(1, 120)).map(lambda w: Window(w[0] * MS, (w[0] + w[1]) * MS))


@st.composite
def updates(draw: st.DrawFn, *, name: str, is_motion: bool = False) -> list[Readback]:
    stamps = [0, *draw(times_ms), 600]  # every motion ends
    values = [float(n % 2) if is_motion else draw(st.integers(-20, 20)) / 2 for n in range(len(stamps))]
    values[-1] = 0.0 if is_motion else values[-1]
    return [Readback(name, value, stamp * MS) for stamp, value in zip(stamps, values, strict=True)]


def history(posts: list[Readback]) -> History:
    made = History()
    for post in posts:
        made.add(post)
    made.confirm(END_NS)
    return made


def dense_mean(window: Window, reading_at) -> tuple[float, float, float]:
    """Mean of value and uncertainty over as many moments, and how far off such a sum of a path with jumps may be."""
    length_ns = window.end_ns - window.start_ns
    readings = [reading_at(window.start_ns + (2 * n + 1) * length_ns // (2 * N_DENSE)) for n in range(N_DENSE)]
    values = np.array([reading.value for reading in readings])
    uncertainties = np.array([reading.uncertainty for reading in readings])
    return values.mean(), uncertainties.mean(), 1e-9 + 40 * np.ptp(values) / N_DENSE


@given(updates(name="x"), updates(name="x_moving", is_motion=True), windows, st.booleans())
def test_mean_is_that_of_the_path_at_every_moment(posts, motion, window, has_motion):
    channel, moves = history(posts), history(motion)

    def reading_at(time_ns: int) -> Reading | None:
        if has_motion:
            return reading_with_motion(time_ns, channel, moves, tolerance=math.inf)
        return reading_by_gap(time_ns, channel, 70 * MS)

    histories = (channel, moves) if has_motion else (channel,)
    found = mean_over(window, histories, reading_at, math.inf)
    assert found is not None
    value, uncertainty, slack = dense_mean(window, reading_at)
    assert found.value == pytest.approx(value, abs=slack)
    if not found.flag:
        assert found.uncertainty >= uncertainty - slack


@given(updates(name="x"), updates(name="x_moving", is_motion=True), updates(name="y"), windows, st.data())
def test_any_interleaving_gives_the_same_mean(posts, motion, others, window, data):
    streams = {"x": posts, "x_moving": motion, "y": others}
    turns = data.draw(st.permutations([name for name, events in streams.items() for _ in events] + ["frame"]))
    expected = outcome(streams, [*streams, "frame"], is_whole=True)
    assert outcome(streams, turns) == expected
    assert len(expected) == 1


def outcome(streams: dict[str, list[Readback]], turns: list[str], *, is_whole: bool = False) -> list[str]:
    pairer = Pairer(RULES)
    left = {name: iter(events) for name, events in streams.items()}
    frame = Frame(0, 0, PIXELS, {})
    found = []
    window = Window(200 * MS, 260 * MS)
    for name in turns:
        if name == "frame":
            pairer.add_frame(replace(frame, timestamp_ns=window.end_ns), FrameId(0, 0), 0, 0.06, window)
        else:
            for readback in left[name] if is_whole else [next(left[name])]:
                pairer.add_readback(readback)
        found += pairer.take()
    for name in streams:
        pairer.confirm(name, END_NS)
        found += pairer.take()
    return [f"{e.values} {e.flags} {e.uncertainty_m} {e.bracket_s}" for e in found]


def test_axis_that_starts_within_the_exposure_has_the_mean_of_rest_and_motion():
    """At rest at 0 until 100 ms, then 10 per 100 ms: over 50 to 150 ms the mean is 1.25; in the middle it is 0."""
    pairer = Pairer((replace(RULES[0], tolerance=math.inf),))
    for stamp, value in ((0, 0.0), (200, 10.0), (300, 20.0)):
        pairer.add_readback(Readback("x", value, stamp * MS))
    for stamp, value in ((0, 0.0), (100, 1.0), (300, 0.0)):
        pairer.add_readback(Readback("x_moving", value, stamp * MS))
    pairer.add_frame(Frame(0, 150 * MS, PIXELS, {}), FrameId(0, 0), 0, 0.1, FrameTime().window(150 * MS, 0.1))
    pairer.confirm("x", END_NS)
    pairer.confirm("x_moving", END_NS)
    (exposure,) = pairer.take()
    assert exposure.values["x"] == pytest.approx(1.25) and exposure.flags == Flag.NONE
    assert exposure.bracket_s == pytest.approx(0.1)


def test_frame_waits_for_the_end_of_its_exposure():
    pairer = Pairer(RULES[:1])
    pairer.add_readback(Readback("x", 0.0, 0))
    pairer.add_readback(Readback("x_moving", 0.0, 0))
    pairer.add_frame(Frame(0, 150 * MS, PIXELS, {}), FrameId(0, 0), 0, 0.1, FrameTime().window(150 * MS, 0.1))
    for until_ms, n_known in ((120, 0), (149, 0), (150, 1)):
        pairer.confirm("x", until_ms * MS)
        pairer.confirm("x_moving", until_ms * MS)
        assert len(pairer.take()) == n_known


@given(updates(name="x"), windows, st.integers(1, 400), st.integers(1, 60))
def test_what_was_lost_within_the_exposure_flags_it(posts, window, lost_ms, length_ms):
    """The connection was gone for a time that touches the exposure."""
    assume(window.start_ns < (lost_ms + length_ms) * MS and lost_ms * MS < window.end_ns)
    channel = history([post for post in posts if post.timestamp_ns < lost_ms * MS])
    channel.confirmed_until_ns = lost_ms * MS - 1
    channel.add(Readback("x", 3.0, (lost_ms + length_ms) * MS, is_after_gap=True))
    channel.confirm(END_NS)
    found = mean_over(window, (channel,), lambda time_ns: reading_by_gap(time_ns, channel, 0), math.inf)
    assert found is not None and Flag.DISCONNECTED in found.flag
