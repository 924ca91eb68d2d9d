"""The process that reads the raw file for the daemon (`raw_file`): questions on standard input, frames on its output.

The file stays open, without a lock, and is opened anew for a question if something was written to it meanwhile.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_service.core.frame import UnreadableFrame
from stream_service.errors import SourceError
from stream_service.hdf5.opening import BeingWrittenError
from stream_service.processes.limited import limit_this_process
from stream_service.processes.messages import Outbox
from stream_service.processes.piped import outbox, questions
from stream_service.processes.reading import Notes, take_notes
from stream_service.sources.hdf5.raw_matching import (
    Agreement,
    Identities,
    compared,
    is_between,
    is_past,
    is_without_reset,
    wanted_rows,
)
from stream_service.sources.hdf5.raw_messages import (
    SIGN_OF_LIFE,
    RawAnswer,
    RawState,
    answer_message,
    frame_message,
)
from stream_service.sources.hdf5.raw_rows import RawRows
from stream_service.text.counted import agrees, counted

MOST_QUESTION_BYTES = 1 << 30
OUTPUT_BYTES = 1 << 20
"""Of its standard error."""
SIGN_OF_LIFE_S = 1.0
"""Between two messages that say nothing but that reading goes on."""
DOUBLE_NS = 1000
"""Stamps that are doubles of seconds since 1990 are the same if they differ by less: neighbours are 238 ns apart, and
one that was sent as a text may have six digits behind the point."""
NEXT_WRITE_S, LOOK_S = 0.5, 0.02
"""A file that cannot be read is looked at for so long, and so often, before it is said that nobody writes to it."""


class RawReader:
    """Answers questions about one file after another."""

    def __init__(self, settings: dict[str, Any], out: Outbox) -> None:
        self._path = Path()
        self._is_of_capture = False
        self._field = settings["timestamp_field"]
        self._wanted_attributes = settings["wanted_attributes"]
        self._tolerance_ns = 0 if self._field == "timeStamp" else DOUBLE_NS
        self._out = out
        take_notes(_Steps(int(settings["step_cpu_s"]), lambda: out.send(SIGN_OF_LIFE)))
        self._file: RawRows | None = None
        self._n_found = 0
        self._unreadable: list[str] = []

    def answer(
        self, path: Path, wanted: npt.NDArray[np.int64], held: Identities, let_go: Identities, *, is_of_capture: bool
    ) -> None:
        """Write the frames, and the end of the answer. See `RawFile.ask`."""
        if path != self._path:
            self._close()
        self._path, self._is_of_capture = path, is_of_capture
        self._n_found, self._unreadable = 0, []
        before = self._state()
        try:
            answer = self._answer(wanted, held, held.with_those(let_go))
        except BeingWrittenError as error:
            answer = self._ended(RawState.BEING_WRITTEN, str(error))
        except SourceError as error:
            # what is read while it is written may fit together only when it is read again
            state = RawState.BEING_WRITTEN if self._changes_from(before) else RawState.UNREADABLE
            answer = self._ended(state, str(error))
        except OSError as error:
            answer = self._ended(RawState.UNREADABLE, f"{self._path} cannot be opened: {error.strerror}")
        except MemoryError:
            answer = self._ended(RawState.UNREADABLE, f"{self._path} takes more memory than its reader may have")
        self._out.send(*answer_message(answer))

    def _answer(self, wanted: npt.NDArray[np.int64], held: Identities, came: Identities) -> RawAnswer:
        if not self._path.exists():
            self._close()
            return RawAnswer(RawState.NOT_THERE, sentence=f"{self._path} is not there")
        file = self._opened()
        state = RawState.CLOSED if file.is_closed else RawState.GROWING
        agreement = compared(came, file.identities, self._tolerance_ns)
        counts = len(file.identities), agreement.n_compared, agreement.n_agree
        wanted_there = wanted_rows(wanted, held, file.identities, self._tolerance_ns)
        if self._is_of_capture and not agreement.n_compared:
            wanted_there = wanted_there[is_between(file.identities.at(wanted_there), came)]
        elif not agreement.is_same_scan:
            if not (file.is_closed or agreement.n_compared or is_past(file.identities, came)):
                return RawAnswer(state, *counts, sentence=f"{self._path} has none of the frames yet that came")
            return RawAnswer(RawState.OTHER_SCAN, *counts, sentence=self._why_not(len(came), agreement))
        else:
            is_of_run = is_without_reset(wanted_there, file.identities, came, self._tolerance_ns)
            wanted_there = wanted_there[is_of_run]
        for frame in file.frames(wanted_there):
            if isinstance(frame, UnreadableFrame):
                self._unreadable.append(frame.reason)
                continue
            if not (file.is_unchanged if file.is_closed else file.is_same_file):
                raise BeingWrittenError(f"{self._path} was written to while it was read")
            self._n_found += 1
            self._out.send(*frame_message(frame))
        return RawAnswer(state, *counts, self._n_found, len(self._unreadable), self._said())

    def _changes_from(self, before: tuple[int, int, int] | None) -> bool:
        """True if something was written to the file since then, or is within `NEXT_WRITE_S`."""
        give_up_s = time.monotonic() + NEXT_WRITE_S
        while self._state() == before:
            if time.monotonic() > give_up_s:
                return False
            time.sleep(LOOK_S)
        return True

    def _state(self) -> tuple[int, int, int] | None:
        """It changes when something is written to the file."""
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

    def _ended(self, state: RawState, sentence: str) -> RawAnswer:
        self._close()
        return RawAnswer(state, n_found=self._n_found, sentence=sentence)

    def _opened(self) -> RawRows:
        if self._file is not None and not self._file.is_unchanged:
            self._close()
        if self._file is None:
            self._file = RawRows(self._path, self._field, self._wanted_attributes)
        return self._file

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _why_not(self, n_came: int, agreement: Agreement) -> str:
        n_compared = agreement.n_compared
        if not n_came:
            return f"{self._path} is not used: no frame came of this run that could be compared with it"
        if not n_compared:
            return f"{self._path} is not used: it has none of the {counted(n_came, 'frame')} that came of this run"
        n_other = n_compared - agreement.n_agree
        return (
            f"{self._path} is not used, it is of another scan: of {counted(n_compared, 'frame')} that came and whose "
            f"uniqueId is in it, {n_other} {agrees(n_other, 'has')} another time stamp there"
        )

    def _said(self) -> str:
        if not self._unreadable:
            return ""
        n = len(self._unreadable)
        return f"{counted(n, 'frame')} of {self._path} cannot be read: {self._unreadable[0]}"


class _Steps(Notes):
    """Notes of this process for itself: every step of reading is limited, and a long way is told to go on."""

    def __init__(self, cpu_s: int, tell: Callable[[], object]) -> None:
        super().__init__()
        self._cpu_s = cpu_s
        self._tell = tell
        self._told_s = time.monotonic()

    def begin(self, what: str) -> tuple[int, str]:
        """So much processor time may be taken until the next step begins; then the system ends this process."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        limit_s = int(used.ru_utime + used.ru_stime) + 1 + self._cpu_s
        resource.setrlimit(resource.RLIMIT_CPU, (limit_s, resource.getrlimit(resource.RLIMIT_CPU)[1]))
        if time.monotonic() - self._told_s > SIGN_OF_LIFE_S:
            self._told_s = time.monotonic()
            self._tell()
        return super().begin(what)


def main(text: str) -> None:
    """Answer until there are no more questions."""
    settings = json.loads(text)
    limit_this_process(settings["memory_bytes"], OUTPUT_BYTES)
    reader = RawReader(settings, outbox())
    for question in questions(MOST_QUESTION_BYTES):
        asked, facts = question.arrays, question.facts
        held = Identities(asked["held_ids"], asked["held_ns"])
        let_go = Identities(asked["let_go_ids"], asked["let_go_ns"])
        reader.answer(Path(facts["path"]), asked["wanted"], held, let_go, is_of_capture=facts["is_of_capture"])


if __name__ == "__main__":
    main(sys.argv[1])
