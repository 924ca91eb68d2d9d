"""A process beside this one that gives one answer to each question, and is waited for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from stream_service.cancellation import Cancellation
from stream_service.errors import PtychostreamError, SourceError
from stream_service.processes.limited import LimitedProcessError
from stream_service.processes.messages import Arrays, Message, MessageError
from stream_service.processes.piped import PipedProcess, outbox, questions

LOOK_S = 0.1
"""Between two looks whether the work was cancelled."""
MOST_BYTES = 1 << 30
"""Of the arrays of an answer."""
ERROR = "error"
"""The one fact of an answer that says what is wrong."""


class AnsweringProcess:
    """One such process, `python -m module`; a context manager, or `close` it. Not thread-safe."""

    def __init__(self, module: str, arguments: Sequence[str] = (), cancellation: Cancellation | None = None) -> None:
        self._cancellation = cancellation or Cancellation()
        self._process = PipedProcess(module, arguments, MOST_BYTES)

    def ask(self, question: Mapping[str, Any], timeout_s: float) -> Message:
        """Ask, and wait for the answer.

        Raises `SourceError` with what the process says is wrong, `LimitedProcessError` if it dies or takes longer,
        `CancelledError`; after the last two it is of no more use.
        """
        deadline_s = time.monotonic() + timeout_s
        self._process.send(question)
        try:
            while (answer := self._process.inbox.next()) is None:
                self._cancellation.check()
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    raise LimitedProcessError(f"it takes longer than {timeout_s:g} s")
                self._process.wait(min(LOOK_S, left_s))
        except EOFError:
            raise LimitedProcessError(self._process.why_ended()) from None
        except MessageError as error:
            raise LimitedProcessError(f"the process that reads it sends {error}") from error
        if ERROR in answer.facts:
            raise SourceError(answer.facts[ERROR])
        return answer

    @property
    def is_running(self) -> bool:
        """False once it has ended, or could not be started."""
        return self._process.is_running

    def close(self) -> None:
        """End the process."""
        self._process.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def answer_questions(answer: Callable[[dict[str, Any]], tuple[Mapping[str, Any], Arrays]]) -> None:
    """Main loop of the module: facts (as JSON has them) and arrays for each question, until no more can come.

    A `PtychostreamError` of `answer` is told; after any other the process dies, and the other side says so.
    """
    out = outbox()
    for question in questions(most_bytes=0):
        try:
            out.send(*answer(question.facts))
        except PtychostreamError as error:
            out.send({ERROR: str(error)})
