"""Recorded frames meet their values: the same pairer as live, fed from a recording instead of Channel Access.

What was recorded with each frame is its attributes; what was recorded apart (`--readbacks`) is a history, of which
everything is known, so no frame ever waits for it. Histories are fed as the frames come, so that a long one is never
held as single updates in memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from stream_service.core.exposure import Exposure
from stream_service.core.frame import Frame, FrameTime
from stream_service.core.ledger import Receipt
from stream_service.core.pairing import ChannelRule, Pairer, channels_followed
from stream_service.core.readback import Readback
from stream_service.sources.recorded_readbacks import FrameRows, RecordedHistory, RecordedReadbacks

END_OF_TIME = 2**63 - 1


class RecordedPairing:
    """Frames in, exposures out, one for one and in order."""

    def __init__(
        self,
        rules: Sequence[ChannelRule],
        frame_time: FrameTime,
        readbacks: RecordedReadbacks | None,
    ) -> None:
        self._pairer = Pairer(rules)
        self._frame_time = frame_time
        self._rows = readbacks.rows if readbacks else None
        self._n_with_row = self._n_without_row = 0
        self._histories = histories = readbacks.histories if readbacks else {}
        self._feeds = {name: Feed(name, histories[name]) for name in channels_followed(rules)}
        for name in self._feeds:
            self._pairer.confirm(name, END_OF_TIME)

    def notes(self) -> Iterator[str]:
        """Sentences about frames without a row, and rows without a frame; to be read at the end."""
        if self._n_without_row:
            yield f"{self._n_without_row} frames have no row in the log of readbacks: they are stored, and not used"
        if self._rows is not None and (n_alone := len(self._rows.row_of) - self._n_with_row):
            yield f"{n_alone} of {len(self._rows.row_of)} rows in the log of readbacks have no frame"

    def updates(self) -> Iterator[Readback]:
        """Every update of the histories, to be recorded with the rows; those that pairing has no use for, too."""
        for name, history in self._histories.items():
            yield from Feed(name, history).until(END_OF_TIME)

    def pair(self, frame: Frame, receipt: Receipt, exposure_s: float) -> Exposure:
        """The frame with its readbacks; what was not recorded is NaN and flagged."""
        if self._rows is not None:
            frame = with_row(frame, self._rows, receipt.ordinal)
            has_row = row_attribute("x") in frame.attributes
            self._n_with_row += has_row
            self._n_without_row += not has_row
        window = self._frame_time.window(frame.timestamp_ns, exposure_s if math.isfinite(exposure_s) else 0.0)
        for feed in self._feeds.values():
            for update in feed.until(window.end_ns):
                self._pairer.add_readback(update)
        self._pairer.add_frame(frame, receipt.id, receipt.ordinal, exposure_s, window)
        (exposure,) = self._pairer.take()
        return exposure


def row_attribute(name: str) -> str:
    """Under which a value of a frame's row in the log stands among its attributes."""
    return f"--readbacks {name}"


def with_row(frame: Frame, rows: FrameRows, ordinal: int) -> Frame:
    """The frame with the values of its row as attributes; the frame as it is if it has none."""
    values = rows.values(frame.unique_id, ordinal)
    named = {row_attribute(name): value for name, value in values.items()}
    return replace(frame, attributes={**frame.attributes, **named}) if named else frame


class Feed:
    """The updates of one channel in the order of time, given out once."""

    def __init__(self, name: str, history: RecordedHistory) -> None:
        self._name = name
        self._history = history
        self._next = 0

    def until(self, time_ns: int) -> Iterator[Readback]:
        """The updates not given yet, up to and with the first one after `time_ns`."""
        timestamps_ns, values = self._history.timestamps_ns, self._history.values
        while self._next < len(values) and (self._next == 0 or timestamps_ns[self._next - 1] <= time_ns):
            value = float(values[self._next])
            yield Readback(self._name, value, int(timestamps_ns[self._next]), is_valid=value - value == 0)
            self._next += 1
