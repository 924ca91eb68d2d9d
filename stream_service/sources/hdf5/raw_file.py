"""The raw file, as the daemon sees it: frames by uniqueId, read in a process beside it.

HDF5 is a C library: on a damaged file, or one that is being written, it may crash, take all memory or never come back,
and a dead file server holds whoever reads from it. So the daemon never opens the raw file: a process of its own does,
with limits of memory and processor time; it is given up when it is silent for too long, and it ends with the daemon.
Frames come through a pipe: while nobody takes them, the process waits.

One question at a time; the same process answers the next one, and looks anew how far a growing file has come. It holds
no lock on the file: a plugin that begins the same file anew is not hindered.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np
import numpy.typing as npt

from stream_service.core.frame import MOST_FRAME_BYTES, Frame
from stream_service.errors import PtychostreamError
from stream_service.processes.guard import signal_name
from stream_service.processes.limited import LimitedProcessError
from stream_service.processes.piped import PipedProcess
from stream_service.sources.hdf5.raw_messages import RawAnswer, RawState, said_by

__all__ = ["RawAnswer", "RawFile", "RawLimits", "RawState"]

READER = "stream_service.sources.hdf5.raw_file_process"
BUDGET_BYTES = 64 << 20
NONE = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class RawLimits:
    """Limits of the process that reads the raw file."""

    memory_bytes: int = 3 << 30
    """Of address space; the libraries alone take about 0.6 GiB of it."""
    step_cpu_s: int = 60
    """Processor time of one step: opening, or reading a block of frames."""
    silence_s: float = 60.0
    """Without a sign of life while it is looked for; a file server that was started again is back by then."""


class RawFile:
    """Frames of one raw file. Nothing here blocks the caller for longer than it says."""

    def __init__(
        self,
        path: Path,
        *,
        timestamp_field: Literal["timeStamp", "dataTimeStamp"] = "timeStamp",
        wanted_attributes: Collection[str] | None = None,
        budget_bytes: int = BUDGET_BYTES,
        limits: RawLimits | None = None,
    ) -> None:
        """`timestamp_field` as the profile's; `wanted_attributes` None: all that the file has of a frame."""
        self.path = path
        self._limits = limits or RawLimits()
        self._budget_bytes = budget_bytes
        self._settings = {
            "timestamp_field": timestamp_field,
            "wanted_attributes": None if wanted_attributes is None else sorted(wanted_attributes),
            "memory_bytes": self._limits.memory_bytes,
            "step_cpu_s": self._limits.step_cpu_s,
        }
        self._process: PipedProcess | None = None
        self._is_asked = False
        self._silent_since_s: float | None = None
        self._failure = ""
        """Why a question that is not answered yet cannot be."""

    def start(self) -> None:
        """Start the process, so that the first answer does not wait for it; `ask` does it otherwise."""
        if self._process is not None and not self._process.is_running:
            self._give_up()
        if self._process is None:
            self._process = PipedProcess(READER, [json.dumps(self._settings)], MOST_FRAME_BYTES)

    def ask(
        self,
        wanted: npt.NDArray[np.int64],
        held_ids: npt.NDArray[np.int64],
        held_ns: npt.NDArray[np.int64],
        let_go_ids: npt.NDArray[np.int64] = NONE,
        let_go_ns: npt.NDArray[np.int64] = NONE,
        path: Path | None = None,
        *,
        is_of_capture: bool = False,
    ) -> None:
        """Ask for all frames with one of the `wanted` ids and a stamp other than that of a held frame of this id.

        The held frames, and those that came and were let go, which may be wanted, show whether the file is that of this
        run: as many as there are should be given, of all epochs.
        `path` is that of another file of the same capture, which is looked into from now on. With `is_of_capture` a
        file that has none of the ids that are held is used, too, for frames taken between two that are held.
        """
        if self._is_asked:
            raise RuntimeError(f"{self.path} has been asked, and has not answered yet")
        self.path = path or self.path
        self._is_asked, self._silent_since_s = True, None
        try:
            self.start()
        except LimitedProcessError as error:
            self._failure = f"{self.path} cannot be read now: {error}"
            return
        assert self._process is not None
        facts = {"path": os.fspath(self.path), "is_of_capture": is_of_capture}
        arrays = {"wanted": wanted, "held_ids": held_ids, "held_ns": held_ns}
        self._process.send(facts, {**arrays, "let_go_ids": let_go_ids, "let_go_ns": let_go_ns})

    @property
    def process_number(self) -> int | None:
        """Of the process that reads; None as long as there is none."""
        return None if self._process is None else self._process.number

    @property
    def is_asked(self) -> bool:
        """True while an answer is awaited."""
        return self._is_asked

    def take(self, timeout_s: float) -> list[Frame | RawAnswer]:
        """What has come of the answer, frames of at most the budget and one more; the last of all is `RawAnswer`.

        Waits up to `timeout_s` for the first of it. Frames have `is_backfilled`, and no `received_s`.
        """
        if self._is_asked and self._failure:
            sentence, self._failure = self._failure, ""
            return [self._failed(sentence, RawState.INTERRUPTED)]
        taken: list[Frame | RawAnswer] = []
        n_bytes = 0
        deadline_s = time.monotonic() + timeout_s
        while self._is_asked and n_bytes < self._budget_bytes:
            process = self._process
            assert process is not None
            try:
                n_before = process.inbox.n_bytes
                message = process.inbox.next()
                if process.inbox.n_bytes != n_before:
                    self._silent_since_s = None
                if message is None:
                    if taken or not self._wait(process, deadline_s):
                        break
                elif (said := said_by(message)) is not None:
                    taken.append(said)
                    self._is_asked = isinstance(said, Frame)
                    n_bytes += sum(array.nbytes for array in message.arrays.values())
            except EOFError:
                taken.append(self._ended(process))
            except (PtychostreamError, ValueError, TypeError, LookupError) as error:
                taken.append(self._failed(f"{self.path} cannot be read: the process that reads it sent {error}"))
        if self._is_asked and not taken and self._is_silent_for_too_long():
            taken.append(
                self._failed(
                    f"{self.path} is not read: nothing came for {self._limits.silence_s:g} s; is its file server "
                    "still there?"
                )
            )
        return taken

    def close(self) -> None:
        """End the process; waits no longer than a second for it."""
        self._give_up()
        self._is_asked = False

    def _wait(self, process: PipedProcess, deadline_s: float) -> bool:
        """Wait for more; False if nothing came."""
        now_s = time.monotonic()
        if self._silent_since_s is None:
            self._silent_since_s = now_s
        given_up_s = self._silent_since_s + self._limits.silence_s
        return process.wait(max(0.0, min(deadline_s, given_up_s) - now_s))

    def _is_silent_for_too_long(self) -> bool:
        since_s = self._silent_since_s
        return since_s is not None and time.monotonic() - since_s >= self._limits.silence_s

    def _ended(self, process: PipedProcess) -> RawAnswer:
        code = process.exit_code()
        if code is None:  # what is short now may not be so later
            why = f"no process reads it ({process.why_ended()})"
            return self._failed(f"{self.path} cannot be read now: {why}", RawState.INTERRUPTED)
        if code >= 0:
            why = f"the process that reads it ended ({process.why_ended()})"
        elif -code == signal.SIGXCPU:
            why = (
                "it is damaged so that the library does not come back (after "
                f"{self._limits.step_cpu_s} s of processor time)"
            )
        elif -code in (signal.SIGKILL, signal.SIGTERM):
            why = f"the process that reads it was ended by {signal_name(-code)}: the machine may have run out of memory"
            return self._failed(f"{self.path} cannot be read: {why}", RawState.INTERRUPTED)
        else:
            why = process.why_ended()
        return self._failed(f"{self.path} cannot be read: {why}")

    def _failed(self, sentence: str, state: RawState = RawState.UNREADABLE) -> RawAnswer:
        self._give_up()
        self._is_asked = False
        return RawAnswer(state, sentence=sentence)

    def _give_up(self) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
