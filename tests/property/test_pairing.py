"""Pairing is decided by data time: in whatever order things come, the exposures are the same, and they are true."""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_service.core.exposure import Exposure, Flag
from stream_service.core.frame import Frame, FrameId, FrameTime, Marks
from stream_service.core.pairing.pairer import Pairer
from stream_service.core.pairing.readback import Readback
from stream_service.core.pairing.rule import ChannelRule, How

MS = 1_000_000
T0_NS = 1_795_218_868 * 1000 * MS
LONG_AFTER_NS = T0_NS + 3_600_000 * MS
PIXELS = np.zeros((1, 1), np.uint16)

RULES = (
    ChannelRule("x", How.TIMESTAMP, scale=1e-6, moving="x_moving"),
    ChannelRule("y", How.TIMESTAMP, scale=1e-6, moving="y_moving"),
    ChannelRule("z", How.TIMESTAMP, gap_s=0.07),
    ChannelRule("shutter", How.TIMESTAMP, is_continuous=False),
    ChannelRule("energy", How.ATTRIBUTE, attribute="energy"),
)


@dataclass(frozen=True)
class Confirm:
    until_ns: int


@dataclass(frozen=True)
class Disconnect:
    pass


Event = Frame | Readback | Confirm | Disconnect


@dataclass(frozen=True)
class Leg:
    """A stretch of a trajectory: a move of `by` (0: the axis pretends to move, as a put of its own position does)."""

    duration_ms: int
    by: float | None
    """None: it rests."""
    is_smooth: bool = False


@dataclass(frozen=True)
class Axis:
    """The truth about one motor: what it did, and what its record posts about that."""

    legs: tuple[Leg, ...]
    period_ms: int

    def starts(self) -> list[tuple[int, float, Leg]]:
        """Start in ms, position there, leg."""
        out, t, position = [], 0, 0.0
        for leg in self.legs:
            out.append((t, position, leg))
            t += leg.duration_ms
            position += leg.by or 0.0
        return out

    def at(self, time_ns: int) -> tuple[float, float]:
        """Position, and by how much a straight line between two posts can miss it (0 at rest)."""
        t_ms = (time_ns - T0_NS) / MS
        starts = self.starts()
        begun, position, leg = starts[max(0, bisect_right([start for start, _, _ in starts], t_ms) - 1)]
        if leg.by is None or t_ms >= begun + leg.duration_ms:
            return position + (leg.by or 0.0), 0.0
        u = max(0.0, t_ms - begun) / leg.duration_ms
        rounding = 1e-9
        if not leg.is_smooth:
            return position + leg.by * u, rounding
        step = min(1.0, self.period_ms / leg.duration_ms)
        return position + leg.by * (3 * u**2 - 2 * u**3), abs(leg.by) * 6 * step**2 / 8 + rounding

    def posts(self, name: str) -> tuple[list[Readback], list[Readback]]:
        """Readback updates and motion updates, as a motor record posts them: on change, the last one of a move before
        the end of the motion is."""
        values = [(T0_NS - 1000 * MS, 0.0)]
        motion = [(T0_NS - 1000 * MS, 0.0)]
        for start, position, leg in self.starts():
            if leg.by is None:
                continue
            end_ns = T0_NS + (start + leg.duration_ms) * MS
            motion += [(T0_NS + start * MS, 1.0), (end_ns, 0.0)]
            between_ns = (T0_NS + t * MS for t in range(start, start + leg.duration_ms, self.period_ms))
            values += [(stamp, self.at(stamp)[0]) for stamp in between_ns] + [(end_ns, position + leg.by)]
        changed = values[:1] + [later for before, later in pairwise(values) if later[1] != before[1]]
        return (
            [Readback(name, value, stamp) for stamp, value in changed],
            [Readback(f"{name}_moving", value, stamp) for stamp, value in motion],
        )


legs = st.builds(
    Leg,
    duration_ms=st.integers(1, 400),
    by=st.none() | st.just(0.0) | st.floats(-50, 50, allow_nan=False).map(lambda by: round(by, 3)),
    is_smooth=st.booleans(),
)
axes = st.builds(Axis, st.lists(legs, min_size=1, max_size=6).map(tuple), st.sampled_from([10, 33, 50, 100]))


@st.composite
def frames(draw: st.DrawFn, length_ms: int) -> list[Frame]:
    """Frames in the order of their stamps (end of exposure), some of them at the very instant of a post."""
    stamps = sorted(draw(st.lists(st.integers(0, length_ms), min_size=1, max_size=8, unique=True)))
    return [
        Frame(n, T0_NS + stamp * MS, PIXELS, {"energy": draw(st.sampled_from([700.0, 705.5, None]))})
        for n, stamp in enumerate(stamps)
    ]


@dataclass(frozen=True)
class Scan:
    """A truth, and the messages about it; the messages of one sender come in their order."""

    x: Axis
    y: Axis
    exposure_s: float
    frames: list[Frame]
    readbacks: dict[str, list[Event]]


def jumps(name: str, stamps_ms: list[int]) -> list[Readback]:
    """A channel of which nothing else is known than that it posts, now and then twice with one stamp."""
    return [Readback(name, float(n), T0_NS + stamp * MS) for n, stamp in enumerate([-1000, *sorted(stamps_ms)])]


@st.composite
def confirmed(draw: st.DrawFn, updates: list[Readback]) -> list[Event]:
    """The updates with confirmations among them, each of them true: it ends before the next update's stamp."""
    out: list[Event] = []
    for n, update in enumerate(updates):
        out.append(update)
        next_ns = updates[n + 1].timestamp_ns if n + 1 < len(updates) else LONG_AFTER_NS
        if next_ns > update.timestamp_ns and draw(st.booleans()):
            out.append(Confirm(draw(st.sampled_from([update.timestamp_ns, next_ns - 1]))))
    return [*out, Confirm(LONG_AFTER_NS)]


@st.composite
def scans(draw: st.DrawFn) -> Scan:
    x, y = draw(axes), draw(axes)
    length_ms = max(sum(leg.duration_ms for leg in axis.legs) for axis in (x, y))
    some_ms = st.lists(st.integers(0, length_ms), max_size=5)
    updates = {
        "z": jumps("z", draw(some_ms)),
        "shutter": jumps("shutter", draw(some_ms)),
    }
    for axis, name in ((x, "x"), (y, "y")):
        updates[name], updates[f"{name}_moving"] = axis.posts(name)
    readbacks = {name: draw(confirmed(posts)) for name, posts in updates.items()}
    return Scan(x, y, draw(st.sampled_from([0.0, 0.005, 0.1])), draw(frames(length_ms + 100)), readbacks)


def interleave(scan: Scan, seed: int | str) -> list[tuple[str, Event]]:
    """All messages in one order; every sender's own order is kept."""
    senders = {"frames": list(scan.frames), **scan.readbacks}
    turns = [name for name, events in senders.items() for _ in events]
    if seed == "frames last":
        turns = [name for name in turns if name != "frames"] + ["frames"] * len(scan.frames)
    elif seed != "frames first":
        random.Random(seed).shuffle(turns)
    streams = {name: iter(events) for name, events in senders.items()}
    return [(name, next(streams[name])) for name in turns]


def deliver(pairer: Pairer, channel: str, event: Event, exposure_s: float) -> None:
    match event:
        case Frame():
            window = FrameTime(Marks.END).window(event.timestamp_ns, exposure_s)
            pairer.add_frame(event, FrameId(0, event.unique_id), event.unique_id, exposure_s, window)
        case Readback():
            pairer.add_readback(event)
        case Confirm():
            pairer.confirm(channel, event.until_ns)
        case Disconnect():
            pairer.disconnect(channel)


def exposures_of(scan: Scan, seed: int | str, *, incremental: bool = True) -> list[Exposure]:
    pairer = Pairer(RULES)
    out = []
    for channel, event in interleave(scan, seed):
        deliver(pairer, channel, event, scan.exposure_s)
        if incremental:
            out += pairer.take()
    return out + pairer.take()


def outcome(exposures: list[Exposure]) -> list[tuple[int, list[str], Flag]]:
    """Everything that must agree: order, every bit of every value, flags."""
    return [(e.ordinal, [f"{name}={value!r}" for name, value in e.values.items()], e.flags) for e in exposures]


def mid_ns(frame: Frame, exposure_s: float) -> int:
    return FrameTime(Marks.END).window(frame.timestamp_ns, exposure_s).mid_ns


orders = st.sampled_from(["frames first", "frames last"]) | st.integers(0, 2**32)


@given(scans(), st.lists(orders, min_size=2, max_size=4))
def test_any_interleaving_gives_the_same_exposures(scan, seeds):
    expected = outcome(exposures_of(scan, "frames last", incremental=False))
    assert [ordinal for ordinal, _, _ in expected] == [frame.unique_id for frame in scan.frames]
    for seed in seeds:
        assert outcome(exposures_of(scan, seed)) == expected


@given(scans(), st.integers(0, 2**32))
def test_incremental_equals_all_at_once(scan, seed):
    assert outcome(exposures_of(scan, seed)) == outcome(exposures_of(scan, seed, incremental=False))


@given(scans(), orders)
def test_positions_are_those_at_mid_exposure(scan, seed):
    for frame, exposure in zip(scan.frames, exposures_of(scan, seed), strict=True):
        for name, axis in (("x", scan.x), ("y", scan.y)):
            truth_um, tolerance_um = axis.at(mid_ns(frame, scan.exposure_s))
            if tolerance_um:
                assert exposure.values[name] == pytest.approx(truth_um * 1e-6, abs=tolerance_um * 1e-6, rel=0)
            else:
                assert exposure.values[name] == truth_um * 1e-6
        assert exposure.flags == (Flag.DISCONNECTED if frame.attributes["energy"] is None else Flag.NONE)


def cut(events: list[Event], draw: st.DrawFn, channel: str) -> list[Event]:
    """The same messages of a channel whose connection was lost for a time: what was posted meanwhile never comes, and
    the first update afterwards is the state as it is then, with its own stamp."""
    updates = [event for event in events if isinstance(event, Readback)]
    first_lost, back = sorted(draw(st.lists(st.integers(1, len(updates)), min_size=2, max_size=2)))
    before, present = updates[:first_lost], updates[back - 1]
    lost_from_ns = updates[first_lost].timestamp_ns if first_lost < len(updates) else LONG_AFTER_NS
    confirmations = [Confirm(lost_from_ns - 1)] if draw(st.booleans()) else []
    return [
        *before,
        *confirmations,
        Disconnect(),
        replace(present, is_after_gap=True),
        *updates[back:],
        Confirm(LONG_AFTER_NS),
    ]


@given(st.data(), scans(), st.sampled_from(["x", "x_moving", "y", "y_moving"]), orders)
def test_after_a_lost_connection_a_position_is_true_or_flagged(data, scan, channel, seed):
    scan = replace(scan, readbacks=scan.readbacks | {channel: cut(scan.readbacks[channel], data.draw, channel)})
    exposures = exposures_of(scan, seed)
    assert sorted(exposure.ordinal for exposure in exposures) == [frame.unique_id for frame in scan.frames]
    for exposure in exposures:  # not in the order of the frames: one that the loss flags at once passes those that wait
        assert exposure.frame is scan.frames[exposure.ordinal]
        if exposure.flags:
            continue
        for name, axis in (("x", scan.x), ("y", scan.y)):
            truth_um, tolerance_um = axis.at(mid_ns(exposure.frame, scan.exposure_s))
            assert exposure.values[name] == pytest.approx(truth_um * 1e-6, abs=tolerance_um * 1e-6, rel=0)


@given(scans(), st.integers(0, 2**32), st.floats(0, 1))
def test_when_the_time_out_is_over_every_frame_leaves_and_none_is_wrong_without_a_flag(scan, seed, share):
    pairer = Pairer(RULES)
    messages = interleave(scan, seed)
    out = []
    for channel, event in messages[: round(share * len(messages))]:
        deliver(pairer, channel, event, scan.exposure_s)
    n_waiting = len(pairer)
    out = pairer.give_up()
    assert len(out) == n_waiting and len(pairer) == 0 and pairer.waiting_bytes == 0
    for exposure in out:
        if not exposure.flags:
            truth_um, tolerance_um = scan.x.at(mid_ns(exposure.frame, scan.exposure_s))
            assert math.isclose(exposure.values["x"], truth_um * 1e-6, rel_tol=0, abs_tol=tolerance_um * 1e-6)


def some_cut(draw: st.DrawFn, scan: Scan) -> Scan:
    """The scan as it is, or with a connection that was lost for a time."""
    channel = draw(st.sampled_from(["", "x", "x_moving", "y", "z"]))
    if not channel:
        return scan
    return replace(scan, readbacks=scan.readbacks | {channel: cut(scan.readbacks[channel], draw, channel)})


@given(st.data(), scans(), orders)
def test_no_frame_waits_that_is_known(data, scan, seed):
    """Frames are not looked at again and again, and are seen all the same as soon as they are known."""
    scan = some_cut(data.draw, scan)
    pairer = Pairer(RULES)
    for channel, event in interleave(scan, seed):
        deliver(pairer, channel, event, scan.exposure_s)
        pairer.take()
        for waiting in pairer._waiting.values():
            assert isinstance(pairer._resolve(waiting, force=False), str)


@given(st.data(), scans(), orders, st.sampled_from(["x", "x_moving", "y", "z", "shutter"]), st.integers(1, 4))
def test_stalled_channel_flags_the_frames_that_leave_for_it_and_no_other(data, scan, seed, stalled, most):
    """It says nothing from some message on, perhaps until the end; no more than `most` frames may wait meanwhile."""
    expected = {exposure.ordinal: exposure for exposure in exposures_of(scan, "frames last", incremental=False)}
    messages = interleave(scan, seed)
    times = [n for n, (name, _) in enumerate(messages) if name == stalled]
    begins = data.draw(st.sampled_from(times))
    ends = data.draw(st.integers(begins, len(messages)))
    late = [message for message in messages[begins:ends] if message[0] == stalled]
    on_time = [message for message in messages[begins:ends] if message[0] != stalled]
    pairer = Pairer(RULES)
    known: list[Exposure] = []
    given_up: list[Exposure] = []
    for channel, event in [*messages[:begins], *on_time, *late, *messages[ends:]]:
        deliver(pairer, channel, event, scan.exposure_s)
        known += pairer.take()
        while pairer.waiting_bytes > most * PIXELS.nbytes:
            given_up += pairer.give_up(1)
    known += pairer.take()
    assert len(pairer) == pairer.waiting_bytes == 0
    assert sorted(exposure.ordinal for exposure in known + given_up) == sorted(expected)
    for exposure in known:
        assert outcome([exposure]) == outcome([expected[exposure.ordinal]])
    for exposure in given_up:
        assert Flag.UNBRACKETED in exposure.flags


@given(st.data(), scans(), orders)
def test_frame_stamped_far_ahead_changes_nothing_for_the_others(data, scan, seed):
    """It waits until it is given up; the others leave as if it were not there."""
    at = data.draw(st.integers(2, max(2, len(scan.frames))))
    expected = outcome(exposures_of(scan, "frames last", incremental=False))
    ahead = Frame(1000, LONG_AFTER_NS + 3600_000 * MS, PIXELS, {"energy": 700.0})
    frames = [replace(frame, unique_id=n + (n >= at)) for n, frame in enumerate(scan.frames)]
    with_ahead = [*frames[:at], replace(ahead, unique_id=at), *frames[at:]]
    pairer = Pairer(RULES)
    out = []
    for channel, event in interleave(replace(scan, frames=with_ahead), seed):
        deliver(pairer, channel, event, scan.exposure_s)
        out += pairer.take()
    (last,) = pairer.give_up()
    assert last.ordinal == at and Flag.UNBRACKETED in last.flags
    others = [(ordinal - (ordinal > at), *rest) for ordinal, *rest in outcome(out)]
    assert sorted(others, key=lambda other: other[0]) == expected


def much_later(scan: Scan) -> list[tuple[str, Event]]:
    """What happens hours afterwards, so much of it that nothing of the scan is at hand any more."""
    begins_ns = LONG_AFTER_NS + 3600_000 * MS
    out: list[tuple[str, Event]] = []
    for channel, events in scan.readbacks.items():
        last = [event for event in events if isinstance(event, Readback)][-1]
        posts = [replace(last, timestamp_ns=begins_ns + 250 * n * MS, is_after_gap=False) for n in range(120)]
        out += [(channel, post) for post in posts] + [(channel, Confirm(begins_ns + 3600_000 * MS))]
    stamps_ns = (begins_ns + (31_000 + n) * MS for n in range(4))
    n_frames = len(scan.frames)
    return out + [("frames", Frame(n, ns, PIXELS, {"energy": 700.0})) for n, ns in enumerate(stamps_ns, n_frames)]


@given(st.data(), scans(), orders)
def test_frames_that_come_hours_late_are_paired_as_they_would_have_been(data, scan, seed):
    """Any of them may have been lost, and a connection, too; their readbacks have long been put aside, and only the
    nearest are taken back: in a scan this short ten seconds would be all of them."""
    scan = some_cut(data.draw, scan)
    in_time, afterwards = (
        {exposure.ordinal: exposure for exposure in exposures_of(scan, order)} for order in (seed, "frames last")
    )
    lost = data.draw(st.sets(st.sampled_from(scan.frames).map(lambda frame: frame.unique_id), min_size=1))
    pairer = Pairer(RULES)
    out = []
    for channel, event in [*interleave(scan, seed), *much_later(scan)]:
        if not (isinstance(event, Frame) and event.unique_id in lost):
            deliver(pairer, channel, event, scan.exposure_s)
            out += pairer.take()
    assert all(len(history.archive) for history in pairer._histories.values())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stream_service.core.pairing.history.REORDER_NS", 0)
        for frame in scan.frames:
            if frame.unique_id in lost:
                deliver(pairer, "frames", replace(frame, is_backfilled=True), scan.exposure_s)
                out += pairer.take()
    assert len(pairer) == 0
    found = {exposure.ordinal: exposure for exposure in out}
    for frame in scan.frames:  # of a lost connection a frame in time may hear before all is known that was before it
        expected = (afterwards if frame.unique_id in lost else in_time)[frame.unique_id]
        assert outcome([found[frame.unique_id]]) == outcome([expected])
