"""The thread in which all calls on the open file of a run are made, in order: rows are written while others are made.

Nobody else has the file: a call is a function of it, and what may be known of it at any time is told here. The thread
begins with the first call that is not waited for, and has ended when the run has closed its file. A call that fails
does not end it, since a file that takes no more rows still takes the account and the end of the run. The run is told
of the failure at its next call, once.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

from stream_service.errors import OverrunError, WriteError
from stream_service.standard_file import StandardFile
from stream_service.text.log_of_run import in_this_context

log = logging.getLogger(__name__)

LOOK_S = 5.0
"""Between two looks whether the thread that is waited for is alive; a disk that takes longer is told of."""

Result = TypeVar("Result")


class FileCall(Generic[Result]):
    """A call that was posted."""

    def __init__(self, call: Callable[[StandardFile], Result]) -> None:
        self._call: Callable[[StandardFile], Result] | None = call
        self._made = threading.Event()
        self._result: Result | None = None
        self._failure: BaseException | None = None
        self.has_failed = False
        self.made_s = math.nan
        """When it was made, on the monotonic clock."""

    @property
    def is_made(self) -> bool:
        """True once it was made, well or not."""
        return self._made.is_set()

    def make(self, file: StandardFile) -> None:
        """In the thread of the file."""
        assert self._call is not None, "it is made once"
        try:
            self._result = self._call(file)
        except BaseException as error:  # noqa: BLE001  (raised again in the thread of the run)
            self._failure, self.has_failed = error, True
        finally:
            self.made_s = time.monotonic()
            self._call = None  # the block that it writes is not kept by who waits for it
            self._made.set()

    def wait(self, timeout_s: float) -> bool:
        """True once it was made."""
        return self._made.wait(timeout_s)

    def take_failure(self) -> BaseException | None:
        """What it raised; once, since an error that is raised and kept would keep the run, by its frames."""
        failure, self._failure = self._failure, None
        return failure

    @property
    def result(self) -> Result:
        """What it gave."""
        return self._result  # type: ignore[return-value]  it was made, and has not failed


class FileThread:
    """Of one open file. All methods are the run's, in its thread."""

    def __init__(self, file: StandardFile) -> None:
        self._file = file
        self.problem = ""
        """A sentence while the run has waited long for the disk, else empty; any thread may look."""
        self._calls: SimpleQueue[FileCall | None] = SimpleQueue()
        self._posted: deque[FileCall] = deque()
        """Those of which the run does not know yet what became of them."""
        self._thread: threading.Thread | None = None

    @property
    def n_rows(self) -> int:
        """Rows that readers can see; may be asked for in any thread."""
        return self._file.n_rows

    @property
    def failure(self) -> WriteError | None:
        """Why no more rows can be written; None while they can, by the calls that were made until now."""
        return self._file.failure

    @property
    def can_revise(self) -> bool:
        """See `StandardFile.can_revise`; by the calls that were made until now."""
        return self._file.can_revise

    def post(self, call: Callable[[StandardFile], Result]) -> FileCall[Result]:
        """Have a call made after those before, and go on. Raises what has failed by now."""
        self._look()
        if self._thread is None:
            self._thread = _started(self._file, self._calls)
        return self._put(call)

    def call(self, call: Callable[[StandardFile], Result]) -> Result:
        """Have a call made after those before, and wait for it. Raises what failed of them all, when it is made."""
        return call(self._file) if self._thread is None else self.result(self._put(call))

    def result(self, posted: FileCall[Result]) -> Result:
        """The result of a call, which is waited for. Raises what failed of it and those before."""
        waited_s = 0.0
        try:
            while not posted.wait(LOOK_S):
                if self._thread is None or not self._thread.is_alive():
                    raise OverrunError(f"the thread that writes {self._file.name} has died: start the run again")
                waited_s += LOOK_S
                self.problem = (
                    f"{self._file.name}: the run has waited {waited_s:g} s for the disk: is it slow, or away?"
                )
                log.warning("%s", self.problem)
        finally:
            self.problem = ""
        self._look()
        if posted.has_failed:
            raise WriteError(f"{self._file.name}: nothing was written, because of the failure that was told")
        return posted.result

    def forget(self) -> None:
        """Tell nothing more of the calls so far: the run knows why the file takes no more, and they fail by that."""
        self._posted.clear()

    def end(self) -> None:
        """No more calls are posted: end the thread, once it has made them all."""
        if self._thread is not None:
            self._calls.put(None)
            self._thread.join()
            self._thread = None

    def _put(self, call: Callable[[StandardFile], Result]) -> FileCall[Result]:
        posted = FileCall(call)
        self._posted.append(posted)
        self._calls.put(posted)
        return posted

    def _look(self) -> None:
        while self._posted and self._posted[0].is_made:
            if (failure := self._posted.popleft().take_failure()) is not None:
                try:
                    raise failure
                finally:
                    del failure  # see `take_failure`


def _started(file: StandardFile, calls: SimpleQueue[FileCall | None]) -> threading.Thread:
    thread = threading.Thread(
        target=in_this_context(_work), args=(file, calls), name=f"writing {file.name}", daemon=True
    )
    try:
        thread.start()
    except RuntimeError as error:
        raise OverrunError(f"no thread can be started to write {file.name} ({error}): end other programs") from error
    return thread


def _work(file: StandardFile, calls: SimpleQueue[FileCall | None]) -> None:
    while (posted := calls.get()) is not None:
        posted.make(file)
        del posted  # what it holds is free before the next one comes
