"""A source of frames that plays a script, on a clock that the script moves: a run without a network or a detector.

A script is a sequence of steps: a list of messages that arrive together (frames, an `End`, or whatever `decode` knows),
or a function, called when its turn has come: it moves the clock, stops the detector, looks at the run. When the script
is at its end, time passes with every look into the queue, so that all time-outs of a run come to pass at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from stream_service.cancellation import Cancellation
from stream_service.core.frame import Frame
from stream_service.core.stream import Begin, StreamEvent
from stream_service.errors import SourceError
from stream_service.testing.manual_clock import ManualClock

MOST_IDLE_LOOPS = 30_000
SLOW_LOOPS = 5_000
"""From then on time passes for others, too: a process or a disk that the run waits for, and no clock of a script."""
SLOW_S = 1e-3

Step = list[Any] | Callable[[], None]
"""Messages that arrive together, or something that happens."""


class ScriptedQueue:
    """The frame queue: each `take` plays the next step; when the script is at its end, time passes."""

    def __init__(self, clock: ManualClock, script: Iterator[Step]) -> None:
        self.held_bytes = 0
        self.is_closed = False
        self.is_endless = False
        """There is always one more frame, until the source is closed."""
        self.waiting: list[Any] = []
        """Messages that have come, and come before the next step."""
        self._clock = clock
        self._script = script
        self._n_idle = 0

    def __len__(self) -> int:
        return len(self.waiting) + int(self.is_endless and not self.is_closed)

    def take(self, timeout_s: float, at_most: int = 32) -> list[Any]:
        """The messages of the next step; none if something else happened."""
        if self.waiting:
            taken, self.waiting = self.waiting[:at_most], self.waiting[at_most:]
            return taken
        step = None if self.is_closed else next(self._script, None)
        if isinstance(step, list):
            return step
        if step is not None:
            step()
            return []
        self.wait(timeout_s)
        return []

    def wait(self, timeout_s: float) -> None:
        """Let time pass. A run that goes on for ever is a failed assertion."""
        self._n_idle += 1
        assert self._n_idle < MOST_IDLE_LOOPS, "the run does not end"
        if self._n_idle > SLOW_LOOPS:
            time.sleep(SLOW_S)
        self._clock.now_s += timeout_s

    def wake(self) -> None:
        """Nobody waits here."""

    def close(self) -> None:
        """Play no more."""
        self.is_closed = True


class ScriptedFrames:
    """A `FrameSource`. Its messages are the events themselves; a `SourceError` among them is a bad message."""

    transport = "script"

    def __init__(self, clock: ManualClock, begin: Begin | None = None, channel: str = "SIM:Image") -> None:
        """`begin` is what the source knows of its series."""
        self.script: Iterable[Step] = ()
        """To be set before the run works."""
        self.channel = channel
        self.queue: Any = ScriptedQueue(clock, iter(self._steps()))
        self.is_connected = True
        self.latest: Frame | None = None
        """The last frame from before the run."""
        self._begin = Begin() if begin is None else begin

    def _steps(self) -> Iterator[Step]:
        yield from self.script

    def silent(self) -> list[str]:
        """See `LiveFrames`."""
        return [] if self.is_connected else [f"{self.channel} ({self.transport})"]

    @property
    def problem(self) -> str:
        """Nothing is wrong with a script."""
        return ""

    @property
    def advice(self) -> str:
        """See `LiveFrames`."""
        return f"is the plugin behind {self.channel} enabled?"

    def start(self, cancellation: Cancellation | None = None) -> None:
        """The script answers at once."""

    def listen(self) -> None:
        """See `LiveFrames`."""

    def listen_again(self, cancellation: Cancellation) -> None:
        """See `LiveFrames`."""

    def begin(self) -> Begin:
        """What the source was said to know."""
        return self._begin

    def latest_frame(self) -> Frame | None:
        """See `FrameSource`."""
        return self.latest

    def decode(self, message: Any) -> StreamEvent:
        """The event itself."""
        if isinstance(message, SourceError):
            raise message
        return message

    def close(self) -> None:
        """See `FrameSource`."""
        self.queue.close()
