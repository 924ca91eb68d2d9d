"""The sinks of a run beside its file, and what is said of one that fails: the run and its file go on without it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from stream_service.core.row import RowBlock
from stream_service.core.run import RunOutcome
from stream_service.errors import PtychostreamError, in_words
from stream_service.run.rows.sink import Sink
from stream_service.text.counted import counted

log = logging.getLogger(__name__)


class SideSinks:
    """Some sinks, each of which gets every row until it raises; then it is told of, once, and gets nothing more."""

    def __init__(self, sinks: Iterable[Sink] = ()) -> None:
        self.notes: tuple[str, ...] = ()
        """What is to be said of those that failed, in sentences."""
        self._sinks = tuple(sinks)
        self._n_rows = 0

    def append(self, block: RowBlock) -> None:
        """Give them rows that are in the file."""
        self._each(lambda sink: sink.append(block))
        self._n_rows += block.n_rows

    def flush(self) -> None:
        """Let them show what they have."""
        self._each(lambda sink: sink.flush())

    def finish(self, outcome: RunOutcome) -> None:
        """Tell them how the run has ended."""
        self._each(lambda sink: sink.finish(outcome))
        self._sinks = ()

    def attempt(self, sink: Sink, call: Callable[[], object]) -> None:
        """Make a call on one of them, unless it has failed before."""
        if sink not in self._sinks:
            return
        try:
            call()
        except BaseException as error:  # noqa: BLE001  (a sink that is dead is told of; the file must not suffer by it)
            self._sinks = tuple(other for other in self._sinks if other is not sink)
            self.notes += (self._farewell(sink, error),)

    def _each(self, call: Callable[[Sink], object]) -> None:
        for sink in self._sinks:
            self.attempt(sink, lambda sink=sink: call(sink))

    def _farewell(self, sink: Sink, error: BaseException) -> str:
        if not isinstance(error, PtychostreamError):
            log.error("%s stopped on a defect of the service", sink.name, exc_info=error)
        after = f"after {counted(self._n_rows, 'row')}"
        note = f"{sink.name} has stopped {after}, which affects neither the file nor the next run: {in_words(error)}"
        log.warning("%s", note)
        return note
