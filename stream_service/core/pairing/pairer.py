"""Pairing of frames with readbacks: declared per channel, decided by data time, never by order of arrival.

A frame waits here until what its channels were during its exposure is *known*, not guessed: a later update has come,
or the source has confirmed that nothing more is on its way (`History.known_until_ns`). So any interleaving of the
same frames and readbacks gives the same exposures. A frame leaves as soon as it is known, past those that are not yet.
Only the loss of a PV (`disconnect`) or the caller, whose time-out or memory ends (`give_up`), can end the wait, and
then the row says so in its flags. See ADR 0004.

What decides is data time, so what is wrong with a clock is flagged (ADR 0010): a frame whose stamp is not later than
that of the frame before has no known time, and where the clocks of frames and of a channel are seen to differ by more
than a limit, nothing that was paired across them is trusted. An NDAttribute that leaves its own PV behind is flagged,
too.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

from stream_service.core.clock import DEFAULT_LIMIT_S, Clock
from stream_service.core.exposure import POSITION_CHANNELS, Exposure, Flag
from stream_service.core.frame import NO_STAMP, NS_PER_S, Frame, FrameId, Window
from stream_service.core.pairing.attributes import attribute_doubt, attribute_reading
from stream_service.core.pairing.clock_offsets import ClockOffsets
from stream_service.core.pairing.frame_times import FrameTimes
from stream_service.core.pairing.hardware_array import HardwareArray
from stream_service.core.pairing.hardware_arrays import HardwareArrays
from stream_service.core.pairing.history import REORDER_NS, History
from stream_service.core.pairing.interpolation import Reading, best_guess, reading_by_gap, reading_with_motion
from stream_service.core.pairing.readback import Readback, Unheard
from stream_service.core.pairing.rule import ChannelRule, How, Over, channels_followed
from stream_service.core.pairing.travel import further, travel_over
from stream_service.core.pairing.unsure_frames import UnsureFrames, WaitingFrame
from stream_service.core.pairing.waiting import Line
from stream_service.core.pairing.window_mean import mean_over, worst

LAST_FRAMES = 3
"""One of the last frames may be stamped wrongly: how far time has come is told by the earliest of so many."""


class Pairer:
    """Frames and readbacks in, exposures out.

    `clock_limit_s` is how far the clocks of frames and readbacks may differ, `frame_delay_s` how long a frame is known
    to take from the end of its exposure to us.
    """

    def __init__(
        self, rules: Sequence[ChannelRule], clock_limit_s: float = DEFAULT_LIMIT_S, frame_delay_s: float = 0.0
    ) -> None:
        self._rules = tuple(rules)
        limit_ns = round(clock_limit_s * NS_PER_S)
        self._times = FrameTimes(limit_ns)
        motions = {rule.moving for rule in rules}
        self._histories = {
            name: History(clock=Clock(limit_ns), tells_motion=name in motions) for name in channels_followed(rules)
        }
        self._offsets = ClockOffsets(self._times, self._histories, limit_ns, round(frame_delay_s * NS_PER_S))
        self.arrays = HardwareArrays(rules)
        """Of the channels that are paired by index."""
        self._waiting: OrderedDict[int, WaitingFrame] = OrderedDict()
        """In the order in which they came, by a number of ours."""
        self._n_came = self._n_looked_at = 0
        followed = {*self._histories, *self.arrays}
        self._lines = {rule.name: self._line_of(rule) for rule in rules if rule.name in followed}
        self._means = {rule.name for rule in rules if rule.over is Over.WINDOW or rule.tells_travel}
        self._longest_ns = 0
        """Of all exposures so far."""
        self._left_ns: deque[int] = deque(maxlen=LAST_FRAMES)
        """Starts of the last exposures that have left, of those that have a time."""
        self.waiting_bytes = 0
        self.refuted: set[int] = set()
        """Ordinals of frames that have left, whose stamps turned out to be no times."""
        self.unsure = UnsureFrames()
        """Frames that left before their channels were known."""
        self._unheard: dict[Unheard, None] = {}
        self.n_given_up: Counter[str] = Counter()
        """Frames that left before a channel was known, by its name; for the caller to clear."""

    def _line_of(self, rule: ChannelRule) -> Line:
        if rule.how is How.INDEX:
            return Line(self.arrays.changing(rule.name), self._waiting, is_ordered=False)
        names = (rule.name, rule.moving) if rule.moving else (rule.name,)
        histories = tuple(self._histories[name] for name in names)
        return Line(histories, self._waiting, is_ordered=rule.how is How.TIMESTAMP)

    def __len__(self) -> int:
        return len(self._waiting)

    def add_frame(
        self,
        frame: Frame,
        id: FrameId,
        ordinal: int,
        exposure_s: float,
        window: Window,
        received_ns: int | None = None,
        *,
        is_stamped: bool = True,
        is_repeated: bool = False,
    ) -> None:
        """Take a frame that the ledger calls new; `received_ns` tells when it came (roughly, if it has waited).

        `is_stamped` False: it is known beforehand that its stamp is no time; `is_repeated`: nor that it is its own.
        """
        if frame.is_backfilled:
            has_time = is_stamped and self._times.are_about(ordinal)
        else:
            has_time = self._times.enter(
                ordinal,
                window,
                received_ns,
                is_stamped=is_stamped,
                waited_s=frame.waited_s,
                is_repeated=is_repeated,
            )
            if refuted := self._times.take_refuted():
                self._lose_time(set(refuted))
        self.arrays.add_frame(ordinal, frame.timestamp_ns)
        self._waiting[self._n_came] = WaitingFrame(frame, id, ordinal, exposure_s, window, has_time)
        self._n_came += 1
        if window.end_ns - window.start_ns > self._longest_ns:
            self._longest_ns = window.end_ns - window.start_ns
        self.waiting_bytes += frame.pixels.nbytes

    @property
    def moving_at_rest(self) -> list[str]:
        """The channels that went somewhere while what tells their motion said that they rest."""
        return [name for name, history in self._histories.items() if history.moves_at_rest]

    @property
    def n_unproven(self) -> int:
        """Frames that came too late to tell whether their clock had stepped, since one came promptly last."""
        return self._times.n_unproven

    def clock_offsets_s(self) -> dict[str, float]:
        """By how much the clock of each channel is ahead of that of the frames, as far as receipts tell."""
        return self._offsets.known_s()

    def add_readback(self, readback: Readback) -> None:
        """Take an update of a channel; those of channels nobody pairs are ignored."""
        if history := self._histories.get(readback.channel):
            history.add(readback)
            if readback.is_after_gap and history.gaps_ns:
                self._unheard[Unheard(readback.channel, *history.gaps_ns[-1])] = None
            if not readback.is_valid or history.untimed_ns:
                self._unheard[Unheard(readback.channel, None, None)] = None

    def _lose_time(self, ordinals: set[int]) -> None:
        """The stamps of frames that came before turn out to be no times."""
        self.unsure.lose_time(ordinals)
        self.refuted |= ordinals
        for number, waiting in self._waiting.items():
            if waiting.ordinal in ordinals:
                self._waiting[number] = replace(waiting, has_time=False)
                self.refuted.remove(waiting.ordinal)

    def restore(self, readbacks: Iterable[Readback], unheard: Sequence[Unheard]) -> None:
        """Take the record of channels of before, each in its order, and what it does not tell of."""
        self._unheard = dict.fromkeys(unheard)
        left_out = {stretch.channel for stretch in unheard if stretch.from_ns is None}
        for readback in readbacks:
            if readback.channel not in left_out:
                self.add_readback(readback)
        for channel, from_ns, to_ns in unheard:
            if from_ns is not None and to_ns is not None and channel in self._histories:
                self._histories[channel].gaps_ns.append((from_ns, to_ns))

    @property
    def unheard(self) -> Sequence[Unheard]:
        """What a record of the updates does not tell of, the oldest first; it only grows."""
        return tuple(self._unheard)

    def newest(self, channel: str) -> Readback | None:
        """The update of a channel that is stamped last."""
        history = self._histories.get(channel)
        return history.readbacks[-1] if history and history.readbacks else None

    def confirm(self, channel: str, until_ns: int) -> None:
        """The source guarantees: every update of `channel` stamped at or before `until_ns` has been added."""
        if history := self._histories.get(channel):
            history.confirm(until_ns)

    def retract(self, until_ns: int) -> None:
        """Data time has come no further than this: what was confirmed beyond was so because of a wrong stamp."""
        for history in self._histories.values():
            history.retract(until_ns)

    def end(self, channel: str, at_ns: int) -> None:
        """The record of `channel` ends at `at_ns`: nothing is known after it. Nothing more comes of an array."""
        if history := self._histories.get(channel):
            history.end(at_ns)
        else:
            self.arrays.end(channel)

    def disconnect(self, channel: str) -> None:
        """The channel's PV is gone: what it is from now on is not known until it posts again."""
        if history := self._histories.get(channel):
            history.disconnect()

    def take(self) -> list[Exposure]:
        """The exposures that are known by now, in the order their frames came in."""
        ready: dict[int, Exposure] = {}
        for line in self._lines.values():
            line.advance(partial(self._must_wait, ready, line))
        for number in range(self._n_looked_at, self._n_came):
            if number in self._waiting:
                self._must_wait(ready, None, number)
        self._n_looked_at = self._n_came
        return self._left(ready)

    def _must_wait(self, ready: dict[int, Exposure], here: Line | None, number: int) -> bool:
        """Look at a frame, which leaves or waits for the first channel that is not known: True if it does so `here`."""
        waiting = self._waiting[number]
        found = self._resolve(waiting, force=False)
        if isinstance(found, Exposure):
            ready[number] = found
            self._leave(number)
            if found.flags and self.arrays.may_put_right(found.flags):  # nearly all have none
                self.unsure.remember(waiting)
            return False
        if (line := self._lines[found]) is not here:
            window = waiting.window
            line.add(window.end_ns if found in self._means else window.mid_ns, number, len(self._waiting))
        return line is here

    def give_up(self, at_most: int | None = None) -> list[Exposure]:
        """The frames that wait, or those of them that came first, with what is known; what is not known is flagged."""
        ready: dict[int, Exposure] = {}
        for _ in range(len(self) if at_most is None else min(at_most, len(self))):
            number = next(iter(self._waiting))
            waiting = self._waiting[number]
            found = self._resolve(waiting, force=True)
            assert isinstance(found, Exposure)
            ready[number] = found
            self._leave(number)
            if found.flags:
                self.unsure.remember(waiting)
        return self._left(ready)

    def known_late(self) -> list[Exposure]:
        """The exposures, without pixels, of frames that left before their channels were known, as far as these are
        known by now; each is given once."""
        return self.unsure.take_known(partial(self._resolve, force=False)) + self.arrays.known_late()

    def _leave(self, number: int) -> None:
        left = self._waiting.pop(number)
        self.waiting_bytes -= left.frame.pixels.nbytes
        if left.has_time:
            self._left_ns.append(left.window.start_ns)

    def _left(self, ready: dict[int, Exposure]) -> list[Exposure]:
        """The exposures in the order in which their frames came; what no later one needs of the histories is let go."""
        if ready and len(self._left_ns) == LAST_FRAMES:
            firsts = (line.first_ns for line in self._lines.values())
            oldest_ns = min(*self._left_ns, *(first_ns for first_ns in firsts if first_ns is not None))
            for history in self._histories.values():
                history.forget_before(min(oldest_ns, history.newest_ns) - self._longest_ns - REORDER_NS)
        return [ready[number] for number in sorted(ready)]

    def _resolve(self, waiting: WaitingFrame, *, force: bool) -> Exposure | str:
        """The exposure; or the name of the first channel that is not known yet."""
        values: dict[str, float] = {}
        by_index: list[tuple[HardwareArray, Flag]] = []
        flags = position_flags = Flag.NONE
        uncertainty_m = bracket_ns = 0.0
        travel_m = math.nan
        for rule in self._rules:
            if rule.how is How.ATTRIBUTE:
                reading = attribute_reading(waiting.frame, rule.attribute)
                if rule.has_pv and not reading.flag:
                    doubt = attribute_doubt(
                        reading.value,
                        waiting.window,
                        self._histories[rule.name].around(waiting.window),
                        rule.tolerance / rule.scale,
                    )
                    if doubt is None and not force:
                        return rule.name
                    if doubt is None:
                        self.n_given_up[rule.name] += 1
                    reading = Reading(reading.value, Flag.STALE if doubt is None else doubt)
            elif rule.how is How.INDEX:
                array = self.arrays[rule.name]
                reading = self.arrays.reading(rule.name, waiting.ordinal)
                if reading is None:
                    if not force:
                        return rule.name
                    reading = Reading(math.nan, Flag.MISSING)
                    self.n_given_up[rule.name] += 1
                by_index.append((array, reading.flag))
            else:
                reading = self._from_history(waiting, rule)
                if reading is None:
                    if not force:
                        return rule.name
                    reading = best_guess(waiting.window.mid_ns, self._histories[rule.name].around(waiting.window))
                    self.n_given_up[rule.name] += 1
                elif rule.tells_travel:
                    travel = self._travel(waiting, rule)
                    if travel is None and not force:
                        return rule.name
                    travel_m = further(travel_m, (math.nan if travel is None else travel) * abs(rule.scale))
            value, flag, uncertainty, gap_ns = reading
            values[rule.name] = value * rule.scale
            if flag:
                flags |= flag
            if rule.name in POSITION_CHANNELS:
                if flag:
                    position_flags |= flag
                if uncertainty:
                    uncertainty_m = worst(uncertainty_m, uncertainty * rule.scale)
                if gap_ns > bracket_ns:  # which NaN is not
                    bracket_ns = gap_ns
        if by_index and waiting.ordinal not in self.unsure:
            for array, flag in by_index:
                array.leave(waiting.ordinal, flag)
        return Exposure(
            waiting.frame,
            waiting.id,
            waiting.ordinal,
            waiting.exposure_s,
            values,
            flags,
            position_flags,
            uncertainty_m,
            bracket_ns / NS_PER_S if bracket_ns else math.nan,
            travel_m,
        )

    def _from_history(self, waiting: WaitingFrame, rule: ChannelRule) -> Reading | None:
        """Value during the exposure, with what it is worth; None if it is not known yet."""
        channel = self._histories[rule.name].around(waiting.window)
        histories = (channel, self._histories[rule.moving].around(waiting.window)) if rule.moving else (channel,)
        time_ns = waiting.window.mid_ns
        if waiting.frame.timestamp_ns == NO_STAMP:
            return Reading(math.nan, Flag.NO_TIME)
        if not waiting.has_time:
            guess = best_guess(time_ns, channel)
            return Reading(guess.value, guess.flag & ~Flag.UNBRACKETED | Flag.NO_TIME)
        if rule.over is Over.WINDOW:
            reading = mean_over(waiting.window, histories, partial(_at, rule, histories), rule.tolerance / rule.scale)
        else:
            reading = _at(rule, histories, time_ns)
        if reading is not None and self._offsets.disagree(rule, was_late=waiting.frame.is_backfilled):
            self._unheard[Unheard(rule.name, None, None)] = None
            return Reading(reading.value, reading.flag | Flag.CLOCKS_DISAGREE)
        return reading

    def _travel(self, waiting: WaitingFrame, rule: ChannelRule) -> float | None:
        """How far the channel went during the exposure, in its own unit; None if that is not known yet."""
        if not waiting.has_time or waiting.frame.timestamp_ns == NO_STAMP:
            return math.nan
        names = (rule.name, rule.moving) if rule.moving else (rule.name,)
        histories = tuple(self._histories[name].around(waiting.window) for name in names)
        return travel_over(waiting.window, histories[0], partial(_at, rule, histories))


def _at(rule: ChannelRule, histories: tuple[History, ...], time_ns: int) -> Reading | None:
    """Value at one moment, by the history of the channel and that of its motion; None if it is not known yet."""
    tolerance = rule.tolerance / rule.scale
    if rule.moving:
        channel, motion = histories
        return reading_with_motion(time_ns, channel, motion, tolerance)
    gap_ns = round(rule.gap_s * NS_PER_S) if rule.is_continuous else 0
    return reading_by_gap(
        time_ns, histories[0], gap_ns, tolerance, rests_in_silence=rule.rests_in_silence, is_sampled=rule.is_sampled
    )
