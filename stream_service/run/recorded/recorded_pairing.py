"""Recorded frames meet their values: the same pairer as live, fed from a recording instead of Channel Access.

What was recorded with each frame is its attributes; what was recorded apart (`--readbacks`) is a history. Everything of
it is known up to its end, so no frame ever waits for it; what was after its end nobody knows, so the last value does
not hold there. Histories are fed as the frames come, so that a long one is never kept as single updates in memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from stream_service.core.exposure import Exposure, Flag
from stream_service.core.frame import Frame, FrameTime, Window
from stream_service.core.ledger import Receipt
from stream_service.core.pairing.history import Readback
from stream_service.core.pairing.pairer import ChannelRule, How, Pairer, channels_followed
from stream_service.run.recorded.recorded_clock import span_of_log
from stream_service.sources.tables.recorded_readbacks import RecordedHistory, RecordedReadbacks
from stream_service.text.counted import agrees, counted

END_OF_TIME = 2**63 - 1
MOST_NAMES = 5
"""Frames that a note lists."""


class RecordedPairing:
    """Frames in, exposures out, one for one and in order."""

    def __init__(
        self,
        rules: Sequence[ChannelRule],
        frame_time: FrameTime,
        readbacks: RecordedReadbacks | None,
    ) -> None:
        self._pairer = Pairer(rules)
        self._without_stamp = Pairer(rules)
        """For frames without a stamp, which must not look like a clock that was set back."""
        self._sampled = [rule.name for rule in rules if _is_doubtful_between_entries(rule)]
        self._frame_time = frame_time
        self._histories = histories = readbacks.histories if readbacks else {}
        self._feeds = {name: Feed(name, histories[name]) for name in channels_followed(rules)}
        self._log = span_of_log(readbacks, list(self._feeds)) if readbacks and self._feeds else None
        self._n_frames = self._n_before = self._n_after = self._n_uncertain = 0
        self._without_time: list[int] = []
        """uniqueIds of frames whose stamp is no time."""

    def notes(self) -> Iterator[str]:
        """Sentences about frames that the readbacks say nothing of; to be read at the end."""
        if n := len(self._without_time):
            shown = ", ".join(map(str, self._without_time[:MOST_NAMES])) + (", ..." if n > MOST_NAMES else "")
            yield (
                f"{n} of {counted(self._n_frames, 'frame')} {agrees(n, 'has')} the stamp of the frame "
                f"before, an earlier one or "
                f"none, so that nobody knows when {'it was' if n == 1 else 'they were'} taken: "
                f"{'it is' if n == 1 else 'they are'} stored, and not used: uniqueId {shown}"
            )
        if self._n_uncertain and self._sampled:
            yield (
                f"{self._n_uncertain} of {counted(self._n_frames, 'frame')} "
                f"{agrees(self._n_uncertain, 'lies')} between entries of the log too far apart to tell "
                f"how {' and '.join(self._sampled)} moved between them; if there is an entry whenever an axis moved, "
                "say --readbacks-on-change"
            )
        for n, where in ((self._n_before, "before the log of readbacks begins"), (self._n_after, "after it ends")):
            if n:
                they = "it is" if n == 1 else "they are"
                yield (
                    f"{n} of {counted(self._n_frames, 'frame')} {agrees(n, 'was')} taken {where}: {they} "
                    f"stored, and not used"
                )

    def updates(self) -> Iterator[Readback]:
        """Every update of the histories, to be recorded with the rows; those that pairing has no use for, too."""
        for name, history in self._histories.items():
            yield from Feed(name, history).until(END_OF_TIME)

    def pair(self, frame: Frame, receipt: Receipt, exposure_s: float) -> Exposure:
        """The frame with its readbacks; what was not recorded is NaN and flagged."""
        window = self._frame_time.window(frame.timestamp_ns, exposure_s if math.isfinite(exposure_s) else 0.0)
        if self._feeds and not frame.timestamp_ns:
            return self._pair_without_stamp(frame, receipt, exposure_s, window)
        is_known = self._log is None or window.mid_ns <= self._log.end_ns
        if is_known:
            self._feed(window.end_ns)
        self._pairer.add_frame(frame, receipt.id, receipt.ordinal, exposure_s, window)
        ready = self._pairer.take()
        while not ready and is_known and self._feed_one_more():
            ready = self._pairer.take()
        (exposure,) = ready or self._pairer.give_up()
        self._account_for(exposure, window.mid_ns)
        return exposure

    def _pair_without_stamp(self, frame: Frame, receipt: Receipt, exposure_s: float, window: Window) -> Exposure:
        self._without_stamp.add_frame(frame, receipt.id, receipt.ordinal, exposure_s, window)
        (found,) = self._without_stamp.give_up()
        flags, position_flags = (
            flags & ~Flag.UNBRACKETED | Flag.NO_TIME if Flag.UNBRACKETED in flags else flags
            for flags in (found.flags, found.position_flags)
        )
        exposure = replace(found, flags=flags, position_flags=position_flags)
        self._account_for(exposure, window.mid_ns)
        return exposure

    def _feed(self, until_ns: int) -> None:
        for name, feed in self._feeds.items():
            for update in feed.until(until_ns):
                self._pairer.add_readback(update)
            self._confirm(name, feed)

    def _feed_one_more(self) -> bool:
        """Give the next update of every channel; False if there is none."""
        given = False
        for name, feed in self._feeds.items():
            for update in feed.next_one():
                self._pairer.add_readback(update)
                given = True
            self._confirm(name, feed)
        return given

    def _confirm(self, name: str, feed: Feed) -> None:
        """After the last update of a channel the log says by its end that no more came."""
        if feed.is_at_end and self._log is not None:
            self._pairer.end(name, self._log.end_ns)

    def _account_for(self, exposure: Exposure, mid_ns: int) -> None:
        self._n_frames += 1
        self._n_uncertain += Flag.UNCERTAIN in exposure.position_flags
        if Flag.NO_TIME in exposure.flags:
            self._without_time.append(exposure.id.unique_id)
        elif self._log is not None:
            self._n_before += mid_ns < self._log.start_ns
            self._n_after += mid_ns > self._log.end_ns


def _is_doubtful_between_entries(rule: ChannelRule) -> bool:
    is_guessed = rule.how is How.TIMESTAMP and not rule.moving and rule.is_continuous
    return is_guessed and rule.is_sampled and math.isfinite(rule.tolerance)


class Feed:
    """The updates of one channel in the order of time, given out once."""

    def __init__(self, name: str, history: RecordedHistory) -> None:
        self._name = name
        self._history = history
        self._next = 0

    @property
    def is_at_end(self) -> bool:
        """True once every update was given."""
        return self._next == len(self._history.values)

    def until(self, time_ns: int) -> Iterator[Readback]:
        """The updates not given yet, up to and with the first one after `time_ns`."""
        timestamps_ns = self._history.timestamps_ns
        while not self.is_at_end and (self._next == 0 or timestamps_ns[self._next - 1] <= time_ns):
            yield from self.next_one()

    def next_one(self) -> Iterator[Readback]:
        """The next update, if there is one."""
        if self.is_at_end:
            return
        value, stamp_ns = float(self._history.values[self._next]), int(self._history.timestamps_ns[self._next])
        self._next += 1
        yield Readback(self._name, value, stamp_ns, is_valid=value - value == 0)
