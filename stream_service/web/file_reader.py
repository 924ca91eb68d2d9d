"""Standard files as the page asks for them: a process of its own reads them, and a thread waits for its answers."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from stream_service.errors import SourceError
from stream_service.processes.answering import AnsweringProcess
from stream_service.processes.limited import LimitedProcessError
from stream_service.processes.messages import Message

MODULE = "stream_service.web.file_process"
TIMEOUT_S = 20.0
"""For an answer; a file server that takes longer is not waited for."""


class FileReader:
    """Asks one process, one question after the other; a new one if it died. Close it."""

    def __init__(self) -> None:
        self._process: AnsweringProcess | None = None
        self._waiting = ThreadPoolExecutor(1, thread_name_prefix=MODULE)

    def ask(self, question: Mapping[str, Any]) -> Future[Message]:
        """The answer to come; it raises `SourceError` with one sentence."""
        return self._waiting.submit(self._ask, question)

    def row_at(self, path: str, x_m: float, y_m: float) -> Future[Message]:
        """The row of a file whose position is nearest: facts, and `pixels` (y, x)."""
        return self.ask({"what": "row", "path": path, "place_m": (x_m, y_m)})

    def _ask(self, question: Mapping[str, Any]) -> Message:
        process = self._process
        if process is None or not process.is_running:
            process = self._process = AnsweringProcess(MODULE)
        try:
            return process.ask(question, TIMEOUT_S)
        except LimitedProcessError as error:
            process.close()
            self._process = None
            raise SourceError(f"{question['path']} cannot be read just now: {error}") from error

    def close(self) -> None:
        """End the process and the thread."""
        self._waiting.shutdown(wait=False, cancel_futures=True)
        if self._process is not None:
            self._process.close()


class WatchedAnswer:
    """The latest answer to one question that is asked again and again, for all viewers; never two at once."""

    def __init__(self, reader: FileReader) -> None:
        self._reader = reader
        self._asked: Future[Message] | None = None
        self._key: object = None
        self.latest: Message | None = None
        """None before the first answer."""
        self.problem = ""
        """Why there is no answer now."""

    def look(self, question: Mapping[str, Any], key: object) -> None:
        """Take the answer that has come, and ask again if `key`, what it depends on, is another one than last time."""
        if self._asked is not None:
            if not self._asked.done():
                return
            try:
                self.latest, self.problem = self._asked.result(), ""
            except SourceError as error:
                self.problem, self._key = str(error), None
            self._asked = None
        if key != self._key and question["path"]:
            self._key = key
            self._asked = self._reader.ask(question)
