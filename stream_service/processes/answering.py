"""A Python module in a process of its own that answers questions, with facts and arrays, until it is let go.

For files from which much is read, bit by bit, in a daemon: what a library does with a damaged one is then no worse than
a sentence. A question is a line of JSON on the process' standard input. An answer is a line of JSON on its standard
output (`facts`, and of each array name, type and shape), then the bytes of the arrays; nothing is unpickled. The next
answer is made when it is asked for, so no more waits in between than a pipe holds.
"""

from __future__ import annotations

import json
import math
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any, Self

import numpy as np
import numpy.typing as npt

from stream_service.cancellation import Cancellation
from stream_service.errors import PtychostreamError, SourceError
from stream_service.processes.limited import KILL_S, LimitedProcessError, limited_environment, reason_of_end

LOOK_S = 0.1
"""Between two looks whether the work was cancelled."""
MOST_BYTES = 1 << 30
"""Of an answer."""
LONGEST_LINE = 1 << 24

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array]


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What was answered."""

    facts: dict[str, Any]
    arrays: dict[str, Array]


class AnsweringProcess:
    """One such process, `python -m module`; a context manager, or `close` it. Not thread-safe.

    It ends with the thread that has started it.
    """

    def __init__(self, module: str, arguments: Sequence[str] = (), cancellation: Cancellation | None = None) -> None:
        self._cancellation = cancellation or Cancellation()
        self._error: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (`close` does it)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._error,
            env=limited_environment(),
            start_new_session=True,
            bufsize=0,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._to, self._from = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._to, False)
        os.set_blocking(self._from, False)
        self._ahead = b""
        """Read behind the line of an answer."""

    def ask(self, question: Mapping[str, Any], timeout_s: float) -> Answer:
        """Ask, and wait for the answer.

        Raises `SourceError` with what the process says is wrong, `LimitedProcessError` if it dies or takes longer,
        `CancelledError`; after the last two it is of no more use.
        """
        deadline_s = time.monotonic() + timeout_s
        self._send(json.dumps(question).encode() + b"\n", deadline_s, timeout_s)
        told = json.loads(self._line(deadline_s, timeout_s))
        if "error" in told:
            raise SourceError(told["error"])
        arrays: dict[str, Array] = {}
        n_bytes = 0
        for name, descr, shape in told["arrays"]:
            dtype = np.lib.format.descr_to_dtype(_descr(descr))
            n_bytes += math.prod(shape) * dtype.itemsize
            if n_bytes > MOST_BYTES:
                raise LimitedProcessError(f"it answers with {n_bytes} bytes, more than {MOST_BYTES}")
            array = np.empty(shape, dtype)
            self._fill(array.reshape(-1).view(np.uint8).data, deadline_s, timeout_s)
            arrays[name] = array
        return Answer(told["facts"], arrays)

    def close(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        if self._process.poll() is None:
            self._process.kill()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(KILL_S)
        self._error.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, line: bytes, deadline_s: float, timeout_s: float) -> None:
        left = memoryview(line)
        while left:
            self._wait([], [self._to], deadline_s, timeout_s)
            try:
                left = left[os.write(self._to, left) :]
            except BrokenPipeError:
                raise self._has_ended() from None

    def _line(self, deadline_s: float, timeout_s: float) -> bytes:
        while b"\n" not in self._ahead:
            if len(self._ahead) > LONGEST_LINE:
                raise LimitedProcessError("its answer does not end")
            self._wait([self._from], [], deadline_s, timeout_s)
            more = os.read(self._from, 1 << 16)
            if not more:
                raise self._has_ended()
            self._ahead += more
        line, _, self._ahead = self._ahead.partition(b"\n")
        return line

    def _fill(self, buffer: memoryview, deadline_s: float, timeout_s: float) -> None:
        taken = self._ahead[: len(buffer)]
        buffer[: len(taken)], self._ahead = taken, self._ahead[len(taken) :]
        left = buffer[len(taken) :]
        while left:
            self._wait([self._from], [], deadline_s, timeout_s)
            n = os.readv(self._from, [left])
            if not n:
                raise self._has_ended()
            left = left[n:]

    def _wait(self, to_read: list[int], to_write: list[int], deadline_s: float, timeout_s: float) -> None:
        while True:
            self._cancellation.check()
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise LimitedProcessError(f"it takes longer than {timeout_s:g} s")
            found = select.poll()
            for fd in to_read:
                found.register(fd, select.POLLIN)
            for fd in to_write:
                found.register(fd, select.POLLOUT)
            if found.poll(1000 * min(LOOK_S, left_s)):
                return

    def _has_ended(self) -> LimitedProcessError:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(KILL_S)
        self._error.seek(0)
        return LimitedProcessError(reason_of_end(self._process.returncode or 0, self._error.read()))


def answer_questions(answer: Callable[[dict[str, Any]], tuple[Mapping[str, Any], Arrays]]) -> None:
    """Main loop of the module: facts (as JSON has them) and arrays for each question, until no more can come.

    A `PtychostreamError` of `answer` is told; after any other the process dies, and the other side says so.
    """
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no answer
    for line in sys.stdin.buffer:
        try:
            facts, arrays = answer(json.loads(line))
        except PtychostreamError as error:
            _write_all(out, json.dumps({"error": str(error)}).encode() + b"\n")
            continue
        told = [(name, np.lib.format.dtype_to_descr(array.dtype), array.shape) for name, array in arrays.items()]
        _write_all(out, json.dumps({"facts": dict(facts), "arrays": told}).encode() + b"\n")
        for array in arrays.values():
            _write_all(out, np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def _write_all(out: IO[bytes], content: bytes | memoryview) -> None:
    left = memoryview(content)
    while left:
        left = left[out.write(left) :]


def _descr(told: str | list[Any]) -> Any:
    """The type of an array as numpy spells it, whose tuples are lists in JSON."""
    if isinstance(told, str):
        return told
    return [(name, _descr(kind), *map(tuple, shape)) for name, kind, *shape in told]
