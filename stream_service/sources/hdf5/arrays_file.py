"""A file of hardware-captured arrays, as a run hears of it: what is in it from now on, whatever was in it before.

Policy. A process beside the daemon looks into the file several times a second, with limits of memory and processor
time (`raw_file` says why). What the file holds when the run is armed, or when its name is first told, is of before; it
is followed from there: a file that was made anew under its name (another inode, another time of capture, fewer entries)
is emptied first. Whether what came is of the run decides `HardwareArray`. Once a file of the run is closed, nothing
more comes, and what others do with its name is not looked at.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from stream_service.cancellation import Cancellation
from stream_service.core.clock import BEFORE_ALL_TIME
from stream_service.core.pairing.readback import Entries
from stream_service.core.stream import Ends, ReadbackEvent
from stream_service.errors import PtychostreamError, SourceError
from stream_service.processes.piped import PipedProcess
from stream_service.sources.hdf5.arrays_messages import ArraysAnswer, ArraysState, Values, said_by
from stream_service.sources.hdf5.raw_file import RawLimits
from stream_service.sources.recording import MOST_FRAMES

log = logging.getLogger(__name__)

READER = "stream_service.sources.hdf5.arrays_file_process"
LOOK_S = 0.25
"""Between two looks: PandA's IOC flushes once a second,"""
LOOK_SHARE = 10
"""and no more than one part in so many of the time is spent with looking."""
FIRST_LOOK_S = 20.0
"""For the first answer: a process is started for it, and the file server may be slow."""
NO_ENTRIES = np.empty(0)


class ArraysFile:
    """The arrays of a run in a file, as events. Nothing here waits but `start`."""

    def __init__(
        self,
        datasets: Mapping[str, str],
        path: Callable[[], Path | None],
        *,
        limits: RawLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`datasets` by channel; `path` tells where the file is now, None while nobody names it."""
        self._datasets = dict(datasets)
        self._path_now = path
        self._limits = limits or RawLimits()
        self._clock = clock
        self._process: PipedProcess | None = None
        self._path: Path | None = None
        self._is_fixed = self._is_over = self._is_renamed = False
        self._has_answered = False
        self._asked_s: float | None = None
        """Since when an answer is awaited,"""
        self._asked_path: Path | None = None
        """and on which file."""
        self._next_s = 0.0
        self._events: list[ReadbackEvent] = []
        self._before: ArraysAnswer | None = None
        """The first answer on this file; None while there is none."""
        self._was_read = False
        """True once an answer on this file had arrays."""
        self._is_of_run = False
        """True once something came into the file, or it was made anew."""
        self._last: dict[str, Values] = {}
        self.sentence = ""
        """What is wrong with the file now; empty if nothing is."""
        self.remark = ""
        """Why none of its entries is used, where that is so because of when it was made."""

    def start(self, cancellation: Cancellation | None = None) -> None:
        """See what the file holds before the run. Raises `SourceError` if that cannot be told, and `CancelledError`."""
        cancellation = cancellation or Cancellation()
        if self._path_now() is None:
            self._start_process()  # there may be little time between its name and the first entries
            return
        cancellation.wait_until(self._has_looked, FIRST_LOOK_S)
        if self._before is None:
            why = self.sentence or f"nothing came within {FIRST_LOOK_S:g} s: is its file server still there?"
            raise SourceError(f"the arrays of {self._channels} cannot be looked for in {self._path}: {why}")

    def _has_looked(self) -> bool:
        self._look()
        return self._before is not None

    def fix(self) -> None:
        """Frames have come: what is named from now on is the file of another scan."""
        if not self._is_fixed:
            self._follow_name()
            self._is_fixed = self._path is not None

    def take(self) -> list[ReadbackEvent]:
        """What has come since the last call."""
        self._look()
        taken, self._events = self._events, []
        return taken

    def close(self) -> None:
        """Look no more."""
        self._is_over = True
        self._give_up()

    @property
    def _channels(self) -> str:
        return " and ".join(self._datasets)

    def _look(self) -> None:
        if self._is_over:
            return
        self._follow_name()
        if self._asked_s is None and self._path is not None and self._clock() >= self._next_s:
            self._ask(self._path)
        if self._asked_s is not None and self._process is not None:
            self._hear(self._process)

    def _follow_name(self) -> None:
        path = self._path_now()
        if path is None or path == self._path or self._is_fixed or self._is_of_run:
            return
        log.info("arrays of %s are looked for in %s", self._channels, path)
        self._is_renamed = self._path is not None
        self._path, self._before, self._was_read, self._next_s = path, None, False, 0.0

    def _ask(self, path: Path) -> None:
        process = self._start_process()
        if process is None:
            return
        question = {"path": os.fspath(path), "datasets": self._datasets, "step_cpu_s": self._limits.step_cpu_s}
        process.send(question)
        self._asked_s, self._asked_path = self._clock(), path

    def _start_process(self) -> PipedProcess | None:
        """The process that is there, or a new one; None if there can be none now."""
        if self._process is None:
            settings = json.dumps({"memory_bytes": self._limits.memory_bytes})
            self._has_answered = False
            try:
                self._process = PipedProcess(READER, [settings], 8 * MOST_FRAMES * len(self._datasets))
            except PtychostreamError as error:
                self._put_off(f"arrays of {self._channels} are not read: {error}")
        return self._process

    def _hear(self, process: PipedProcess) -> None:
        assert self._asked_s is not None
        try:
            message = process.inbox.next()
            if message is None:
                if self._clock() - self._asked_s > self._limits.silence_s:
                    self._give_up()
                    self._put_off(f"{self._path} is not read: nothing came for {self._limits.silence_s:g} s")
                return
            answer = said_by(message)
        except EOFError:
            code = process.exit_code()
            is_stuck = code is not None and -code == signal.SIGXCPU
            why = "it is damaged so that the library does not come back" if is_stuck else process.why_ended()
            self._give_up()
            self._put_off(f"{self._path} cannot be read: {why}")
            return
        except (PtychostreamError, ValueError, TypeError, LookupError) as error:
            self._give_up()
            self._put_off(f"{self._path} cannot be read: the process that reads it sent {error}")
            return
        took_s, self._asked_s = self._clock() - self._asked_s if self._has_answered else 0.0, None
        self._has_answered = True  # the first answer takes the time in which the process starts
        if self._asked_path != self._path:
            return
        self._next_s = self._clock() + max(LOOK_S, (LOOK_SHARE - 1) * took_s)
        if answer.state is not ArraysState.UNCHANGED:
            self._say(answer.sentence)
            self._enter(answer)

    def _enter(self, answer: ArraysAnswer) -> None:
        before, is_read = self._before, answer.state.is_read
        if before is None and self._is_renamed and answer.state is ArraysState.BEING_WRITTEN:
            answer = answer._replace(state=ArraysState.NOT_THERE)  # it was begun with its new name
        if answer.state is ArraysState.NOT_THERE or (before is None and not is_read):
            self._before, self._was_read = answer, False
        if not is_read:
            return
        is_same = before is not None and _is_same_file(before, answer)
        is_from_before = before is None or (is_same and not self._was_read)
        if is_from_before or not is_same:
            self._before, self._was_read = answer, True
        if is_from_before and before is not None:
            self.remark = (
                f"{self._path} could not be looked into when the run was armed, and was there: none of its entries can "
                "be told to be of this run; arm the service before the hardware"
            )
        for channel, entries in answer.arrays.items():
            self._tell(channel, entries, is_from_before=is_from_before, is_anew=not (is_from_before or is_same))
        self._last = dict(answer.arrays)
        if answer.state is ArraysState.CLOSED and self._is_of_run:
            self._events += [Ends(channel, BEFORE_ALL_TIME) for channel in self._datasets]
            self.close()

    def _tell(self, channel: str, entries: Values, *, is_from_before: bool, is_anew: bool) -> None:
        had = self._last.get(channel, NO_ENTRIES)
        if is_anew and len(had):
            self._events.append(Entries(channel, NO_ENTRIES))
        if is_anew or is_from_before or not np.array_equal(had, entries, equal_nan=True):
            self._events.append(Entries(channel, entries, is_from_before, is_exact=True))
            self._is_of_run |= not is_from_before and len(entries) > 0

    def _put_off(self, sentence: str) -> None:
        self._asked_s, self._next_s = None, self._clock() + LOOK_SHARE * LOOK_S
        self._say(sentence)

    def _say(self, sentence: str) -> None:
        if sentence and sentence != self.sentence:
            log.info("%s", sentence)
        self.sentence = sentence

    def _give_up(self) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None
        self._asked_s = None


def _is_same_file(before: ArraysAnswer, now: ArraysAnswer) -> bool:
    """True if nothing tells that the file was made anew meanwhile."""
    is_other_capture = bool(before.begun) and bool(now.begun) and before.begun != now.begun
    return before.state is not ArraysState.NOT_THERE and before.file_id == now.file_id and not is_other_capture
