"""Frames of a run meet their readbacks: the pure pairer, fed by the run's sources, and the questions that let it go on.

A frame that waits makes the readback source prove that no update is on its way. None waits longer than the profile's
time-out (`pairing_timeout_s`), and no more of them than the memory budget holds: the one that came first leaves then,
with its row flagged, so that a silent PV costs no frame. How far data time has come is told by the frames themselves,
by the middle one of the last three: a single frame with a stamp in the future must not make the readbacks of all
others look complete. A record is asked for each frame by itself: it tells what it knows, whatever the stamps are.
"""

from __future__ import annotations

import logging
import math
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence, Set
from dataclasses import replace

from stream_service.core.exposure import Exposure
from stream_service.core.frame import NO_STAMP, NS_PER_S, Frame
from stream_service.core.pairing.after_gap import KEPT_S, AfterGap, Came
from stream_service.core.pairing.pairer import Pairer
from stream_service.core.pairing.readback import Entries, Readback, Unheard
from stream_service.core.pairing.rule import How
from stream_service.core.pairing.unsure_frames import MOST_UNSURE
from stream_service.core.receipt import Receipt
from stream_service.core.stream import Ends, Gone, ReadbackEvent, Watermark
from stream_service.run.rules import RunRules
from stream_service.run.sources import ReadbackSource
from stream_service.text.counted import agrees, counted

log = logging.getLogger(__name__)

ASK_S = 0.025
"""Shortest time between two questions whether the readbacks are complete: half of a flush. At 100 Hz no row is visible
sooner, and it costs an IOC in Python a tenth of what it can do."""
ALONE_S = 0.05
"""Data time is not taken from the first frame of a run, which may be stamped wrongly, before a second one had the time
to come; a scan whose frames are further apart waits for nothing longer."""
TOLD_S = 5.0
"""A channel that was not known in time is told of for so long."""


class Pairing:
    """Frames in, exposures out; those that are known pass those that are not yet."""

    def __init__(self, rules: RunRules, readbacks: ReadbackSource, budget_bytes: float = math.inf) -> None:
        """`budget_bytes` is for the frames that wait."""
        self._budget_bytes = budget_bytes
        self._readbacks = readbacks
        self._limit_s = rules.clock_limit_s
        self._frame_time = rules.frame_time
        self._pairer = Pairer(rules.channels, rules.clock_limit_s, rules.frame_delay_s)
        self.arrays = self._pairer.arrays
        """Those that hardware captured."""
        self._timeout_s = rules.pairing_timeout_s
        self._is_in_order = rules.is_in_order
        self._wrong_stamps = rules.wrong_stamps
        self._arrivals_s: OrderedDict[int, float] = OrderedDict()
        """Of the frames that wait, by ordinal, in the order in which they came."""
        by_time = any(rule.how is How.TIMESTAMP for rule in rules.channels)
        self._after_gap = AfterGap() if by_time and not rules.is_in_order else None
        """None where nothing depends on a stamp, or all stamps are known beforehand."""
        self.beside_bytes = 0
        """Of exposures that wait elsewhere for a frame that waits here; they count as much."""
        self._resumed: set[str] = set()
        """Channels that nobody has heard since the run was interrupted."""
        self.gone: set[str] = set()
        """Channels whose PV is disconnected now."""
        self._gave_up_s = -math.inf
        self._has_no_room = False
        """Frames left since no more may wait, lately; else it was the time-out."""
        self._newest: deque[tuple[int, float]] = deque(maxlen=3)
        """End of the exposure, and arrival, of the last frames."""
        self._fetched: tuple[int, float] | None = None
        """The same of the latest one that was fetched: all that is known of data time before a frame comes."""
        self._last_asked_s = 0.0
        self._reached_ns: float = -math.inf
        """Data time by the last question."""

    def __len__(self) -> int:
        """Frames that wait."""
        return len(self._pairer) + (self._kept is not None)

    @property
    def waiting_bytes(self) -> int:
        kept_bytes = 0 if self._kept is None else self._kept.frame.pixels.nbytes
        return self._pairer.waiting_bytes + kept_bytes

    @property
    def _kept(self) -> Came | None:
        return None if self._after_gap is None else self._after_gap.kept

    @property
    def is_over_budget(self) -> bool:
        """True if one must leave for the others; a single one may always wait."""
        return len(self) > 1 and self.waiting_bytes + self.beside_bytes > self._budget_bytes

    def is_waiting(self, ordinal: int) -> bool:
        """True if this frame has come and has not left."""
        return ordinal in self._arrivals_s or (self._kept is not None and self._kept.receipt.ordinal == ordinal)

    def add(self, frame: Frame, receipt: Receipt, exposure_s: float, now_s: float, *, is_in_order: bool = True) -> None:
        """Take a frame that the ledger calls new and that arrived just now.

        `is_in_order` False: one that was fetched, and is not stamped between those taken before and after it.
        """
        came = Came(frame, receipt, exposure_s, now_s, is_in_order)
        for each in [came] if self._after_gap is None else self._after_gap.take(came):
            self._add(each, now_s)

    def release(self, now_s: float) -> None:
        """No frame is on its way any more: none is kept back for the next."""
        self._release(now_s)
        self.arrays.has_all_frames()

    def _release(self, now_s: float, came_before_s: float = math.inf) -> None:
        for each in [] if self._after_gap is None else self._after_gap.release(came_before_s):
            self._add(each, now_s)

    def _add(self, came: Came, now_s: float) -> None:
        frame, receipt, exposure_s, at_s, is_in_order, is_repeated = came
        window = self._frame_time.window(frame.timestamp_ns, 0.0 if math.isnan(exposure_s) else exposure_s)
        self._arrivals_s[receipt.ordinal] = at_s
        stamp = (frame.unique_id, frame.timestamp_ns)
        is_stamped = frame.timestamp_ns != NO_STAMP and stamp not in self._wrong_stamps and is_in_order
        if is_stamped and not frame.is_backfilled:
            self._newest.append((window.end_ns, at_s))
            if window.end_ns < self._reached_ns - self._limit_s * NS_PER_S:
                self._take_back(now_s)
        if is_stamped and frame.is_backfilled and (self._fetched is None or window.end_ns > self._fetched[0]):
            self._fetched = window.end_ns, at_s
        received_ns = None if frame.received_s is None else round(frame.received_s * NS_PER_S)
        if self._is_in_order and is_stamped:
            self._readbacks.ask(window.end_ns, at_s)
        self._pairer.add_frame(
            frame,
            receipt.id,
            receipt.ordinal,
            exposure_s,
            window,
            received_ns,
            is_stamped=is_stamped,
            is_repeated=is_repeated,
        )

    def restore(self, readbacks: Sequence[Readback], unheard: Sequence[Unheard]) -> None:
        """Take what is known of the channels of before the run was interrupted: of what follows, up to the first update
        of each, nothing is."""
        self._pairer.restore(readbacks, unheard)
        self._resumed = {readback.channel for readback in readbacks}

    @property
    def unheard(self) -> Sequence[Unheard]:
        """See `Pairer.unheard`."""
        return self._pairer.unheard

    def take_readbacks(self) -> Iterator[list[Readback]]:
        """Enter what the channels did since the last call; the updates, to be recorded."""
        while events := self._readbacks.take():
            yield self._enter(events)

    def _enter(self, events: list[ReadbackEvent]) -> list[Readback]:
        updates = []
        for event in events:
            if isinstance(event, Watermark):
                self._pairer.confirm(event.channel, event.until_ns)
            elif isinstance(event, Ends):
                self._pairer.end(event.channel, event.at_ns)
            elif isinstance(event, Gone):
                log.warning("the PV of channel %s is gone", event.channel)
                self._pairer.disconnect(event.channel)
                self.gone.add(event.channel)
            elif isinstance(event, Entries):
                self.gone.discard(event.channel)
                self.arrays.update(event)
            else:
                self.gone.discard(event.channel)
                if event.channel in self._resumed and (after := self._after_interruption(event)) is not None:
                    event = after
                elif event.channel in self._resumed:
                    continue
                self._pairer.add_readback(event)
                updates.append(event)
        return updates

    def _after_interruption(self, update: Readback) -> Readback | None:
        """The first update of a channel since then; None if it is the last one of before: nothing has happened."""
        self._resumed.discard(update.channel)
        last = self._pairer.newest(update.channel)
        is_same = last is not None and (last.timestamp_ns, last.value) == (update.timestamp_ns, update.value)
        return None if is_same else replace(update, is_after_gap=True)

    def notes(self) -> list[str]:
        """What does not fit of hardware-captured arrays, and what cannot be put right, in sentences."""
        notes = [*self.arrays.notes(), *self._readbacks.notes()]
        if n := self._pairer.unsure.n_forgotten:
            notes.append(
                f"more than {MOST_UNSURE} frames left before their readbacks were known: the rows of the last {n} "
                "are not put right"
            )
        return notes

    def is_unsure(self, ordinal: int) -> bool:
        """True of a frame that has left before its channels were known, and of which more may become known."""
        return ordinal in self._pairer.unsure

    @property
    def refuted(self) -> Set[int]:
        """See `Pairer.refuted`."""
        return self._pairer.refuted

    @property
    def n_unproven(self) -> int:
        """See `Pairer.n_unproven`."""
        return self._pairer.n_unproven

    def known_late(self) -> list[Exposure]:
        """See `Pairer.known_late`."""
        return self._pairer.known_late()

    def clock_offsets_s(self) -> dict[str, float]:
        """By how much the clock of each channel is ahead of that of the frames, as far as receipts tell."""
        return self._pairer.clock_offsets_s()

    @property
    def problem(self) -> str:
        """Problem of the readbacks, in a sentence; empty if there is none."""
        return "; ".join(filter(None, (self._problem_of_silence, self._problem_of_motion, self._problem_of_clocks)))

    @property
    def _problem_of_silence(self) -> str:
        if not (counts := self._pairer.n_given_up):
            return ""
        n_frames = max(counts.values())
        rows = "its row is" if n_frames == 1 else "their rows are"
        if self._has_no_room:
            why = (
                "more wait than service.frame_queue_MiB holds; is a readback late, or does the detector send too fast?"
            )
        else:
            why = "does the IOC behind it answer, and do the frames have the right time stamps?"
        return (
            f"{' and '.join(sorted(counts))} {agrees(len(counts), 'was')} not known in time for "
            f"{counted(n_frames, 'frame')}: {rows} flagged; {why}"
        )

    @property
    def _problem_of_motion(self) -> str:
        if not (names := " and ".join(self._pairer.moving_at_rest)):
            return ""
        return (
            f"{names} moved while the PV under 'moving' in the profile said that it rests: rows are flagged, and not "
            "used; is it the PV of this axis, and does the stage settle before it says so?"
        )

    @property
    def _problem_of_clocks(self) -> str:
        found = self._pairer.clock_offsets_s()
        apart = {name: offset_s for name, offset_s in found.items() if abs(offset_s) > self._limit_s}
        if not apart:
            return ""
        name, offset_s = max(apart.items(), key=lambda item: abs(item[1]))
        side = "ahead of" if offset_s > 0 else "behind"
        return (
            f"the clock of {name} is {abs(offset_s):.2f} s {side} that of the frames (service.clock_limit_s is "
            f"{self._limit_s:g}): rows paired by time are flagged, and not used. Let all IOCs keep time by one NTP "
            "server; if frames come that late, say so by detector.frame_time.delay_s"
        )

    def ready(self, now_s: float) -> list[Exposure]:
        """The frames whose readbacks are known, and those that can wait no longer; asks after those that still wait."""
        self._release(now_s, math.inf if self.is_over_budget else now_s - KEPT_S)
        ready = self._leaving(self._pairer.take())
        if now_s - self._gave_up_s > TOLD_S:
            self._pairer.n_given_up.clear()
            self._has_no_room = False
        while self._arrivals_s and (self.is_over_budget or now_s - self._first_arrival_s > self._timeout_s):
            if not self._pairer.n_given_up:
                log.warning("frames wait too long for their readbacks; their rows are flagged")
            self._gave_up_s = now_s
            self._has_no_room |= self.is_over_budget
            ready += self._leaving(self._pairer.give_up(1))
        if self._pairer and not self._is_in_order and now_s - self._last_asked_s >= ASK_S:
            self._ask(now_s)
        return sorted(ready, key=lambda exposure: exposure.ordinal)

    @property
    def _first_arrival_s(self) -> float:
        return next(iter(self._arrivals_s.values()))

    def _leaving(self, ready: list[Exposure]) -> list[Exposure]:
        for exposure in ready:
            del self._arrivals_s[exposure.ordinal]
        return ready

    def _ask(self, now_s: float) -> None:
        if not self._newest and self._fetched is None:
            return
        if len(self._newest) == 1 and now_s - self._newest[0][1] < ALONE_S:
            return
        end_ns, arrived_s = self._data_time()
        self._reached_ns = end_ns + (now_s - arrived_s) * NS_PER_S
        self._readbacks.ask(end_ns, arrived_s)
        self._last_asked_s = now_s

    def _take_back(self, now_s: float) -> None:
        """A frame contradicts what was asked until: if most of the last ones do, what was confirmed by it is not so."""
        end_ns, arrived_s = self._data_time()
        reached_ns = end_ns + (now_s - arrived_s) * NS_PER_S
        if reached_ns < self._reached_ns - self._limit_s * NS_PER_S:
            self._reached_ns = reached_ns
            self._pairer.retract(int(reached_ns))

    def _data_time(self) -> tuple[int, float]:
        """End of an exposure and arrival of its frame, of the last frames the one neither early nor late."""
        if not self._newest and self._fetched is not None:
            return self._fetched
        ahead = sorted(self._newest, key=lambda end_and_arrival: end_and_arrival[0] - end_and_arrival[1] * NS_PER_S)
        return ahead[(len(ahead) - 1) // 2]
