"""Coverage of the frames of a recording by its log: those that the log says nothing of, in sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from stream_service.core.exposure import Exposure, Flag
from stream_service.core.frame import FrameTime
from stream_service.core.pairing.rule import ChannelRule, How, channels_followed
from stream_service.run.recorded.recorded_clock import span_of_log
from stream_service.sources.tables.recorded_readbacks import RecordedReadbacks
from stream_service.text.counted import agrees, counted

ON_CHANGE = "if there is an entry whenever an axis moved, say --readbacks-on-change"
MOST_NAMES = 5
"""Frames that a note lists."""


class LogCoverage:
    """Looks at each exposure on its way into the file."""

    def __init__(
        self,
        rules: Sequence[ChannelRule],
        frame_time: FrameTime,
        readbacks: RecordedReadbacks | None,
        *,
        are_of_frames: bool = False,
    ) -> None:
        """`are_of_frames`: the entries of the log are stamped as the frames are."""
        self._sampled = [rule.name for rule in rules if _is_doubtful_between_entries(rule)]
        self._frame_time = frame_time
        by_time = channels_followed(rules)
        entries = [readbacks.histories[axis] for axis in "xy" if readbacks and readbacks.has(axis)]
        self._n_entries = max((len(history.values) for history in entries), default=0)
        self._are_of_frames = are_of_frames
        self._log = span_of_log(readbacks, by_time) if readbacks and by_time else None
        self._n_frames = self._n_before = self._n_after = self._n_uncertain = 0
        self._without_time: list[int] = []
        """uniqueIds of frames whose stamp is no time."""

    def see(self, exposure: Exposure) -> None:
        """Take the next one."""
        self._n_frames += 1
        self._n_uncertain += Flag.UNCERTAIN in exposure.position_flags
        if Flag.NO_TIME in exposure.flags:
            self._without_time.append(exposure.id.unique_id)
        elif self._log is not None:
            exposure_s = exposure.exposure_s if math.isfinite(exposure.exposure_s) else 0.0
            mid_ns = self._frame_time.window(exposure.frame.timestamp_ns, exposure_s).mid_ns
            self._n_before += mid_ns < self._log.start_ns
            self._n_after += mid_ns > self._log.end_ns

    def notes(self) -> Iterator[str]:
        """Sentences about such frames; to be read at the end."""
        if n := len(self._without_time):
            shown = ", ".join(map(str, self._without_time[:MOST_NAMES])) + (", ..." if n > MOST_NAMES else "")
            yield (
                f"{n} of {counted(self._n_frames, 'frame')} {agrees(n, 'has')} the stamp of the frame "
                f"before, an earlier one or none, or one far from those beside it, so that nobody knows when "
                f"{'it was' if n == 1 else 'they were'} taken: "
                f"{'it is' if n == 1 else 'they are'} stored, and not used: uniqueId {shown}"
            )
        if self._n_uncertain and self._sampled:
            yield f"{self._n_uncertain} of {counted(self._n_frames, 'frame')} {self._why_uncertain()}"
        for n, where in ((self._n_before, "before the log of readbacks begins"), (self._n_after, "after it ends")):
            if n:
                they = "it is" if n == 1 else "they are"
                yield (
                    f"{n} of {counted(self._n_frames, 'frame')} {agrees(n, 'was')} taken {where}: {they} "
                    f"stored, and not used"
                )

    def _why_uncertain(self) -> str:
        moved = f"how {' and '.join(self._sampled)} moved between them"
        why = f"{agrees(self._n_uncertain, 'lies')} between entries "
        if self._are_of_frames:
            why += f"that are stamped as the frames are, which do not tell {moved}"
        else:
            why += f"of the log too far apart to tell {moved}"
        if self._n_entries == self._n_frames:
            why += "; if each entry is the position at which one frame was taken, say --match order"
        elif self._are_of_frames:
            why += (
                "; if each entry is the position at which one frame was taken, give it the unique_id or the "
                f"frame_index of that frame: there are {self._n_entries} entries"
            )
        return why if self._are_of_frames else f"{why}; {ON_CHANGE}"


def _is_doubtful_between_entries(rule: ChannelRule) -> bool:
    is_guessed = rule.how is How.TIMESTAMP and not rule.moving and rule.is_continuous
    return is_guessed and rule.is_sampled and math.isfinite(rule.tolerance)
